package secret_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
)

func resolver(t *testing.T, allow ...string) *secret.Resolver {
	t.Helper()
	vars := map[string]string{"HOOK_KEY": "k1", "HOOK_OTHER": "k2", "DATABASE": "hunter2", "HOOK_EMPTY": ""}
	r, err := secret.New(secret.Options{Allow: allow, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	require.NoError(t, err)
	return r
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := write(t, dir, "key", "from a file\n")
	write(t, dir, "empty", "\n")
	write(t, dir, "long", strings.Repeat("x", 9000))
	write(t, dir, "sub/key", "deeper")
	require.NoError(t, os.Symlink(key, filepath.Join(dir, "link")))
	r := resolver(t, "env:HOOK_*", "file:"+dir+"/*")
	for ref, want := range map[string]string{
		"env:HOOK_KEY": "k1", "env:HOOK_OTHER": "k2", "file:" + key: "from a file", "file:" + filepath.Join(dir, "link"): "from a file",
	} {
		got, err := r.Resolve(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, r.Check(ref))
		require.True(t, r.IsReference(ref))
	}
	for ref, want := range map[string]string{
		"env:DATABASE":             "env:DATABASE is not allowed: list it in the key secrets.allow of the configuration",
		"file:/etc/passwd":         "file:/etc/passwd is not allowed: list it in the key secrets.allow of the configuration",
		"file:" + dir + "/sub/key": "file:" + dir + "/sub/key is not allowed: list it in the key secrets.allow of the configuration",
		"file:" + dir + "/../x":    "must name a file by its whole path without . and .., such as file:/run/secrets/key",
		"file:key":                 "must name a file by its whole path without . and .., such as file:/run/secrets/key",
		"file:":                    "must name a file by its whole path without . and .., such as file:/run/secrets/key",
		"env:":                     "must name an environment variable, such as env:HOOK_KEY",
		"env:HOOK_A=B":             "must name an environment variable, such as env:HOOK_KEY",
		"vault:x":                  "must be a reference such as env:HOOK_KEY, file:/run/secrets/key or awssm:hooks/key",
		"awssm:":                   "must name a secret of AWS Secrets Manager, such as awssm:hooks/key, or a member of it, such as awssm:hooks/all#key",
		"awssm:hooks/key#":         "must name a secret of AWS Secrets Manager, such as awssm:hooks/key, or a member of it, such as awssm:hooks/all#key",
		"awssm:hooks key":          "must name a secret of AWS Secrets Manager, such as awssm:hooks/key, or a member of it, such as awssm:hooks/all#key",
		"awssm:hooks/key":          "awssm:hooks/key is not allowed: list it in the key secrets.allow of the configuration",
		"env:HOOK_MISSING":         "env:HOOK_MISSING cannot be read: the environment variable is not set",
		"env:HOOK_EMPTY":           "env:HOOK_EMPTY is empty",
		"file:" + dir + "/missing": "file:" + dir + "/missing cannot be read: no such file or directory",
		"file:" + dir + "/sub":     "file:" + dir + "/sub cannot be read: it is not a file",
		"file:" + dir + "/empty":   "file:" + dir + "/empty is empty",
		"file:" + dir + "/long":    "file:" + dir + "/long has more than 8192 bytes",
	} {
		_, err := r.Resolve(t.Context(), ref)
		require.EqualError(t, err, want)
	}
	require.False(t, r.IsReference("Bearer env:X"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Resolve(ended, "env:HOOK_KEY")
	require.ErrorIs(t, err, context.Canceled)
}

// Nothing is allowed unless it is listed, and a secret that changes counts at once.
func TestOnlyWhatIsListed(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"env:HOOK_KEY", "file:/etc/hostname"} {
		require.Error(t, resolver(t).Check(ref))
		_, err := resolver(t).Resolve(t.Context(), ref)
		require.Error(t, err)
	}
	path := write(t, t.TempDir(), "key", "old")
	r := resolver(t, "file:"+path)
	for _, want := range []string{"old", "new"} {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		got, err := r.Resolve(t.Context(), "file:"+path)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestBadLists(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "*", "HOOK_KEY", "env:", "env:[", "file:secrets/*", "file:/a/../b", "vault:x", "awssm:"} {
		_, err := secret.New(secret.Options{Allow: []string{"env:FINE", bad}})
		require.ErrorContains(t, err, `"`+bad+`"`)
	}
}

// Without a Lookup it is the environment of the process.
func TestEnvironment(t *testing.T) {
	t.Setenv("HOOK_FROM_OUTSIDE", "here")
	r, err := secret.New(secret.Options{Allow: []string{"env:HOOK_*"}})
	require.NoError(t, err)
	got, err := r.Resolve(t.Context(), "env:HOOK_FROM_OUTSIDE")
	require.NoError(t, err)
	require.Equal(t, "here", got)
}

// Where nothing reads secrets of AWS, a reference to one says so.
func TestNoAWS(t *testing.T) {
	t.Parallel()
	_, err := resolver(t, "awssm:*").Resolve(t.Context(), "awssm:key")
	require.EqualError(t, err, "awssm:key cannot be read: secrets of AWS cannot be used here")
}
