package fabric

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func writeFile(t *testing.T, content string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// readPair returns certificate and key of an identity in a wallet.
func readPair(t *testing.T, wallet, name string) (cert, key string) {
	t.Helper()
	c, err := os.ReadFile(filepath.Join(wallet, name, certFile))
	require.NoError(t, err)
	k, err := os.ReadFile(filepath.Join(wallet, name, keyFile))
	require.NoError(t, err)
	return string(c), string(k)
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

// The same identity in all the forms in which it can be declared.
func TestDeclaredIdentities(t *testing.T) {
	dir := t.TempDir()
	makeIdentity(t, dir, "one", "")
	makeIdentity(t, dir, "other", "")
	cert, key := readPair(t, dir, "one")
	_, otherKey := readPair(t, dir, "other")
	t.Setenv("IDENTITY_CERT", cert)
	t.Setenv("IDENTITY_KEY", key)
	writeFile(t, cert, dir, "msp", "signcerts", "User1@org1.example.com-cert.pem")
	writeFile(t, otherKey, dir, "msp", "keystore", "1_sk")
	writeFile(t, key, dir, "msp", "keystore", "2_sk")
	writeFile(t, key, dir, "msp", "keystore", ".hidden")
	parsed, err := x509.ParsePKCS8PrivateKey([]byte(mustDecode(t, key)))
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(parsed.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	openssl := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8}})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	certPath, keyPath := writeFile(t, cert, dir, "bracket[1]", "c.pem"), writeFile(t, key, dir, "bracket[1]", "k.pem")
	w, _, _ := testWallet(t, Config{Wallet: dir, Identities: Identities{
		{Name: "pem", Certificate: cert, PrivateKey: key},
		{Name: "path", Certificate: certPath, PrivateKey: keyPath},
		{Name: "env", Certificate: "env:IDENTITY_CERT", PrivateKey: "env:IDENTITY_KEY"},
		{Name: "file", Certificate: "file:" + certPath, PrivateKey: "file:" + keyPath},
		{Name: "msp", MSPDir: filepath.Join(dir, "msp")},
		{Name: "openssl", Certificate: cert, PrivateKey: openssl},
		{Name: "elsewhere", MSPID: "Org2MSP", Certificate: cert, PrivateKey: key},
	}})
	names, err := w.names()
	require.NoError(t, err)
	require.Equal(t, []string{"elsewhere", "env", "file", "msp", "one", "openssl", "other", "path", "pem"}, names)
	want, err := w.signer("from", "one")
	require.NoError(t, err)
	for _, name := range []string{"pem", "path", "env", "file", "msp", "openssl"} {
		s, err := w.signer("from", name)
		require.NoError(t, err, name)
		require.Equal(t, want.creator, s.creator, name)
		signature, err := s.signMessage([]byte("message"))
		require.NoError(t, err)
		require.True(t, ecdsa.VerifyASN1(s.cert.PublicKey.(*ecdsa.PublicKey), want.hash([]byte("message")), signature), name)
	}
	s, err := w.signer("from", "elsewhere")
	require.NoError(t, err)
	require.Equal(t, "Org2MSP", s.id.MspID())
}

func mustDecode(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	require.NotNil(t, block)
	return string(block.Bytes)
}

// What is wrong with an identity is told with its name, the field, and never the key.
func TestBadIdentities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "one", "")
	makeIdentity(t, dir, "other", "")
	cert, key := readPair(t, dir, "one")
	_, otherKey := readPair(t, dir, "other")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rsaCert := string(makeCertificate(t, "rsa", private.Public(), private))
	writeFile(t, cert, dir, "msp", "signcerts", "c.pem")
	for want, id := range map[string]Identity{
		"certificate (" + dir + "/none.pem): no such file or directory":      {Certificate: dir + "/none.pem", PrivateKey: key},
		"privateKey (env:PYRALIS_NONE): env:PYRALIS_NONE cannot be read":     {Certificate: cert, PrivateKey: "env:PYRALIS_NONE"},
		"privateKey is not the key of fabric.identities[0].certificate":      {Certificate: cert, PrivateKey: otherKey},
		"privateKey: there is no private key in PEM form in it":              {Certificate: cert, PrivateKey: cert},
		"privateKey: it is encrypted":                                        {Certificate: cert, PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))},
		"certificate: failed to parse certificate":                           {Certificate: "-----BEGIN nothing", PrivateKey: key},
		"unsupported key type: *rsa.PrivateKey: use one of ECDSA or Ed25519": {Certificate: rsaCert, PrivateKey: pkcs8(t, private)},
		filepath.Join(dir, "msp", "keystore") + "): no such file":            {MSPDir: filepath.Join(dir, "msp")},
	} {
		id.Name = "broken"
		w, _, _ := testWallet(t, Config{Identities: Identities{id}})
		_, err := w.signer("from", "broken")
		requireKind(t, err, ffcapi.Internal, `identity "broken": fabric.identities[0].`)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "BEGIN")
	}
	for want, ids := range map[string]Identities{
		"[0].name: must be set":          {{Certificate: cert, PrivateKey: key}},
		"[1].name: \"a\" is given twice": {{Name: "a", MSPDir: dir}, {Name: "a", MSPDir: dir}},
		"[0].name: there is an identity": {{Name: "one", MSPDir: dir}},
		"[0].certificate: must be set":   {{Name: "a", PrivateKey: key}},
		"[0].privateKey: must be set":    {{Name: "a", Certificate: cert}},
		"[0].mspDir: must not be set":    {{Name: "a", Certificate: cert, PrivateKey: key, MSPDir: dir}},
	} {
		_, err := newWallet(&Config{Wallet: dir, Identities: ids}, nil)
		require.ErrorContains(t, err, "fabric.identities"+want)
	}
	w, _, _ := testWallet(t, Config{Identities: Identities{{Name: "a", Certificate: cert, PrivateKey: key}}})
	_, err = w.signer("from", "b")
	requireKind(t, err, ffcapi.InvalidInput, `from: there is no identity "b": fabric.identities has ["a"]`)
}

// Ed25519 and the larger curves of ECDSA sign as well.
func TestKindsOfKeys(t *testing.T) {
	t.Parallel()
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	w, _, _ := testWallet(t, Config{Identities: Identities{
		{Name: "large", Certificate: string(makeCertificate(t, "large", large.Public(), large)), PrivateKey: pkcs8(t, large)},
		{Name: "ed", Certificate: string(makeCertificate(t, "ed", public, private)), PrivateKey: pkcs8(t, private)},
	}})
	s, err := w.signer("from", "large")
	require.NoError(t, err)
	signature, err := s.signMessage([]byte("message"))
	require.NoError(t, err)
	require.True(t, ecdsa.VerifyASN1(&large.PublicKey, s.hash([]byte("message")), signature))
	s, err = w.signer("from", "ed")
	require.NoError(t, err)
	signature, err = s.signMessage([]byte("message"))
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, []byte("message"), signature))
}
