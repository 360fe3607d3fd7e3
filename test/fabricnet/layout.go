package fabricnet

import (
	"fmt"
	"os"
	"path/filepath"
)

// layout knows where everything of a network lies below its directory.
type layout struct{ dir string }

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

func (l layout) state() string            { return l.path("network.json") }
func (l layout) lock() string             { return l.path("lock") }
func (l layout) logs() string             { return l.path("logs") }
func (l layout) crypto() string           { return l.path("crypto") }
func (l layout) config() string           { return l.path("config") }
func (l layout) data() string             { return l.path("data") }
func (l layout) builder() string          { return l.path("ccaas") }
func (l layout) profile() string          { return l.path("connection.yaml") }
func (l layout) wallet() string           { return l.path("wallet") }
func (l layout) block(ch string) string   { return l.path("config", ch+".block") }
func (l layout) chaincodePackage() string { return l.path("config", Chaincode+".tgz") }
func (l layout) log(n string) string      { return l.path("logs", n+".log") }

// wipe removes what a network made, and only that: the directory may hold other files of its user.
func (l layout) wipe() error {
	for _, p := range []string{l.state(), l.crypto(), l.config(), l.data(), l.builder(), l.profile(), l.wallet()} {
		if err := os.RemoveAll(p); err != nil {
			return fmt.Errorf("fabricnet: clear %s: %w", l.dir, err)
		}
	}
	return nil
}

// keepLogs moves the logs of the last run aside (one generation) and makes room for new ones.
func (l layout) keepLogs() error {
	old := l.path("logs.prev")
	if _, err := os.Stat(l.logs()); err == nil {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("fabricnet: logs: %w", err)
		}
		if err := os.Rename(l.logs(), old); err != nil {
			return fmt.Errorf("fabricnet: logs: %w", err)
		}
	}
	if err := os.MkdirAll(l.logs(), 0o755); err != nil {
		return fmt.Errorf("fabricnet: logs: %w", err)
	}
	return nil
}

// org is one organisation with its peers, as the templates and the command line need it.
type org struct {
	Number              int
	Name, Domain, MSPID string
	MSPDir, AdminMSPDir string
	TLSCA               string // CA of the peers' TLS certificates, which clients trust
	User                User
	Peers               []peer
}

// peer is one peer of an organisation.
type peer struct {
	Org   *org
	Node  string // for StopNode and the like
	Host  string // in its TLS certificate
	Ports peerPorts

	MSPDir                 string
	TLSCert, TLSKey, TLSCA string
	WantsClients           bool // certificates of clients
	DataDir, SnapshotDir   string
	BuilderDir             string
}

// User is a client identity. Paths are PEM files.
type User struct {
	MSPID string
	Cert  string
	Key   string
}

// org describes an organisation whose peers have the given ports.
func (l layout) org(number int, peers []peerPorts) *org {
	name := fmt.Sprintf("Org%d", number)
	domain := fmt.Sprintf("org%d.test", number)
	root := filepath.Join(l.crypto(), "peerOrganizations", domain)
	user := filepath.Join(root, "users", "User1@"+domain, "msp")
	g := &org{
		Number: number, Name: name, Domain: domain, MSPID: name + "MSP",
		MSPDir:      filepath.Join(root, "msp"),
		AdminMSPDir: filepath.Join(root, "users", "Admin@"+domain, "msp"),
		TLSCA:       filepath.Join(root, "tlsca", "tlsca."+domain+"-cert.pem"),
		User: User{
			MSPID: name + "MSP",
			Cert:  filepath.Join(user, "signcerts", "User1@"+domain+"-cert.pem"),
			Key:   filepath.Join(user, "keystore", "priv_sk"),
		},
	}
	for i, p := range peers {
		g.Peers = append(g.Peers, l.peer(g, PeerNode(number, i), fmt.Sprintf("peer%d.%s", i, domain), p))
	}
	return g
}

func (l layout) peer(g *org, node, host string, p peerPorts) peer {
	crypto := filepath.Join(l.crypto(), "peerOrganizations", g.Domain, "peers", host)
	data := filepath.Join(l.data(), node)
	return peer{
		Org: g, Node: node, Host: host, Ports: p,
		MSPDir:  filepath.Join(crypto, "msp"),
		TLSCert: filepath.Join(crypto, "tls", "server.crt"),
		TLSKey:  filepath.Join(crypto, "tls", "server.key"),
		TLSCA:   filepath.Join(crypto, "tls", "ca.crt"),
		DataDir: data, SnapshotDir: filepath.Join(data, "snapshots"), BuilderDir: l.builder(),
	}
}

// orgs describes all organisations.
func (l layout) orgs(p *ports) []*org {
	out := make([]*org, len(p.Orgs))
	for i, peers := range p.Orgs {
		out[i] = l.org(i+1, peers)
	}
	return out
}

// peers describes all peers, one organisation after the other.
func (l layout) peers(p *ports) []peer {
	var out []peer
	for _, g := range l.orgs(p) {
		out = append(out, g.Peers...)
	}
	return out
}

// orderer is the ordering node, as the template needs it.
type orderer struct {
	Ports                    *ports
	MSPDir                   string
	TLSCert, TLSKey, TLSCA   string
	DataDir, WALDir, SnapDir string
}

func (l layout) orderer(p *ports) orderer {
	node := filepath.Join(l.crypto(), "ordererOrganizations", "ord.test", "orderers", "orderer0.ord.test")
	data := filepath.Join(l.data(), "orderer")
	return orderer{
		Ports:   p,
		MSPDir:  filepath.Join(node, "msp"),
		TLSCert: filepath.Join(node, "tls", "server.crt"),
		TLSKey:  filepath.Join(node, "tls", "server.key"),
		TLSCA:   filepath.Join(node, "tls", "ca.crt"),
		DataDir: data, WALDir: filepath.Join(data, "wal"), SnapDir: filepath.Join(data, "snap"),
	}
}

// ordererMSP is the definition of the ordering organisation in the channel.
func (l layout) ordererMSP() string {
	return filepath.Join(l.crypto(), "ordererOrganizations", "ord.test", "msp")
}

// ordererTLSCA is the CA of the orderer's TLS certificate.
func (l layout) ordererTLSCA() string {
	return filepath.Join(l.crypto(), "ordererOrganizations", "ord.test", "tlsca", "tlsca.ord.test-cert.pem")
}
