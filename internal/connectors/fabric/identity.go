package fabric

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// signer is an identity that can sign.
type signer struct {
	name    string
	id      identity.Identity
	cert    *x509.Certificate
	sign    identity.Sign // of a digest, or of the message itself where hash is NONE
	hash    hash.Hash
	creator []byte // serialised identity, as it goes into headers
}

// signMessage signs what Fabric verifies against the creator.
func (s *signer) signMessage(message []byte) ([]byte, error) { return s.sign(s.hash(message)) }

// valid refuses an identity whose certificate no peer would take at a time.
func (s *signer) valid(at time.Time) error {
	switch {
	case at.After(s.cert.NotAfter):
		return ffcapi.Errorf(ffcapi.Unauthorized, "identity %q: its certificate expired at %s: renew it, there is no need for a restart",
			s.name, s.cert.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(s.cert.NotBefore):
		return ffcapi.Errorf(ffcapi.Unauthorized, "identity %q: its certificate is not valid before %s: look at the clock of this machine",
			s.name, s.cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// material is what an identity is made of, as it was read. Equal material is the same identity.
type material struct {
	mspID     string
	cert, key string // PEM; key may hold several, of which the one that belongs to the certificate counts
}

// origin is where an identity comes from.
type origin interface {
	// read returns what there is now. os.ErrNotExist: there is no such identity, or no more.
	read(ctx context.Context) (material, error)
	// names are what people know certificate and key by.
	names() (cert, key string)
}

// walletDir is a sub-directory of the wallet.
type walletDir struct {
	dir   string
	mspID string // where there is no file of that name
}

// Names of the files of an identity in the wallet.
const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
	mspFile  = "mspid"
)

func (walletDir) names() (cert, key string) { return certFile, keyFile }

func (o walletDir) read(context.Context) (material, error) {
	if _, err := os.Stat(o.dir); err != nil {
		return material{}, err
	}
	m := material{mspID: o.mspID}
	for name, into := range map[string]*string{certFile: &m.cert, keyFile: &m.key, mspFile: &m.mspID} {
		b, err := os.ReadFile(filepath.Join(o.dir, name))
		switch {
		case err == nil:
			*into = string(b)
		case errors.Is(err, fs.ErrNotExist) && name != mspFile:
			// Not the same as no such identity: its files may be in exchange just now.
			return m, fmt.Errorf("%s is missing", filepath.Join(o.dir, name))
		case !errors.Is(err, fs.ErrNotExist):
			return m, err
		}
	}
	m.mspID = strings.TrimSpace(m.mspID)
	return m, nil
}

// declared is an identity of the configuration.
type declared struct {
	mspID     string
	cert, key source
}

// declare checks one of fabric.identities.
func declare(field string, id Identity, mspID string) (declared, error) {
	d := declared{mspID: mspID}
	if id.MSPID != "" {
		d.mspID = id.MSPID
	}
	switch {
	case id.MSPDir != "" && (id.Certificate != "" || id.PrivateKey != ""):
		return d, fmt.Errorf("%s.mspDir: must not be set with certificate and privateKey: remove either", field)
	case id.MSPDir != "":
		d.cert = source{field + ".mspDir", filepath.Join(id.MSPDir, "signcerts")}
		d.key = source{field + ".mspDir", filepath.Join(id.MSPDir, "keystore")}
	case id.Certificate == "":
		return d, fmt.Errorf("%s.certificate: must be set, or mspDir in its place", field)
	case id.PrivateKey == "":
		return d, fmt.Errorf("%s.privateKey: must be set", field)
	default:
		d.cert, d.key = source{field + ".certificate", id.Certificate}, source{field + ".privateKey", id.PrivateKey}
	}
	return d, nil
}

func (o declared) names() (cert, key string) { return o.cert.name(), o.key.name() }

func (o declared) read(ctx context.Context) (material, error) {
	cert, err := o.cert.read(ctx)
	if err != nil {
		return material{}, vanished(err)
	}
	key, err := o.key.read(ctx)
	if err != nil {
		return material{}, vanished(err)
	}
	return material{mspID: o.mspID, cert: string(cert), key: string(key)}, nil
}

// vanished hides os.ErrNotExist: a declared identity is there for good, only its files may be missing.
func vanished(err error) error { return errors.New(err.Error()) }

// newSigner makes an identity of what was read.
func newSigner(name string, o origin, m material) (*signer, error) {
	certName, keyName := o.names()
	cert, err := identity.CertificateFromPEM([]byte(m.cert))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certName, err)
	}
	key, err := keyOf(cert, m.key)
	switch {
	case errors.Is(err, errOtherKey):
		return nil, fmt.Errorf("%s is not the key of %s", keyName, certName)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", keyName, err)
	}
	id, err := identity.NewX509Identity(m.mspID, cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certName, err)
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: use one of ECDSA or Ed25519", keyName, err)
	}
	s := &signer{name: name, id: id, cert: cert, sign: sign, hash: hash.SHA256}
	if _, ok := key.(ed25519.PrivateKey); ok { // Ed25519 signs the message, not a digest of it
		s.hash = hash.NONE
	}
	s.creator, err = proto.Marshal(&msp.SerializedIdentity{Mspid: id.MspID(), IdBytes: id.Credentials()})
	return s, err
}

// errOtherKey says that there are keys, of other certificates. Two files that were mixed up are found here, not by a peer.
var errOtherKey = errors.New("no key of this certificate")

// keyOf finds the key that belongs to a certificate.
func keyOf(cert *x509.Certificate, text string) (crypto.PrivateKey, error) {
	found := errors.New("there is no private key in PEM form in it")
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, found
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") { // openssl puts the parameters of the curve before a key
			continue
		}
		key, err := parseKey(block)
		if err != nil {
			found = err
			continue
		}
		if belongs(cert.PublicKey, key) {
			return key, nil
		}
		found = errOtherKey
	}
}

func parseKey(block *pem.Block) (crypto.PrivateKey, error) {
	switch block.Type {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted: decrypt it with openssl pkey")
	default:
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
}

func belongs(public any, key crypto.PrivateKey) bool {
	s, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	p, ok := s.Public().(interface{ Equal(x crypto.PublicKey) bool })
	return ok && p.Equal(public)
}
