package fabricnet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// templates are Fabric's configuration files; builder is the external builder that makes a peer dial a running chaincode.
var (
	//go:embed config
	templates embed.FS
	//go:embed ccaas
	builder embed.FS
)

// network is what the templates of whole-network files see.
type network struct {
	Orgs           []*org
	Ports          *ports
	Channels       []ChannelOptions
	OrdererMSPDir  string
	OrdererTLSCert string
}

func (l layout) network(o Options, p *ports) network {
	return network{
		Orgs: l.orgs(p), Ports: p, Channels: o.channels(), OrdererMSPDir: l.ordererMSP(), OrdererTLSCert: l.orderer(p).TLSCert,
	}
}

// render executes one template. A value that could hold a special character is put through quote.
func render(name string, data any) ([]byte, error) {
	t, err := template.New(name+".tmpl").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": strconv.Quote, "indent": indent,
	}).ParseFS(templates, path.Join("config", name+".tmpl"))
	if err != nil {
		return nil, fmt.Errorf("fabricnet: template %s: %w", name, err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, data); err != nil {
		return nil, fmt.Errorf("fabricnet: template %s: %w", name, err)
	}
	return buf.Bytes(), nil
}

func indent(spaces int, text string) string {
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad)
}

// writeFile creates the file and the folders above it.
func writeFile(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("fabricnet: %w", err)
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		return fmt.Errorf("fabricnet: %w", err)
	}
	return nil
}

func renderFile(file, name string, data any) error {
	b, err := render(name, data)
	if err != nil {
		return err
	}
	return writeFile(file, b, 0o644)
}

// writeConfig writes what cryptogen, configtxgen, the nodes and the external builder read.
func (l layout) writeConfig(o Options, p *ports) error {
	n := l.network(o, p)
	type file struct {
		path, template string
		data           any
	}
	files := []file{
		{filepath.Join(l.config(), "crypto-config.yaml"), "crypto-config.yaml", n},
		{filepath.Join(l.config(), "configtx.yaml"), "configtx.yaml", n},
		{filepath.Join(l.config(), NodeOrderer, "orderer.yaml"), "orderer.yaml", l.orderer(p)},
	}
	for _, pr := range l.peers(p) {
		files = append(files, file{l.core(pr), "core.yaml", coreOf(pr, o)})
	}
	for _, f := range files {
		if err := renderFile(f.path, f.template, f.data); err != nil {
			return err
		}
	}
	return fs.WalkDir(builder, "ccaas", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := builder.ReadFile(name)
		if err != nil {
			return err
		}
		return writeFile(l.path(filepath.FromSlash(name)), b, 0o755)
	})
}

// core is the configuration file of a peer.
func (l layout) core(p peer) string { return filepath.Join(l.config(), p.Node, "core.yaml") }

// coreOf is what the template of a peer's configuration sees.
func coreOf(p peer, o Options) any {
	return struct {
		peer
		Limits Limits
	}{p, o.Limits}
}

// writeProfile writes the connection profile, in the shape that the Fabric samples made common.
// hidden is a peer that clients are not to use, or empty; first one that they are to use before others.
func (l layout) writeProfile(o Options, p *ports, hidden, first string) error {
	type member struct {
		*org
		TLSCAPEM string
	}
	var members []member
	for _, g := range l.orgs(p) {
		ca, err := os.ReadFile(g.TLSCA)
		if err != nil {
			return fmt.Errorf("fabricnet: profile: %w", err)
		}
		g.Peers = slices.DeleteFunc(g.Peers, func(p peer) bool { return p.Node == hidden })
		slices.SortStableFunc(g.Peers, func(a, b peer) int {
			switch first {
			case a.Node:
				return -1
			case b.Node:
				return 1
			}
			return 0
		})
		members = append(members, member{g, string(ca)})
	}
	return renderFile(l.profile(), "connection.yaml", map[string]any{"Channels": o.channels(), "Orgs": members, "Proxied": o.Proxy})
}

// writeWallet writes one folder per client identity: user1 of the first organisation, user2 of the second.
func (l layout) writeWallet(p *ports) error {
	for i, g := range l.orgs(p) {
		cert, err := os.ReadFile(g.User.Cert)
		if err != nil {
			return fmt.Errorf("fabricnet: wallet: %w", err)
		}
		key, err := os.ReadFile(g.User.Key)
		if err != nil {
			return fmt.Errorf("fabricnet: wallet: %w", err)
		}
		if err := l.writeIdentity(fmt.Sprintf("user%d", i+1), g.MSPID, cert, key); err != nil {
			return err
		}
	}
	return nil
}

// writeIdentity writes one folder of the wallet.
func (l layout) writeIdentity(name, mspID string, cert, key []byte) error {
	dir := filepath.Join(l.wallet(), name)
	for _, f := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{{"cert.pem", cert, 0o644}, {"key.pem", key, 0o600}, {"mspid", []byte(mspID + "\n"), 0o644}} {
		if err := writeFile(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// packageChaincode returns the chaincode package for a server at address, and the id that peers give it: label and hash of the package.
func packageChaincode(address string) (pkg []byte, id string, err error) {
	connection, err := json.Marshal(map[string]any{"address": address, "dial_timeout": "10s", "tls_required": false})
	if err != nil {
		return nil, "", fmt.Errorf("fabricnet: chaincode package: %w", err)
	}
	code, err := tarball(member{"connection.json", connection})
	if err != nil {
		return nil, "", err
	}
	label := Chaincode + "_1"
	if pkg, err = tarball(member{"metadata.json", []byte(`{"type":"ccaas","label":"` + label + `"}`)}, member{"code.tar.gz", code}); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(pkg)
	return pkg, label + ":" + hex.EncodeToString(sum[:]), nil
}

type member struct {
	name    string
	content []byte
}

// tarball packs files; the result depends on nothing else.
func tarball(members ...member) ([]byte, error) {
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, m := range members {
		if err := tw.WriteHeader(&tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.content))}); err != nil {
			return nil, fmt.Errorf("fabricnet: chaincode package: %w", err)
		}
		if _, err := tw.Write(m.content); err != nil {
			return nil, fmt.Errorf("fabricnet: chaincode package: %w", err)
		}
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("fabricnet: chaincode package: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("fabricnet: chaincode package: %w", err)
	}
	return buf.Bytes(), nil
}
