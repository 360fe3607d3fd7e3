package fabric

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/credentials"
)

// clientCert is what is shown to peers that ask for a certificate. Like identities, it is read again, at most once a second.
type clientCert struct {
	cert, key source
	log       *logrus.Entry
	expiry    *expiry

	mu     sync.Mutex
	last   shownCert // guarded by mu
	read   time.Time // guarded by mu
	warned string    // guarded by mu
}

type shownCert struct {
	tls.Certificate
	hash []byte // SHA-256 of the certificate
}

// newClientCert reads the certificate for mutual TLS; nil without one.
func newClientCert(ctx context.Context, cfg TLS, log *logrus.Entry) (*clientCert, error) {
	if cfg.ClientCertificate == "" {
		return nil, nil //nolint:nilnil // most networks have no mutual TLS
	}
	c := &clientCert{
		cert: source{tlsCertificate, cfg.ClientCertificate}, key: source{"fabric.tls.clientKey", cfg.ClientKey}, log: log, expiry: newExpiry(log),
	}
	var err error
	if c.last, err = c.load(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *clientCert) load(ctx context.Context) (shownCert, error) {
	cert, err := c.cert.read(ctx)
	if err != nil {
		return shownCert{}, err
	}
	key, err := c.key.read(ctx)
	if err != nil {
		return shownCert{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return shownCert{}, fmt.Errorf("%s with %s: %s", c.cert.name(), c.key.name(), strings.TrimPrefix(err.Error(), "tls: "))
	}
	sum := sha256.Sum256(pair.Certificate[0])
	return shownCert{pair, sum[:]}, nil
}

// current returns the certificate as it is now, or the last one that made sense.
func (c *clientCert) current() shownCert {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) < fresh {
		return c.last
	}
	c.read = time.Now()
	now, err := c.load(context.Background()) // two small files, once a second
	switch {
	case err == nil:
		c.last, c.warned = now, ""
	case err.Error() != c.warned:
		c.warned = err.Error()
		c.log.WithError(err).Warn("The certificate for mutual TLS has changed into something that cannot be used. The one before is used on")
	}
	c.expiry.note(tlsCertificate, c.last.Leaf.NotAfter)
	return c.last
}

// handshaker makes the TLS connections of one peer, with the certificates as they are at the time.
type handshaker struct {
	n   *node
	log *logrus.Entry

	mu    sync.Mutex
	roots *x509.CertPool // guarded by mu: the last ones that could be read
}

// trusted returns who may have issued the peer's certificate.
func (h *handshaker) trusted(ctx context.Context) (*x509.CertPool, error) {
	roots, err := h.n.roots(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.roots = roots
	case h.roots == nil:
		return nil, err
	default:
		h.log.WithError(err).WithField("peer", h.n.label()).Warn("The authorities of a peer's certificate cannot be read. Those before are trusted on")
	}
	return h.roots, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshaker) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, h.n.connect)
	defer cancel()
	conn, info, err := h.handshake(ctx, authority, raw)
	if err != nil {
		if wantsClientCert.MatchString(err.Error()) {
			err = errors.New(h.n.clientRefused(err.Error()))
		} else {
			err = h.n.tlsError(err)
		}
		h.n.broken.Store(&err)
	}
	return conn, info, err
}

func (h *handshaker) handshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	roots, err := h.trusted(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg := &tls.Config{RootCAs: roots, ServerName: h.n.serverName, MinVersion: tls.VersionTLS12}
	var hash []byte
	if h.n.client != nil {
		shown := h.n.client.current()
		cfg.Certificates, hash = []tls.Certificate{shown.Certificate}, shown.hash
	}
	conn, info, err := credentials.NewTLS(cfg).ClientHandshake(ctx, authority, raw)
	if err == nil && hash != nil {
		h.n.shown.Store(&hash)
	}
	return conn, info, err
}

// errServerSide says that this is a client.
var errServerSide = errors.New("a client accepts no connections")

// ServerHandshake implements credentials.TransportCredentials.
func (*handshaker) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errServerSide
}

// Info implements credentials.TransportCredentials.
func (h *handshaker) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{ServerName: h.n.serverName, MinVersion: tls.VersionTLS12}).Info()
}

// Clone implements credentials.TransportCredentials. There is one connection for each, and nothing that one could change.
func (h *handshaker) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials.
func (*handshaker) OverrideServerName(string) error {
	return errors.New("the name of a peer comes from the configuration")
}

// tlsError says in words what is wrong with a peer's certificate, and where to change that.
func (e *endpoint) tlsError(err error) error {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &host):
		return fmt.Errorf("its certificate is for %s, not for %q: correct %s", strings.Join(namesOf(host.Certificate), ", "), e.serverName, e.nameKey)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("its certificate is valid from %s to %s only: it has to be renewed, or a clock to be set right",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &unknown):
		return fmt.Errorf("its certificate was issued by %q, which is not among the authorities given for it (tlsCACert, in a profile tlsCACerts)",
			unknown.Cert.Issuer.String())
	case errors.As(err, &record):
		return errors.New("it does not speak TLS: its url has to begin with grpc://, or names another port")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("it did not finish the TLS handshake in time")
	default:
		return fmt.Errorf("TLS: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// namesOf lists what a certificate is for.
func namesOf(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no name at all"}
	}
	return names
}
