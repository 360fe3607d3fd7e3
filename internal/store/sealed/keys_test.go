package sealed

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	oldKey = strings.Repeat("0a", keySize)
	newKey = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", keySize)))
)

func keysOf(t *testing.T, dir string, texts ...string) *Keys {
	t.Helper()
	k, err := NewKeys(texts, dir)
	require.NoError(t, err)
	return k
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := keysOf(t, "", oldKey)
	a, err := k.seal([]byte("the secret"), "1 tx")
	require.NoError(t, err)
	require.NotContains(t, string(a), "secret")
	b, err := k.seal([]byte("the secret"), "1 tx")
	require.NoError(t, err)
	require.NotEqual(t, a, b, "equal texts must not look equal")

	plain, err := k.open(a, "1 tx")
	require.NoError(t, err)
	require.Equal(t, "the secret", string(plain))
	_, err = k.open(a, "2 tx")
	require.ErrorIs(t, err, errDamaged, "it belongs to another attempt")
	for i := range a {
		damaged := append([]byte{}, a...)
		damaged[i] ^= 1
		_, err = k.open(damaged, "1 tx")
		require.Error(t, err, "byte %d", i)
	}
	for n := range a {
		_, err = k.open(a[:n], "1 tx")
		require.Error(t, err, "%d bytes", n)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	piece, err := keysOf(t, "", oldKey).seal([]byte("x"), "p")
	require.NoError(t, err)
	both := keysOf(t, "", newKey, oldKey)
	plain, err := both.open(piece, "p")
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	fresh, err := both.seal([]byte("x"), "p")
	require.NoError(t, err)
	_, err = keysOf(t, "", newKey).open(fresh, "p")
	require.NoError(t, err, "the first key encrypts")
	_, err = keysOf(t, "", newKey).open(piece, "p")
	require.ErrorContains(t, err, hex.EncodeToString(piece[1:1+idSize])+", which is not there: add it to store.encryptionKeys")
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, KeyFile)
	k := keysOf(t, dir)
	require.NoFileExists(t, path, "none is needed yet")
	var wg sync.WaitGroup
	pieces := make([][]byte, 8)
	for i := range pieces {
		wg.Go(func() { pieces[i], _ = k.seal([]byte("x"), "p") }) // an error leaves nil, which cannot be opened
	}
	wg.Wait()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")
	for _, again := range []*Keys{keysOf(t, dir), keysOf(t, dir, newKey)} {
		for _, piece := range pieces {
			_, err = again.open(piece, "p")
			require.NoError(t, err)
		}
	}

	require.NoError(t, os.WriteFile(path, []byte("no key\n"), 0o600))
	_, err = NewKeys(nil, dir)
	require.ErrorContains(t, err, path+": it must be 32 bytes")
}

// A key that is put back while the process runs is not made anew.
func TestKeyFileThatAppears(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keysOf(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, KeyFile), []byte(oldKey+"\n"), 0o600))
	piece, err := k.seal([]byte("x"), "p")
	require.NoError(t, err)
	_, err = keysOf(t, "", oldKey).open(piece, "p")
	require.NoError(t, err)
}

func TestNoKey(t *testing.T) {
	t.Parallel()
	_, err := keysOf(t, "").seal([]byte("x"), "p")
	require.ErrorContains(t, err, "set store.encryptionKeys")
	_, err = keysOf(t, filepath.Join(t.TempDir(), "gone")).seal([]byte("x"), "p")
	require.ErrorContains(t, err, "file of the encryption key")
	for _, text := range []string{"", "abc", oldKey + "00", oldKey[2:], newKey[4:], "not a key at all"} {
		_, err := NewKeys([]string{newKey, text}, "")
		require.ErrorContains(t, err, "key 2: it must be 32 bytes in hex or base64", "%q", text)
		require.NotContains(t, err.Error(), oldKey[2:], "the key is not shown")
	}
}
