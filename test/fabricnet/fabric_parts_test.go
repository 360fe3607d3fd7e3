//go:build fabric

package fabricnet

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFabricLatePeer(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{LatePeer: true, Channels: []ChannelOptions{{Name: "other"}}}), t.Context()
	late := n.LatePeer()
	require.Equal(t, "peer1.org1", late)
	require.True(t, n.Nodes()[late])
	profile := func() string {
		b, err := os.ReadFile(n.Profile())
		require.NoError(t, err)
		return string(b)
	}
	require.NotContains(t, profile(), "peer1.org1.test")
	require.NoError(t, n.Invoke(ctx, "create", "before", "1"))
	last, err := n.JoinLatePeer(ctx)
	require.NoError(t, err)
	require.Contains(t, profile(), "peers: [peer1.org1.test, peer0.org1.test]")
	_, err = n.JoinLatePeer(ctx)
	require.ErrorContains(t, err, "has joined already")
	require.NoError(t, n.WaitReady(ctx), "it takes and endorses transactions like any other")

	require.NoError(t, n.Invoke(ctx, "create", "after", "1"))
	fetch := func(node string, block uint64) error {
		_, err := n.PeerOn(ctx, node, "channel", "fetch", strconv.FormatUint(block, 10), filepath.Join(t.TempDir(), "block"), "-c", Channel)
		return err
	}
	require.Eventually(t, func() bool { return fetch(late, last+1) == nil }, 30*time.Second, 50*time.Millisecond)
	require.Error(t, fetch(late, last))
	require.NoError(t, fetch(NodePeer1, last))
	for _, id := range []string{"before", "after"} {
		require.Eventually(t, func() bool {
			_, err := n.PeerOn(ctx, late, "chaincode", "query", "-C", Channel, "-n", Chaincode, "-c", `{"Args":["read","`+id+`"]}`)
			return err == nil
		}, 30*time.Second, 50*time.Millisecond, id)
	}
	require.NoError(t, n.Stop())
	require.NoError(t, n.Start(ctx))
	require.Contains(t, profile(), "peers: [peer1.org1.test, peer0.org1.test]", "that it joined is remembered")
	require.Error(t, fetch(late, last))
}

func TestFabricCertificates(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{}), t.Context()
	p, err := n.peer(NodePeer1)
	require.NoError(t, err)
	ca, err := readCertificate(p.Org.TLSCA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	shake := func() error {
		conn, err := tls.Dial("tcp", address(p.Ports.Peer), &tls.Config{RootCAs: roots, ServerName: p.Host, NextProtos: []string{"h2"}})
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	require.NoError(t, shake())
	require.NoError(t, n.ServeCertificate(ctx, NodePeer1, Expired))
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, shake(), &invalid)
	require.Equal(t, x509.Expired, invalid.Reason, "and nothing else is wrong with it")
	require.NoError(t, n.ServeCertificate(ctx, NodePeer1, OtherHost))
	var hostname x509.HostnameError
	require.ErrorAs(t, shake(), &hostname)
	require.NoError(t, n.ServeCertificate(ctx, NodePeer1, Good))
	require.NoError(t, shake())
	require.NoError(t, n.WaitReady(ctx))

	require.NoError(t, n.RequireClientCertificate(ctx, NodePeer1))
	greet := func(show Certificate) error { // with TLS 1.3 a client learns only after the handshake that his certificate is not wanted
		cfg := &tls.Config{RootCAs: roots, ServerName: p.Host, NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12}
		cert, key, err := n.ClientCertificate(1, show)
		require.NoError(t, err)
		pair, err := tls.X509KeyPair(cert, key)
		require.NoError(t, err)
		cfg.Certificates = []tls.Certificate{pair}
		conn, err := tls.Dial("tcp", address(p.Ports.Peer), cfg)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	require.NoError(t, greet(Good))
	require.ErrorContains(t, greet(Expired), "certificate")
	require.NoError(t, n.Stop())
	require.NoError(t, renderFile(n.l.core(p), "core.yaml", coreOf(p, n.o)))
	require.NoError(t, n.Start(ctx))

	require.NoError(t, n.AddExpiredIdentity(1, "old"))
	cert, err := readCertificate(filepath.Join(n.Wallet(), "old", "cert.pem"))
	require.NoError(t, err)
	require.True(t, cert.NotAfter.Before(time.Now()))
	// The peer command signs with what lies in an MSP folder.
	folder := filepath.Join(t.TempDir(), "msp")
	require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Dir(filepath.Dir(p.Org.User.Cert)))))
	query := func() error {
		env := []string{"FABRIC_CFG_PATH=" + n.l.path("config", p.Node), "CORE_PEER_MSPCONFIGPATH=" + folder, "FABRIC_LOGGING_SPEC=WARN"}
		_, err := n.tool(ctx, env, "peer", "chaincode", "query", "-C", Channel, "-n", Chaincode, "-c", `{"Args":["list"]}`)
		return err
	}
	require.NoError(t, query())
	b, err := os.ReadFile(filepath.Join(n.Wallet(), "old", "cert.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "signcerts", filepath.Base(p.Org.User.Cert)), b, 0o644))
	require.ErrorContains(t, query(), "expired")
}
