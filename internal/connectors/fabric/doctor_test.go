package fabric

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate that is valid from so long ago for so long from now.
func (a *authority) issue(t *testing.T, name string, ago, left time.Duration) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-ago), NotAfter: time.Now().Add(left),
	}, a.cert, k.Public(), a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

const year = 365 * 24 * time.Hour

// serve answers connections at an address until the test ends.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// serveGRPC is a gRPC server behind TLS that has nothing of a peer.
func serveGRPC(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, <-served)
	})
	return ln.Addr().String()
}

// setUp writes a wallet with user1 and a profile with one peer, which is called peer0.org1.
func setUp(t *testing.T, url string, ca []byte) Config {
	t.Helper()
	dir := t.TempDir()
	cert, key := newAuthority(t, "ca.org1").issue(t, "user1", time.Hour, year)
	writeIdentity(t, filepath.Join(dir, "wallet"), "user1", "", cert, key)
	p := map[string]any{"url": url, "grpcOptions": map[string]string{"ssl-target-name-override": "peer0.org1"}}
	if ca != nil {
		p["tlsCACerts"] = map[string]string{"pem": string(ca)}
	}
	path := writeProfile(t, dir, map[string]any{
		"organizations": map[string]any{"Org1": map[string]any{"mspid": "Org1MSP", "peers": []string{"peer0.org1"}}},
		"peers":         map[string]any{"peer0.org1": p},
	})
	return Config{Profile: path, MSPID: "Org1MSP", Channels: []string{"ch1"}, Wallet: filepath.Join(dir, "wallet"), Identity: "user1"}
}

// find returns the first check in a state.
func find(checks []Check, state string) *Check {
	for i := range checks {
		if checks[i].State == state {
			return &checks[i]
		}
	}
	return nil
}

// requireBroken checks which hop is the first that is broken, that those before it are fine, and that nothing is tried after it at a peer.
func requireBroken(t *testing.T, checks []Check, hop string, words ...string) {
	t.Helper()
	c := find(checks, CheckFailed)
	require.NotNil(t, c, "%+v", checks)
	require.Equal(t, hop, c.Hop, "%+v", c)
	for _, w := range words {
		require.Contains(t, c.Detail+" / "+c.Fix, w)
	}
	if c.Peer != "" { // what is wrong with a configuration says by itself what to do
		require.NotEmpty(t, c.Fix)
	}
	broken := false
	for _, later := range checks {
		if later == *c {
			broken = true
		} else if broken && later.Peer != "" {
			require.Equal(t, CheckSkipped, later.State, "%+v", later)
			require.Equal(t, "after "+hop, later.Detail)
		}
	}
}

func TestDoctorTellsWhatIsWrongWithTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "tlsca.org1")
	server := func(name string, ago, left time.Duration) string {
		cert, key := ca.issue(t, name, ago, left)
		pair, err := tls.X509KeyPair(cert, key)
		require.NoError(t, err)
		return serveGRPC(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	for name, c := range map[string]struct {
		address string
		ca      []byte
		words   []string
	}{
		"issued by another": {server("peer0.org1", time.Hour, year), newAuthority(t, "another").pem(), []string{"issued by CN=tlsca.org1", "not trusted", "tlscacerts"}},
		"another name":      {server("peer7.org7", time.Hour, year), ca.pem(), []string{"for peer7.org7, not for peer0.org1", "ssl-target-name-override"}},
		"expired":           {server("peer0.org1", year, -time.Hour), ca.pem(), []string{"peer0.org1 expired on 20", "renewed"}},
		"of the future":     {server("peer0.org1", -time.Hour, year), ca.pem(), []string{"valid only from", "clock"}},
		"no TLS":            {serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }), ca.pem(), []string{"does not speak TLS", "grpc://"}},
		"closed":            {serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)) }), ca.pem(), []string{"closes the connection"}},
		"silent":            {serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), ca.pem(), []string{"says nothing", "hangs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireBroken(t, Diagnose(t.Context(), setUp(t, "grpcs://"+c.address, c.ca), Question{}), hopTLS, c.words...)
		})
	}
}

func TestDoctorGoesOnAfterTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "tlsca.org1")
	cert, key := ca.issue(t, "peer0.org1", time.Hour, 5*24*time.Hour+time.Minute)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	cfg := setUp(t, "grpcs://"+serveGRPC(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), ca.pem())
	checks := Diagnose(t.Context(), cfg, Question{})
	requireBroken(t, checks, hopMSP, "no Fabric peer")
	w := find(checks, CheckWarning)
	require.NotNil(t, w, "a certificate that is about to expire")
	require.Equal(t, hopTLS, w.Hop)
	require.Contains(t, w.Detail, "expires in 5 days")
}

func TestDoctorTellsThatAClientCertificateIsWanted(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "tlsca.org1")
	cert, key := ca.issue(t, "peer0.org1", time.Hour, year)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		address := serveGRPC(t, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAnyClientCert,
		})
		requireBroken(t, Diagnose(t.Context(), setUp(t, "grpcs://"+address, ca.pem()), Question{}), hopTLS, "wants a client certificate", "fabric.tls.clientCertificate")
	}
}

func TestDoctorTellsThatAClientCertificateIsNotAccepted(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "tlsca.org1"), newAuthority(t, "ca.org1")
	cert, key := ca.issue(t, "peer0.org1", time.Hour, year)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	accepted := x509.NewCertPool()
	accepted.AddCert(ca.cert)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := setUp(t, "grpcs://"+serveGRPC(t, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: accepted,
		}), ca.pem())
		with := func(from *authority, left time.Duration) Config {
			cert, key := from.issue(t, "client", 2*year, left)
			cfg.TLS = TLS{string(cert), string(key)}
			return cfg
		}
		requireBroken(t, Diagnose(t.Context(), with(other, year), Question{}), hopTLS, "it was issued by CN=ca.org1, and the peer accepts those of CN=tlsca.org1", "clientRootCAs")
		requireBroken(t, Diagnose(t.Context(), with(ca, -time.Hour), Question{}), hopClient, "expired on", "needs no restart")
		requireBroken(t, Diagnose(t.Context(), with(ca, year), Question{}), hopMSP, "no Fabric peer")
	}
	names := make([][]byte, 7)
	for i := range names {
		names[i] = ca.cert.RawSubject
	}
	require.Equal(t, strings.Repeat("CN=tlsca.org1; ", 5)+"2 more", authorities(names))
}

func TestDoctorTellsWhyThereIsNoConnection(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := ln.Addr().String()
	require.NoError(t, ln.Close())
	requireBroken(t, Diagnose(t.Context(), setUp(t, "grpc://"+closed, nil), Question{}), hopTCP, "nothing listens at "+closed)
	requireBroken(t, Diagnose(t.Context(), setUp(t, "grpc://no-such-host.invalid:7051", nil), Question{}), hopName, "no-such-host.invalid")

	ca := newAuthority(t, "tlsca.org1")
	cert, key := ca.issue(t, "peer0.org1", time.Hour, year)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	withTLS := serveGRPC(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	requireBroken(t, Diagnose(t.Context(), setUp(t, "grpc://"+withTLS, nil), Question{}), hopGRPC, "grpcs://")
}

func TestDoctorLooksAtTheIdentity(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	ca := newAuthority(t, "ca.org1")
	cfg := setUp(t, "grpc://"+f.address, nil)
	for name, validity := range map[string][2]time.Duration{"old": {year, -time.Hour}, "future": {-time.Hour, year}, "soon": {time.Hour, 10*24*time.Hour + time.Minute}} {
		cert, key := ca.issue(t, name, validity[0], validity[1])
		writeIdentity(t, cfg.Wallet, name, "", cert, key)
	}
	foreign, key := ca.issue(t, "foreign", time.Hour, year)
	writeIdentity(t, cfg.Wallet, "foreign", "Org2MSP", foreign, key)
	writeIdentity(t, cfg.Wallet, "mixed", "", foreign, []byte("nonsense"))

	requireBroken(t, Diagnose(t.Context(), cfg, Question{Identity: "nobody"}), hopIdentity, "nobody", "there are", "user1")
	requireBroken(t, Diagnose(t.Context(), cfg, Question{Identity: "old"}), hopIdentity, "expired on")
	requireBroken(t, Diagnose(t.Context(), cfg, Question{Identity: "future"}), hopIdentity, "valid only from", "clock")
	requireBroken(t, Diagnose(t.Context(), cfg, Question{Identity: "mixed"}), hopIdentity, "key.pem")
	for name, words := range map[string]string{"soon": "expires in 10 days", "foreign": "the peers are those of Org1MSP"} {
		checks := Diagnose(t.Context(), cfg, Question{Identity: name})
		require.Nil(t, find(checks, CheckFailed), "%+v", checks)
		w := find(checks, CheckWarning)
		require.NotNil(t, w)
		require.Equal(t, hopIdentity, w.Hop)
		require.Contains(t, w.Detail, words)
	}
	nowhere := cfg
	nowhere.Wallet = filepath.Join(t.TempDir(), "none")
	requireBroken(t, Diagnose(t.Context(), nowhere, Question{}), hopIdentity, "open "+nowhere.Wallet+": no such file", "correct fabric.wallet")
	require.NoError(t, os.Mkdir(nowhere.Wallet, 0o700))
	requireBroken(t, Diagnose(t.Context(), nowhere, Question{}), hopIdentity, "it is empty", "cert.pem and key.pem")
	require.NoError(t, os.Remove(cfg.Profile))
	requireBroken(t, Diagnose(t.Context(), cfg, Question{}), hopPeers, "fabric.profile")
	cfg.Channels = nil
	requireBroken(t, Diagnose(t.Context(), cfg, Question{}), hopConfig, "fabric.channels")
}

func TestDoctorIsContentWithWhatWorks(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.mine()
	checks := Diagnose(t.Context(), setUp(t, "grpc://"+f.address, nil), Question{})
	var hops []string
	for _, c := range checks {
		require.NotEqual(t, CheckFailed, c.State, "%+v", c)
		require.NotEqual(t, CheckWarning, c.State, "%+v", c)
		hops = append(hops, c.Hop)
	}
	require.Equal(t, []string{hopConfig, hopPeers, hopIdentity, hopName, hopTCP, hopTLS, hopGRPC, hopMSP, hopChannel, hopBlocks, hopOrderer, hopChaincode}, hops)
}

func TestDoctorEndsInTime(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.set(func() { f.mute, f.hangs = true, true })
	cfg := setUp(t, "grpc://"+f.address, nil)
	cfg.Channels = []string{"ch1", "ch3", "ch4", "ch5"} // none of them answers
	start := time.Now()
	checks := Diagnose(t.Context(), cfg, Question{Chaincode: "assets"})
	require.Less(t, time.Since(start), 10*time.Second)
	c := find(checks, CheckFailed)
	require.NotNil(t, c)
	require.Equal(t, hopBlocks, c.Hop)
	require.Contains(t, c.Detail, "no answer within 3s")
	require.Contains(t, c.Fix, "slow link")

	f.set(func() { f.frozen = true })
	requireBroken(t, Diagnose(t.Context(), cfg, Question{}), hopMSP, "no answer within 3s", "see the peer's log")

	over, cancel := context.WithCancel(t.Context())
	cancel()
	var x exam
	require.False(t, x.hop(over, answers, "ch1", hopBlocks, func(context.Context) (string, error) { return "never asked", nil }))
	require.Equal(t, "no time is left for it", x.checks[0].Detail)
}

func TestDoctorComparesPeers(t *testing.T) {
	t.Parallel()
	peers := func(heights ...uint64) (out []*peerExam) {
		for i, h := range heights {
			out = append(out, &peerExam{exam: exam{peer: string(rune('a' + i))}, heads: map[string]uint64{"ch1": h}})
		}
		return append(out, &peerExam{exam: exam{peer: "down"}})
	}
	var x exam
	x.compare([]string{"ch1", "ch2"}, peers(7))
	require.Empty(t, x.checks, "one peer has nobody to be behind of")
	x.compare([]string{"ch1", "ch2"}, peers(100, 60, 80))
	require.Len(t, x.checks, 1)
	require.Equal(t, CheckOK, x.checks[0].State)
	require.Equal(t, "3 peers, 40 blocks apart", x.checks[0].Detail)
	x.compare([]string{"ch1"}, peers(100, 49, 80))
	require.Equal(t, CheckWarning, x.checks[1].State)
	require.Contains(t, x.checks[1].Detail, "b only 49: it is 51 behind")
}
