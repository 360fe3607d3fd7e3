package faultpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryPointIsInTheListAndInTheCode: a point that is missing from the list is never tried, and one that is visited nowhere shows nothing.
func TestEveryPointIsInTheListAndInTheCode(t *testing.T) {
	t.Parallel()
	points := constants(t)
	var listed, named []string
	for _, p := range Points() {
		listed = append(listed, string(p))
	}
	for _, value := range points {
		named = append(named, value)
	}
	require.ElementsMatch(t, named, listed)

	visited := map[string]bool{}
	for _, folder := range []string{"cmd", "internal", "pkg"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for name := range visits(file) {
				require.Contains(t, points, name, path)
				visited[points[name]] = true
			}
			return nil
		}))
	}
	for _, p := range listed {
		require.True(t, visited[p], "%s is visited nowhere", p)
	}
}

// constants are the values of the points by their names in Go.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "points.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	points := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Point" {
			return true
		}
		text, ok := spec.Values[0].(*ast.BasicLit)
		require.True(t, ok)
		value, err := strconv.Unquote(text.Value)
		require.NoError(t, err)
		points[spec.Names[0].Name] = value
		return true
	})
	require.NotEmpty(t, points)
	return points
}

// visits yields the points that a file names in calls of Visit and VisitIf.
func visits(file *ast.File) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Visit", "VisitIf"}, of(call.Fun)) {
				return true
			}
			name := of(call.Args[len(call.Args)-1])
			return name == "" || yield(name)
		})
	}
}

// of is the X in faultpoint.X, or "".
func of(n ast.Expr) string {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := s.X.(*ast.Ident); !ok || pkg.Name != "faultpoint" {
		return ""
	}
	return s.Sel.Name
}
