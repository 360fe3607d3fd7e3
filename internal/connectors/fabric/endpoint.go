package fabric

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
)

// endpoint is where a peer is, as the configuration or a connection profile says.
type endpoint struct {
	name       string // for people
	address    string // host:port
	serverName string // expected in the TLS certificate
	nameKey    string // what to change where that is wrong
	ca         []source
	plain      bool // no TLS
}

// label is how people know a peer.
func (e *endpoint) label() string {
	if e.name == e.address {
		return e.address
	}
	return e.name + " (" + e.address + ")"
}

// endpoints returns the peers of a configuration, the preferred one first.
func endpoints(ctx context.Context, cfg *Config) (out []endpoint, err error) {
	if cfg.Profile != "" {
		out, err = readProfile(cfg.Profile, cfg.MSPID)
	} else {
		out, err = explicit(cfg)
	}
	if err != nil {
		return nil, err
	}
	for _, e := range out {
		if _, err := e.roots(ctx); err != nil && !e.plain {
			return nil, fmt.Errorf("%s: peer %s: %w", where(cfg), e.label(), err)
		}
	}
	return out, nil
}

// where are the peers told of?
func where(cfg *Config) string {
	if cfg.Profile != "" {
		return "fabric.profile: " + cfg.Profile
	}
	return "fabric.peers"
}

// explicit reads fabric.peers.
func explicit(cfg *Config) ([]endpoint, error) {
	var fromMSP []source
	for _, id := range cfg.Identities {
		if id.MSPDir != "" && (id.MSPID == "" || id.MSPID == cfg.MSPID) {
			fromMSP = append(fromMSP, source{"tlscacerts of mspDir", filepath.Join(id.MSPDir, "tlscacerts")})
		}
	}
	out := make([]endpoint, 0, len(cfg.Peers))
	names := map[string]bool{}
	for i, p := range cfg.Peers {
		field := fmt.Sprintf("fabric.peers[%d]", i)
		e, err := p.endpoint(field, fromMSP)
		if err != nil {
			return nil, fmt.Errorf("%s.%w", field, err)
		}
		if names[e.name] {
			return nil, fmt.Errorf("%s.name: %s is given twice", field, e.name)
		}
		names[e.name] = true
		out = append(out, e)
	}
	return out, nil
}

// endpoint reads one of fabric.peers. fromMSP is who issued its certificate if it does not say.
func (p *Peer) endpoint(field string, fromMSP []source) (endpoint, error) {
	e, err := parseURL(p.URL)
	if err != nil {
		return e, fmt.Errorf("url: %w", err)
	}
	if e.name = p.Name; e.name == "" {
		e.name = e.address
	}
	if p.TLSServerName != "" {
		e.serverName = p.TLSServerName
	}
	e.nameKey = field + ".tlsServerName"
	switch {
	case e.plain && (p.TLSServerName != "" || p.TLSCACert != ""):
		return e, fmt.Errorf("url: %s is without TLS: make it grpcs://, or remove tlsServerName and tlsCACert", p.URL)
	case e.plain:
	case p.TLSCACert != "":
		e.ca = []source{{"tlsCACert", p.TLSCACert}}
	case len(fromMSP) > 0:
		e.ca = fromMSP
	default:
		return e, errors.New("tlsCACert: must be set, or tlscacerts be in the mspDir of one of fabric.identities")
	}
	return e, nil
}

// parseURL reads the URL of a peer.
func parseURL(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{address: u.Host, serverName: u.Hostname(), plain: u.Scheme == "grpc"}
	switch {
	case u.Scheme != "grpc" && u.Scheme != "grpcs":
		return e, fmt.Errorf("%q must begin with grpcs:// or grpc://", text)
	case u.Port() == "" || u.Hostname() == "":
		return e, fmt.Errorf("%q must be like grpcs://host:7051", text)
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return e, fmt.Errorf("%q must be like grpcs://host:7051, without anything else", text)
	}
	return e, nil
}

// roots are the certificates that the peer's own must come from, as they are now.
func (e *endpoint) roots(ctx context.Context) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, s := range e.ca {
		b, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s: %w", s.name(), errors.New("there is no certificate in it"))
		}
	}
	return pool, nil
}
