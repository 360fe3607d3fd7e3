package msgs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/msgs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCodesAreWellFormed(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^PY10[0-9]{3}$`)
	last := ""
	for _, c := range msgs.All() {
		require.Regexp(t, form, c.ID)
		require.Greater(t, c.ID, last, "codes are unique and in order")
		last = c.ID
		require.GreaterOrEqual(t, c.Status, 400)
		require.Less(t, c.Status, 600)
		require.NotEmpty(t, c.Meaning, c.ID)
		require.Equal(t, strings.Count(c.Format, "%"), strings.Count(c.Format, "%s"), "%s: inserts are texts", c.ID)
	}
}

// A code that is declared and not listed would answer with its bare number.
func TestEveryDeclaredCodeIsListed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	require.NoError(t, err)
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.HasPrefix(lit.Value, `"PY10`) {
			declared = append(declared, strings.Trim(lit.Value, `"`))
		}
		return true
	})
	var listed []string
	for _, c := range msgs.All() {
		listed = append(listed, c.ID)
	}
	slices.Sort(declared)
	require.Equal(t, declared, listed)
}

func TestTextsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, c := range msgs.All() {
				inserts := make([]string, strings.Count(c.Format, "%s"))
				for i := range inserts {
					inserts[i] = "100%d"
				}
				text := c.Text(t.Context(), inserts...)
				if want := c.ID + ": " + strings.ReplaceAll(c.Format, "%s", "100%d"); text != want {
					t.Errorf("%q, want %q", text, want)
				}
			}
		})
	}
	wg.Wait()
}
