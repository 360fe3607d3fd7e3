package fabric

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// endpoint is a peer as a connection profile describes it.
type endpoint struct {
	name       string // in the profile
	address    string // host:port
	serverName string // expected in the TLS certificate
	roots      *x509.CertPool
	plain      bool // no TLS
}

// profile is the part of a connection profile that matters here. Other fields, of which there are many, are left alone.
type profile struct {
	Organizations map[string]struct {
		MSPID string   `yaml:"mspid"`
		Peers []string `yaml:"peers"`
	} `yaml:"organizations"`
	Peers map[string]profilePeer `yaml:"peers"`
}

type profilePeer struct {
	URL        string `yaml:"url"`
	TLSCACerts struct {
		PEM  pemList `yaml:"pem"`
		Path string  `yaml:"path"`
	} `yaml:"tlsCACerts"`
	GRPCOptions struct {
		TargetName string `yaml:"ssl-target-name-override"`
		Hostname   string `yaml:"hostnameOverride"`
	} `yaml:"grpcOptions"`
}

// pemList is one text or a list of them.
type pemList []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *pemList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		var list []string
		err := n.Decode(&list)
		*p = list
		return err
	}
	var one string
	err := n.Decode(&one)
	*p = pemList{one}
	return err
}

// readProfile returns the peers of an organisation, in the order of the profile.
func readProfile(path, mspID string) ([]endpoint, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("fabric.profile: %w", err)
	}
	var p profile
	if err := yaml.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("fabric.profile: %s: %w", path, err)
	}
	var out []endpoint
	for _, org := range p.Organizations {
		if org.MSPID != mspID {
			continue
		}
		for _, name := range org.Peers {
			e, err := p.Peers[name].endpoint(name, filepath.Dir(path))
			if err != nil {
				return nil, fmt.Errorf("fabric.profile: %s: peers.%s: %w", path, name, err)
			}
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("fabric.profile: %s: no peers of an organisation with mspid %s", path, mspID)
	}
	return out, nil
}

func (p profilePeer) endpoint(name, dir string) (endpoint, error) {
	e := endpoint{name: name}
	u, err := url.Parse(p.URL)
	if err != nil {
		return e, fmt.Errorf("url: %w", err)
	}
	if u.Port() == "" {
		return e, fmt.Errorf("url: %q must be like grpcs://host:7051", p.URL)
	}
	e.address, e.serverName = u.Host, u.Hostname()
	for _, name := range []string{p.GRPCOptions.Hostname, p.GRPCOptions.TargetName} {
		if name != "" {
			e.serverName = name
		}
	}
	switch u.Scheme {
	case "grpc":
		e.plain = true
		return e, nil
	case "grpcs":
		e.roots, err = p.roots(dir)
		return e, err
	default:
		return e, fmt.Errorf("url: %q must begin with grpcs:// or grpc://", p.URL)
	}
}

// roots are the certificates that the peer's own must come from.
func (p profilePeer) roots(dir string) (*x509.CertPool, error) {
	texts := [][]byte{}
	for _, t := range p.TLSCACerts.PEM {
		texts = append(texts, []byte(t))
	}
	if path := p.TLSCACerts.Path; path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("tlsCACerts: %w", err)
		}
		texts = append(texts, b)
	}
	if len(texts) == 0 {
		return nil, errors.New("tlsCACerts: pem or path must be given")
	}
	pool := x509.NewCertPool()
	for _, t := range texts {
		if !pool.AppendCertsFromPEM(t) {
			return nil, errors.New("tlsCACerts: there is no certificate in it")
		}
	}
	return pool, nil
}
