package fabric

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// testWallet is a wallet whose clock is moved by hand, and what it logs.
func testWallet(t *testing.T, cfg Config) (w *wallet, pass func(time.Duration), logged *bytes.Buffer) {
	t.Helper()
	logged = &bytes.Buffer{}
	l := logrus.New()
	l.SetOutput(logged)
	cfg.MSPID = "Org1MSP"
	w, err := newWallet(&cfg, logrus.NewEntry(l))
	require.NoError(t, err)
	now := time.Now()
	w.now = func() time.Time { return now }
	w.expiry.now = w.now
	return w, func(d time.Duration) { now = now.Add(d) }, logged
}

func TestWallet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "bob", "Org2MSP")
	makeIdentity(t, dir, "alice", "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
	w, _, _ := testWallet(t, Config{Wallet: dir})
	names, err := w.names()
	require.NoError(t, err)
	require.Equal(t, []string{"alice", "bob"}, names)

	alice, err := w.signer("from", "alice")
	require.NoError(t, err)
	require.Equal(t, "Org1MSP", alice.id.MspID(), "the configured organisation is meant where the wallet names none")
	require.Equal(t, "Org1MSP/alice", signerName(alice.creator))
	bob, err := w.signer("from", "bob")
	require.NoError(t, err)
	require.Equal(t, "Org2MSP/bob", signerName(bob.creator))
	require.Empty(t, signerName([]byte("nonsense")))

	var id msp.SerializedIdentity
	require.NoError(t, proto.Unmarshal(alice.creator, &id))
	block, _ := pem.Decode(id.GetIdBytes())
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	signature, err := alice.signMessage([]byte("message"))
	require.NoError(t, err)
	sum := sha256.Sum256([]byte("message"))
	require.True(t, ecdsa.VerifyASN1(cert.PublicKey.(*ecdsa.PublicKey), sum[:], signature))
}

// Files are read again once a second at most, parsed when they differ, and a change for the worse changes nothing.
func TestWalletFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "alice", "")
	w, pass, logged := testWallet(t, Config{Wallet: dir})
	signer := func() *signer {
		t.Helper()
		s, err := w.signer("from", "alice")
		require.NoError(t, err)
		return s
	}
	first := signer()
	pass(2 * fresh)
	require.Same(t, first, signer(), "an identity that does not change is parsed once")
	makeIdentity(t, dir, "alice", "Org3MSP")
	require.Same(t, first, signer(), "files are not looked at for each call")
	pass(2 * fresh)
	second := signer()
	require.Equal(t, "Org3MSP", second.id.MspID())
	require.NotEqual(t, first.creator, second.creator)

	cert := filepath.Join(dir, "alice", certFile)
	old, err := os.ReadFile(cert)
	require.NoError(t, err)
	for name, spoil := range map[string]func() error{
		"nonsense": func() error { return os.WriteFile(cert, []byte("x"), 0o600) },
		"missing":  func() error { return os.Remove(cert) },
	} {
		require.NoError(t, spoil(), name)
		logged.Reset()
		for range 3 {
			pass(2 * fresh)
			require.Same(t, second, signer(), name)
		}
		require.Equal(t, 1, strings.Count(logged.String(), "level=warning"), logged.String())
		require.Contains(t, logged.String(), certFile)
		require.Contains(t, logged.String(), "identity=alice")
	}
	require.NoError(t, os.WriteFile(cert, old, 0o600))
	pass(2 * fresh)
	require.Same(t, second, signer())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "alice")))
	pass(2 * fresh)
	_, err = w.signer("from", "alice")
	requireKind(t, err, ffcapi.InvalidInput, `there is no identity "alice"`)
}

// An identity that no peer would take is refused here, by name, and is taken again once it is renewed.
func TestWalletKnowsTheTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "alice", "")
	w, pass, _ := testWallet(t, Config{Wallet: dir})
	pass(-3 * 365 * 24 * time.Hour)
	_, err := w.signer("from", "alice")
	requireKind(t, err, ffcapi.Unauthorized, `identity "alice": its certificate is not valid before`)
	pass((3*365*24 + 2) * time.Hour)
	_, err = w.signer("from", "alice")
	requireKind(t, err, ffcapi.Unauthorized, `identity "alice": its certificate expired at`)
	_, err = w.find("from", "alice")
	require.NoError(t, err)
}

func TestWalletEd25519(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	writeIdentity(t, dir, "ed", "", makeCertificate(t, "ed", public, private), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	w, _, _ := testWallet(t, Config{Wallet: dir})
	s, err := w.signer("from", "ed")
	require.NoError(t, err)
	signature, err := s.signMessage([]byte("message"))
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, []byte("message"), signature), "the message is signed, not a digest")
}

func TestWalletRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "alice", "")
	makeIdentity(t, dir, "mixed", "")
	cert, err := os.ReadFile(filepath.Join(dir, "alice", certFile))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mixed", certFile), cert, 0o600))
	writeIdentity(t, dir, "noCert", "", []byte("x"), nil)
	writeIdentity(t, dir, "noKey", "", cert, []byte("x"))
	w, _, _ := testWallet(t, Config{Wallet: dir})
	for name, want := range map[string]string{
		"mixed": "key.pem is not the key of cert.pem", "noCert": "cert.pem: ", "noKey": "key.pem: ",
	} {
		_, err := w.signer("from", name)
		requireKind(t, err, ffcapi.Internal, want)
		require.ErrorContains(t, err, name)
	}
	for _, name := range []string{"", "nobody", "..", "a/b", "/etc"} {
		_, err := w.signer("from", name)
		requireKind(t, err, ffcapi.InvalidInput, "from: ")
	}
	w, _, _ = testWallet(t, Config{Wallet: filepath.Join(dir, "none")})
	_, err = w.names()
	require.ErrorIs(t, err, os.ErrNotExist)
}
