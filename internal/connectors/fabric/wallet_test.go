package fabric

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestWallet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "bob", "Org2MSP")
	makeIdentity(t, dir, "alice", "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
	w := newWallet(dir, "Org1MSP")
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

	again, err := w.signer("from", "alice")
	require.NoError(t, err)
	require.Same(t, alice, again, "an identity is parsed once")
	makeIdentity(t, dir, "alice", "Org3MSP")
	require.NoError(t, os.Chtimes(filepath.Join(dir, "alice", certFile), time.Time{}, time.Now().Add(time.Minute)))
	renewed, err := w.signer("from", "alice")
	require.NoError(t, err)
	require.Equal(t, "Org3MSP", renewed.id.MspID(), "and again when its files change")
}

func TestWalletEd25519(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	writeIdentity(t, dir, "ed", "", makeCertificate(t, "ed", public, private), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	s, err := newWallet(dir, "Org1MSP").signer("from", "ed")
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
	w := newWallet(dir, "Org1MSP")
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
	_, err = newWallet(filepath.Join(dir, "none"), "x").names()
	require.ErrorIs(t, err, os.ErrNotExist)
}
