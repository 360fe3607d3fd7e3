package fabric

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Names of the files of an identity.
const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
	mspFile  = "mspid"
)

// signer is an identity that can sign.
type signer struct {
	name    string
	id      identity.Identity
	sign    identity.Sign // of a digest, or of the message itself where hash is NONE
	hash    hash.Hash
	creator []byte // serialised identity, as it goes into headers
}

// signMessage signs what Fabric verifies against the creator.
func (s *signer) signMessage(message []byte) ([]byte, error) { return s.sign(s.hash(message)) }

// wallet finds identities in a directory. Files that change are read again, so that a renewed certificate needs no restart.
type wallet struct {
	dir   string
	mspID string // where an identity names none

	mu    sync.Mutex
	cache map[string]cachedSigner // guarded by mu
}

type cachedSigner struct {
	signer  *signer
	version [3]time.Time // of the files
}

func newWallet(dir, mspID string) *wallet {
	return &wallet{dir: dir, mspID: mspID, cache: map[string]cachedSigner{}}
}

// names lists the identities, sorted.
func (w *wallet) names() ([]string, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "wallet: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(w.dir, e.Name(), certFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// signer returns the identity of a name; field is what the caller calls it.
func (w *wallet) signer(field, name string) (*signer, error) {
	if name == "" {
		return nil, invalid(field, "it must name an identity of the wallet")
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, invalid(field, "%q cannot be the name of an identity", name)
	}
	dir := filepath.Join(w.dir, name)
	version, err := versionOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid(field, "there is no identity %q in the wallet", name)
	}
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "wallet: %w", err)
	}
	w.mu.Lock()
	c, ok := w.cache[name]
	w.mu.Unlock()
	if ok && c.version == version {
		return c.signer, nil
	}
	s, err := w.load(name, dir)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "wallet: identity %q: %w", name, err)
	}
	w.mu.Lock()
	w.cache[name] = cachedSigner{s, version}
	w.mu.Unlock()
	return s, nil
}

// versionOf tells when the files of an identity were last written. The mspid may be absent.
func versionOf(dir string) (v [3]time.Time, err error) {
	for i, name := range []string{certFile, keyFile, mspFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			v[i] = info.ModTime()
		} else if name != mspFile || !errors.Is(err, fs.ErrNotExist) {
			return v, err
		}
	}
	return v, nil
}

func (w *wallet) load(name, dir string) (*signer, error) {
	mspID := w.mspID
	switch b, err := os.ReadFile(filepath.Join(dir, mspFile)); {
	case err == nil:
		mspID = strings.TrimSpace(string(b))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	certPEM, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		return nil, err
	}
	cert, err := identity.CertificateFromPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if err := matches(cert.PublicKey, key); err != nil {
		return nil, err
	}
	id, err := identity.NewX509Identity(mspID, cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	return newSigner(name, id, key)
}

func newSigner(name string, id identity.Identity, key crypto.PrivateKey) (*signer, error) {
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	s := &signer{name: name, id: id, sign: sign, hash: hash.SHA256}
	if _, ok := key.(ed25519.PrivateKey); ok { // Ed25519 signs the message, not a digest of it
		s.hash = hash.NONE
	}
	s.creator, err = proto.Marshal(&msp.SerializedIdentity{Mspid: id.MspID(), IdBytes: id.Credentials()})
	return s, err
}

// matches tells whether a key belongs to a certificate: two files that were mixed up are found here, not by a peer.
func matches(public any, key crypto.PrivateKey) error {
	s, ok := key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("%s: a %T cannot sign", keyFile, key)
	}
	p, ok := s.Public().(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !p.Equal(public) {
		return fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	return nil
}

// Identities implements ffcapi.Identities.
func (c *Connector) Identities(context.Context) ([]string, error) { return c.wallet.names() }
