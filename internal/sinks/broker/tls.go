package broker

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// TLSValues are the fields of c that may be references; c may be nil.
func TLSValues(c *apitypes.BrokerTLS) []Value {
	if c == nil {
		return nil
	}
	return []Value{{Field: "tls.ca", Text: &c.CA}, {Field: "tls.certificate", Text: &c.Certificate}, {Field: "tls.key", Text: &c.Key, Secret: true}}
}

// CheckTLS refuses what cannot work; c may be nil. What references stand for is looked at when it is used.
func CheckTLS(c *apitypes.BrokerTLS, refs References) error {
	if c == nil {
		return nil
	}
	if (c.Certificate == "") != (c.Key == "") {
		field := "tls.key"
		if c.Certificate == "" {
			field = "tls.certificate"
		}
		return apitypes.Invalidf(field, "give tls.certificate and tls.key, or neither", "is missing")
	}
	known := *c
	if refs.IsReference(known.CA) {
		known.CA = ""
	}
	if refs.IsReference(known.Certificate) || refs.IsReference(known.Key) {
		known.Certificate, known.Key = "", ""
	}
	_, err := TLS(&known)
	return err
}

// TLS is a configuration as it is used; nil of nil. References have been resolved. Errors are *apitypes.Invalid.
func TLS(c *apitypes.BrokerTLS) (*tls.Config, error) {
	if c == nil {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.SkipHostVerify, MinVersion: tls.VersionTLS12} //nolint:gosec // whoever makes the stream asks for it by name
	if c.CA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, apitypes.Invalidf("tls.ca", "give certificates in PEM, or a reference to them", "holds no certificate")
		}
	}
	if c.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
		if err != nil {
			return nil, apitypes.Invalidf("tls.certificate", "give a certificate in PEM, and its key as tls.key", "cannot be used: %s", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// SameCare says whether c proves the broker's identity at least as well as old did, in the same way; each may be nil.
func SameCare(c, old *apitypes.BrokerTLS) bool {
	switch {
	case old == nil:
		return true
	case c == nil:
		return false
	default:
		return c.CA == old.CA && c.ServerName == old.ServerName && (old.SkipHostVerify || !c.SkipHostVerify)
	}
}
