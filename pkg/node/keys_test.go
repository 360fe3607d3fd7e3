package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/store/sealed"
)

func TestEncryptionKeys(t *testing.T) {
	hexKey := strings.Repeat("0b", 32)
	t.Setenv("A_KEY_OF_THIS_TEST", hexKey)
	dir := t.TempDir()
	path := filepath.Join(dir, "odd[name]*")
	require.NoError(t, os.WriteFile(path, []byte(hexKey+"\n"), 0o600))
	for _, texts := range [][]string{nil, {hexKey}, {"env:A_KEY_OF_THIS_TEST"}, {"file:" + path, hexKey}} {
		_, err := encryptionKeys(t.Context(), &config.Store{Type: config.StorePostgres, EncryptionKeys: texts})
		require.NoError(t, err, "%q", texts)
	}
	for text, want := range map[string]string{
		"env:NOBODY_HAS_SET_THIS": "store.encryptionKeys: env:NOBODY_HAS_SET_THIS cannot be read: the environment variable is not set",
		"file:" + dir + "/none":   "store.encryptionKeys: file:" + dir + "/none cannot be read: no such file",
		"file:key":                "store.encryptionKeys: ",
		"env:HOME":                "store.encryptionKeys: key 1: it must be 32 bytes in hex or base64",
		"hunter2":                 "store.encryptionKeys: key 1: it must be 32 bytes in hex or base64",
	} {
		_, err := encryptionKeys(t.Context(), &config.Store{Type: config.StoreSQLite, EncryptionKeys: []string{text}})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}

	// The key of a SQLite store is beside it.
	require.NoError(t, os.WriteFile(filepath.Join(dir, sealed.KeyFile), []byte("broken"), 0o600))
	_, err := encryptionKeys(t.Context(), &config.Store{Type: config.StoreSQLite, SQLite: config.SQLite{Path: dir}})
	require.ErrorContains(t, err, filepath.Join(dir, sealed.KeyFile))
	_, err = encryptionKeys(t.Context(), &config.Store{Type: config.StorePostgres, SQLite: config.SQLite{Path: dir}})
	require.NoError(t, err, "it is of no concern to another store")
}
