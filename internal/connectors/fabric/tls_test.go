package fabric

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// tlsAuthority issues certificates.
type tlsAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newTLSAuthority(t *testing.T, name string) *tlsAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &tlsAuthority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue makes a certificate that is valid until a time.
func (a *tlsAuthority) issue(t *testing.T, until time.Time, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 9)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), pkcs8(t, private)
}

// certHash is what binds a request to a certificate.
func certHash(t *testing.T, cert string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(mustDecode(t, cert)))
	return sum[:]
}

// tlsPeer is a fake peer with TLS; clients, if given, issues what it wants to be shown. bindings are the hashes in the requests for blocks.
type tlsPeer struct {
	*fakePeer
	mu       sync.Mutex
	pair     tls.Certificate
	bindings [][]byte
}

func newTLSPeer(t *testing.T, cert, key string, clients *tlsAuthority) *tlsPeer {
	t.Helper()
	p := &tlsPeer{}
	p.set(t, cert, key)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return &p.pair, nil
	}}
	if clients != nil {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		cfg.ClientCAs.AddCert(clients.cert)
	}
	p.fakePeer = newFakePeer(t, grpc.Creds(credentials.NewTLS(cfg)),
		grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return handle(srv, &bindingStream{s, p})
		}))
	return p
}

func (p *tlsPeer) set(t *testing.T, cert, key string) {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pair = pair
}

func (p *tlsPeer) lastBinding() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bindings[len(p.bindings)-1]
}

// bindingStream notes the hash in each request.
type bindingStream struct {
	grpc.ServerStream
	p *tlsPeer
}

func (s *bindingStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	env, ok := m.(*common.Envelope)
	if err != nil || !ok {
		return err
	}
	var payload common.Payload
	var header common.ChannelHeader
	if err := proto.Unmarshal(env.GetPayload(), &payload); err != nil {
		return err
	}
	if err := proto.Unmarshal(payload.GetHeader().GetChannelHeader(), &header); err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.bindings = append(s.p.bindings, header.GetTlsCertHash())
	return nil
}

// What is wrong with TLS is said with the peer, what was expected, what there was, and what to change.
func TestBadTLS(t *testing.T) {
	t.Parallel()
	ca, other := newTLSAuthority(t, "tlsca.org1"), newTLSAuthority(t, "tlsca.other")
	cert, key := ca.issue(t, time.Now().Add(time.Hour), "peer0.org1", "localhost")
	expired, expiredKey := ca.issue(t, time.Now().Add(-time.Hour), "peer0.org1")
	wrongClient, wrongClientKey := other.issue(t, time.Now().Add(time.Hour), "client")
	good, plain := newTLSPeer(t, cert, key, nil), newFakePeer(t)
	old, strict := newTLSPeer(t, expired, expiredKey, nil), newTLSPeer(t, cert, key, ca)
	for want, c := range map[string]struct {
		peer Peer
		tls  TLS
	}{
		`its certificate is for peer0.org1, localhost, 127.0.0.9, not for "peer1.org1": correct fabric.peers[0].tlsServerName`: {
			peer: Peer{URL: "grpcs://" + good.address, TLSServerName: "peer1.org1", TLSCACert: ca.pem}},
		`not for "127.0.0.1": correct fabric.peers[0].tlsServerName`: {peer: Peer{URL: "grpcs://" + good.address, TLSCACert: ca.pem}},
		`its certificate was issued by "CN=tlsca.org1", which is not among the authorities given`: {
			peer: Peer{URL: "grpcs://" + good.address, TLSServerName: "peer0.org1", TLSCACert: other.pem}},
		"its certificate is valid from ": {peer: Peer{URL: "grpcs://" + old.address, TLSServerName: "peer0.org1", TLSCACert: ca.pem}},
		"it does not speak TLS: its url has to begin with grpc://": {
			peer: Peer{URL: "grpcs://" + plain.address, TLSServerName: "peer0.org1", TLSCACert: ca.pem}},
		"its url may have to begin with grpcs://": {peer: Peer{URL: "grpc://" + good.address}},
		"it asks for a client certificate: set fabric.tls.clientCertificate": {
			peer: Peer{URL: "grpcs://" + strict.address, TLSServerName: "peer0.org1", TLSCACert: ca.pem}},
		"it does not accept the client certificate (fabric.tls.clientCertificate)": {
			peer: Peer{URL: "grpcs://" + strict.address, TLSServerName: "peer0.org1", TLSCACert: ca.pem}, tls: TLS{wrongClient, wrongClientKey}},
		"lookup nowhere.invalid": {peer: Peer{URL: "grpc://nowhere.invalid:7051"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c.peer.Name = "peer0"
			conn, _ := explicitly(t, good.wallet, func(cfg *Config) {
				cfg.Peers, cfg.TLS = Peers{c.peer}, c.tls
				cfg.Timeouts = Timeouts{Connect: 10 * time.Second, Silence: 20 * time.Second}
			})
			said := ""
			require.Eventually(t, func() bool { // a refusal after the handshake may be overtaken by the end of the connection
				_, err := conn.Ledger(t.Context(), "ch1")
				said = requireKind(t, err, ffcapi.Unavailable, "peer0 (").Message
				return strings.Contains(said, want)
			}, 30*time.Second, 20*time.Millisecond, "%s", &said)
		})
	}
	for want, cfg := range map[string]TLS{
		"fabric.tls.clientCertificate with fabric.tls.clientKey: private key does not match": {cert, wrongClientKey},
		"fabric.tls.clientKey (" + filepath.Join(good.wallet, "none") + "): no such file":    {cert, filepath.Join(good.wallet, "none")},
	} {
		_, err := newClientCert(t.Context(), cfg, nil)
		require.ErrorContains(t, err, want)
	}
}

// With mutual TLS, requests for blocks are bound to the certificate of the connection. Certificates that are renewed count for the next
// connection, and those that make no sense do not.
func TestMutualTLSFollowsItsFiles(t *testing.T) {
	t.Parallel()
	ca, next := newTLSAuthority(t, "tlsca.org1"), newTLSAuthority(t, "tlsca.next")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	serverCert, serverKey := ca.issue(t, time.Now().Add(time.Hour), "peer0.org1")
	clientCert, clientKey := ca.issue(t, time.Now().Add(time.Hour), "client")
	writeFile(t, ca.pem, path("ca.pem"))
	writeFile(t, clientCert, path("client.pem"))
	writeFile(t, clientKey, path("client.key"))
	f := newTLSPeer(t, serverCert, serverKey, ca)
	way := inFrontOf(t, f.fakePeer)
	c, logged := explicitly(t, f.wallet, func(cfg *Config) {
		cfg.Peers = Peers{{Name: "peer0", URL: "grpcs://" + way.Addr(), TLSServerName: "peer0.org1", TLSCACert: path("ca.pem")}}
		cfg.TLS = TLS{path("client.pem"), path("client.key")}
		cfg.Timeouts = Timeouts{Connect: 10 * time.Second, Silence: 20 * time.Second}
	})
	reread := func() { // as if a second had passed
		client := c.peers.nodes[0].client
		client.mu.Lock()
		defer client.mu.Unlock()
		client.read = time.Time{}
	}
	read := func() error { _, err := c.Block(t.Context(), "ch1", 0); return err }
	again := func(bound string) {
		t.Helper()
		way.Cut()
		way.Heal()
		require.Eventually(t, func() bool { // a request may be sent again by gRPC, from the connection before
			return read() == nil && bytes.Equal(certHash(t, bound), f.lastBinding())
		}, 30*time.Second, 20*time.Millisecond)
	}
	require.NoError(t, read())
	require.Equal(t, certHash(t, clientCert), f.lastBinding())

	renewed, renewedKey := ca.issue(t, time.Now().Add(time.Hour), "client")
	writeFile(t, renewed, path("client.pem"))
	writeFile(t, renewedKey, path("client.key"))
	reread()
	require.NoError(t, read())
	require.Equal(t, certHash(t, clientCert), f.lastBinding(), "the connection is the one before")
	again(renewed)

	writeFile(t, "nonsense", path("client.pem"))
	writeFile(t, "nonsense", path("ca.pem"))
	reread()
	again(renewed)
	require.Contains(t, logged.String(), path("client.pem"))
	require.Contains(t, logged.String(), path("ca.pem"))

	serverCert, serverKey = next.issue(t, time.Now().Add(time.Hour), "peer0.org1")
	f.set(t, serverCert, serverKey)
	writeFile(t, ca.pem+next.pem, path("ca.pem"))
	again(renewed)
}

// A peer that refuses a client after the handshake may be noticed as a connection that breaks.
func TestACutConnectionMayBeARefusal(t *testing.T) {
	t.Parallel()
	ca := newTLSAuthority(t, "tlsca.org1")
	cert, key := ca.issue(t, time.Now().Add(time.Hour), "client")
	client, err := newClientCert(t.Context(), TLS{cert, key}, quiet())
	require.NoError(t, err)
	const words = "write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe"
	cut := status.Error(codes.Unavailable, words)
	for want, n := range map[string]*node{
		"p (a:1) cannot be reached: it broke off after the TLS handshake: it may ask for a client certificate (fabric.tls): " + words: {},
		"it may not accept the client certificate (fabric.tls.clientCertificate): " + words:                                           {client: client},
		"the connection to p (a:1) broke: " + words:                                                                                   {endpoint: endpoint{plain: true}},
	} {
		n.name, n.address = "p", "a:1"
		e := callError(t.Context(), stageSubmit, n.explain(cut))
		require.Equal(t, ffcapi.Unavailable, e.Kind)
		require.Contains(t, e.Message, want)
		require.Equal(t, ffcapi.SentMaybe, e.Sent, "it is not certain that nothing was sent")
	}
}

// That a certificate has expired is said with what to do about it, whichever way the peer tells it, and a renewed one is enough.
func TestAnExpiredClientCertificate(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			ca := newTLSAuthority(t, "tlsca.org1")
			dir := t.TempDir()
			cert, key := ca.issue(t, time.Now().Add(time.Hour), "peer0.org1")
			pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
			require.NoError(t, err)
			clients := x509.NewCertPool()
			clients.AddCert(ca.cert)
			f := newFakePeer(t, grpc.Creds(credentials.NewTLS(&tls.Config{
				Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
			})))
			show := func(until time.Time) {
				cert, key := ca.issue(t, until, "client")
				writeFile(t, cert, filepath.Join(dir, "client.pem"))
				writeFile(t, key, filepath.Join(dir, "client.key"))
			}
			show(time.Now().Add(-time.Minute))
			c, logged := explicitly(t, f.wallet, func(cfg *Config) {
				cfg.Peers = Peers{{Name: "peer0", URL: "grpcs://" + f.address, TLSServerName: "peer0.org1", TLSCACert: ca.pem}}
				cfg.TLS = TLS{filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")}
				cfg.Timeouts = Timeouts{Connect: 10 * time.Second, Silence: 20 * time.Second}
			})
			said := ""
			require.Eventually(t, func() bool { // a refusal after the handshake may be overtaken by the end of the connection
				_, err := c.Ledger(t.Context(), "ch1")
				said = requireKind(t, err, ffcapi.Unavailable, "peer0 (").Message
				return strings.Contains(said, "the client certificate (fabric.tls.clientCertificate) expired at ")
			}, 30*time.Second, 20*time.Millisecond, "%s", &said)
			require.Contains(t, logged.String(), "A certificate has expired")
			show(time.Now().Add(time.Hour))
			require.Eventually(t, func() bool { _, err := c.Ledger(t.Context(), "ch1"); return err == nil }, 30*time.Second, 20*time.Millisecond)
		})
	}
}
