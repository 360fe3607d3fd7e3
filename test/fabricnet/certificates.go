package fabricnet

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate is the state of a certificate that a test wants.
type Certificate int

// Good is as the network was made; the others are signed by the same CA, for the same key.
const (
	Good      Certificate = iota
	Expired               // was valid for a minute before the network was made
	OtherHost             // names a host that nobody asks for
)

// AddExpiredIdentity writes an identity of organisation 1 or 2 into the wallet whose certificate has expired.
func (n *Network) AddExpiredIdentity(organisation int, name string) error {
	g, err := n.org(organisation)
	if err != nil {
		return err
	}
	cert, err := reissue(g.User.Cert, filepath.Join(filepath.Dir(g.MSPDir), "ca"), Expired)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(g.User.Key)
	if err != nil {
		return fmt.Errorf("fabricnet: wallet: %w", err)
	}
	return n.l.writeIdentity(name, g.MSPID, cert, key)
}

// ServeCertificate starts a peer again with another TLS certificate, and returns when it answers.
func (n *Network) ServeCertificate(ctx context.Context, node string, want Certificate) error {
	p, err := n.peer(node)
	if err != nil {
		return err
	}
	good := p.TLSCert + ".good"
	if !isFile(good) {
		b, err := os.ReadFile(p.TLSCert)
		if err != nil {
			return fmt.Errorf("fabricnet: %w", err)
		}
		if err := writeFile(good, b, 0o644); err != nil {
			return err
		}
	}
	cert, err := reissue(good, filepath.Dir(p.Org.TLSCA), want)
	if err != nil {
		return err
	}
	if err := n.StopNode(node); err != nil {
		return err
	}
	if err := writeFile(p.TLSCert, cert, 0o644); err != nil {
		return err
	}
	return n.StartNode(ctx, node)
}

// RequireClientCertificate starts a peer again that wants a certificate from each client, issued by its organisation's TLS CA, and returns when it answers.
// Fabric's commands and WaitReady have none, and do not reach it any more.
func (n *Network) RequireClientCertificate(ctx context.Context, node string) error {
	p, err := n.peer(node)
	if err != nil {
		return err
	}
	if err := n.StopNode(node); err != nil {
		return err
	}
	p.WantsClients = true
	if err := renderFile(n.l.core(p), "core.yaml", coreOf(p, n.o)); err != nil {
		return err
	}
	return n.StartNode(ctx, node)
}

// ClientCertificate returns the certificate with which User1 of organisation 1 or 2 shows himself to such peers, in a state, and its key; both PEM.
func (n *Network) ClientCertificate(organisation int, want Certificate) (cert, key []byte, err error) {
	g, err := n.org(organisation)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(filepath.Dir(g.MSPDir), "users", "User1@"+g.Domain, "tls")
	if cert, err = reissue(filepath.Join(dir, "client.crt"), filepath.Dir(g.TLSCA), want); err != nil {
		return nil, nil, err
	}
	if key, err = os.ReadFile(filepath.Join(dir, "client.key")); err != nil {
		return nil, nil, fmt.Errorf("fabricnet: %w", err)
	}
	return cert, key, nil
}

// reissue returns a certificate, changed as wanted and signed anew by the CA in a folder that cryptogen made.
func reissue(certFile, caDir string, want Certificate) ([]byte, error) {
	cert, err := readCertificate(certFile)
	if err != nil {
		return nil, err
	}
	if want == Good {
		return os.ReadFile(certFile)
	}
	caFiles, err := filepath.Glob(filepath.Join(caDir, "*-cert.pem"))
	if err != nil || len(caFiles) != 1 {
		return nil, fmt.Errorf("fabricnet: %s: want one certificate, not %d", caDir, len(caFiles))
	}
	ca, err := readCertificate(caFiles[0])
	if err != nil {
		return nil, err
	}
	key, err := readPEM(filepath.Join(caDir, "priv_sk"))
	if err != nil {
		return nil, err
	}
	signer, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("fabricnet: key of %s: %w", caFiles[0], err)
	}
	switch want {
	case Expired: // not before the CA, or the chain would never have been valid
		cert.NotBefore, cert.NotAfter = ca.NotBefore, ca.NotBefore.Add(time.Minute)
	case OtherHost:
		cert.DNSNames, cert.IPAddresses = []string{"elsewhere.test"}, []net.IP{net.IPv4(192, 0, 2, 1)}
	default:
		return nil, fmt.Errorf("fabricnet: there is no certificate of kind %d", want)
	}
	if cert.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, fmt.Errorf("fabricnet: serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, cert.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("fabricnet: sign a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func readCertificate(file string) (*x509.Certificate, error) {
	der, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("fabricnet: %s: %w", file, err)
	}
	return cert, nil
}

func readPEM(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("fabricnet: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("fabricnet: " + file + " is not PEM")
	}
	return block.Bytes, nil
}
