package fabric

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

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
	var known []string
	for _, org := range p.Organizations {
		known = append(known, org.MSPID)
		if org.MSPID != mspID {
			continue
		}
		for _, name := range org.Peers {
			described, ok := p.Peers[name]
			if !ok {
				return nil, fmt.Errorf("fabric.profile: %s: there is no peers.%s, which the organisation of %s lists", path, name, mspID)
			}
			e, err := described.endpoint(name, filepath.Dir(path))
			if err != nil {
				return nil, fmt.Errorf("fabric.profile: %s: peers.%s.%w", path, name, err)
			}
			out = append(out, e)
		}
	}
	slices.Sort(known)
	switch {
	case !slices.Contains(known, mspID):
		return nil, fmt.Errorf("fabric.mspID: %s has no organisation with mspid %s: it has %s", path, mspID, strings.Join(known, ", "))
	case len(out) == 0:
		return nil, fmt.Errorf("fabric.profile: %s: the organisation with mspid %s has no peers", path, mspID)
	}
	return out, nil
}

func (p profilePeer) endpoint(name, dir string) (endpoint, error) {
	e, err := parseURL(p.URL)
	if err != nil {
		return e, fmt.Errorf("url: %w", err)
	}
	e.name = name
	for _, name := range []string{p.GRPCOptions.Hostname, p.GRPCOptions.TargetName} {
		if name != "" {
			e.serverName = name
		}
	}
	if e.plain {
		return e, nil
	}
	e.nameKey = "grpcOptions.ssl-target-name-override of the profile"
	for _, t := range p.TLSCACerts.PEM {
		s := source{"tlsCACerts.pem", t}
		if !s.isPEM() {
			return e, fmt.Errorf("%s: there is no certificate in it", s.field)
		}
		e.ca = append(e.ca, s)
	}
	if path := p.TLSCACerts.Path; path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		e.ca = append(e.ca, source{"tlsCACerts.path", path})
	}
	if len(e.ca) == 0 {
		return e, errors.New("tlsCACerts: pem or path must be given")
	}
	return e, nil
}
