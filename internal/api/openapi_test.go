package api

import (
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const openAPIFile = "../../openapi.yaml"

var update = flag.Bool("update", false, "write openapi.yaml instead of comparing it")

func TestOpenAPIFileIsCurrent(t *testing.T) {
	t.Parallel()
	doc, err := OpenAPI(t.Context())
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(openAPIFile, doc, 0o600))
	}
	file, err := os.ReadFile(openAPIFile)
	require.NoError(t, err)
	require.Equal(t, string(file), string(doc), "openapi.yaml is stale: run make generate")
}

func TestOpenAPIIsDeterministic(t *testing.T) {
	t.Parallel()
	first, err := OpenAPI(t.Context())
	require.NoError(t, err)
	for range 2 {
		again, err := OpenAPI(t.Context())
		require.NoError(t, err)
		require.Equal(t, string(first), string(again))
	}
}

// Every operation is complete: a tool that reads the document finds a valid one, and a person finds every part explained.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	raw, err := OpenAPI(t.Context())
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	operations := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations++
			require.NotEmpty(t, op.Description, "%s %s", method, path)
			require.NotEmpty(t, op.Responses.Map(), "%s %s", method, path)
			for _, p := range op.Parameters {
				require.NotEmpty(t, p.Value.Description, "%s %s: %s", method, path, p.Value.Name)
			}
		}
	}
	require.Len(t, routes(), operations)
	for name, schema := range doc.Components.Schemas {
		requireExplained(t, name, schema.Value)
	}
}

func requireExplained(t *testing.T, name string, s *openapi3.Schema) {
	t.Helper()
	for field, p := range s.Properties {
		require.NotEmpty(t, p.Value.Description, "%s.%s", name, field)
		requireExplained(t, name+"."+field, p.Value)
		if p.Value.Items != nil {
			requireExplained(t, name+"."+field+"[]", p.Value.Items.Value)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.options.PublicURL = "https://node.example.com/pyralis"
	w := g.do(t, "GET /api/spec.yaml", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/yaml", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "https://node.example.com/pyralis")
	w = g.do(t, "GET /api/spec.json", "")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	_, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, http.StatusMethodNotAllowed, g.do(t, "POST /api/spec.json", "{}").Code)
}

// The user interface works without the internet.
func TestUserInterfaceIsInTheBinary(t *testing.T) {
	t.Parallel()
	g := newRig()
	w := g.do(t, "GET /", "")
	require.Equal(t, http.StatusFound, w.Code)
	require.Equal(t, "/api", w.Header().Get("Location"))
	page := g.do(t, "GET /api", "").Body.String()
	require.Contains(t, page, "/api/spec.json")
	for part := range strings.SplitSeq(page, `"`) {
		if strings.HasSuffix(part, ".js") || strings.HasSuffix(part, ".css") || strings.HasSuffix(part, ".png") {
			require.True(t, strings.HasPrefix(part, "/api/"), "%s is not in the binary", part)
			require.Equal(t, http.StatusOK, g.do(t, "GET "+part, "").Code, part)
		}
	}
}
