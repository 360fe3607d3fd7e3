package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each declaration is complete and means something: what a compiler would check, were tags code.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	names, envs := make(map[string]bool), make(map[string]bool)
	step := regexp.MustCompile(`^[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*$`) // no underscore: the variables could be confused
	for _, k := range Keys() {
		require.Regexp(t, step, k.Name)
		require.False(t, names[k.Name] || envs[k.Env], "%s is declared twice", k.Name)
		names[k.Name], envs[k.Env] = true, true
		require.Regexp(t, `^[A-Z].*[^.]\.$`, k.Doc, "%s: doc must be sentences", k.Name)
		require.NotContains(t, k.Doc, "|", "%s: doc goes into a table", k.Name)
		require.NotNil(t, k.kind.parse, "%s has a type that is no kind", k.Name)
		if k.check != "" {
			require.Contains(t, checks, k.check, k.Name)
		}
		if k.Default != "" {
			v, err := k.value(k.Default)
			require.NoError(t, err, "default of %s", k.Name)
			require.True(t, v.IsValid())
		}
		for _, bound := range []string{k.min, k.max} {
			if bound != "" {
				v, err := k.kind.parse(bound)
				require.NoError(t, err, "bound of %s", k.Name)
				require.True(t, v.CanInt(), "%s: bounds are for signed numbers", k.Name)
			}
		}
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	_, sections := declared()
	for _, s := range sections {
		if s.doc != "" {
			require.Regexp(t, `^[A-Z].*\.$`, s.doc, s.name)
		}
	}
	for _, r := range rules {
		for _, name := range r.keys {
			require.NotNil(t, newLoader().byName[name], "a rule names %s", name)
		}
	}
}

// What nobody sets has the declared default in every field, and no nil.
func TestLoadNothing(t *testing.T) {
	t.Parallel()
	cfg, err := Load(LoadOptions{})
	require.NoError(t, err)
	for _, k := range Keys() {
		field := reflect.ValueOf(cfg).Elem().FieldByIndex(k.index)
		if k.Default == "" {
			require.Zero(t, field.Len(), k.Name)
			require.False(t, field.Kind() == reflect.Slice && field.IsNil(), k.Name)
			continue
		}
		want, err := k.value(k.Default)
		require.NoError(t, err)
		require.Equal(t, want.Interface(), field.Interface(), k.Name)
	}
}

func TestConfigMarkdownIsCurrent(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(filepath.Join("..", "..", "config.md"))
	require.NoError(t, err)
	require.Equal(t, Markdown(), string(have), "config.md is stale: run make generate")
}

func TestMarkdownHasEveryKey(t *testing.T) {
	t.Parallel()
	text := Markdown()
	for _, k := range Keys() {
		require.Contains(t, text, "| `"+k.Name+"` | `"+k.Env+"` |")
	}
	require.Contains(t, text, "| `api.port` | `PYRALIS_API_PORT` | whole number | `5008` | TCP port. 0 picks a free one. From 0 to 65535. |\n")
	require.Contains(t, text, "| `log.format` | `PYRALIS_LOG_FORMAT` | `text`, `json` | `text` |")
}

func TestSizeString(t *testing.T) {
	t.Parallel()
	for text, size := range map[string]Size{"0": 0, "1": 1, "1KiB": 1024, "1500": 1500, "4MiB": 4 << 20, "1025KiB": 1025 << 10, "1TiB": 1 << 40} {
		require.Equal(t, text, size.String())
		back, err := parseSize(text)
		require.NoError(t, err)
		require.Equal(t, size, back)
	}
}
