package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestImportFFTM(t *testing.T) {
	t.Parallel()
	old := t.TempDir()
	require.NoError(t, os.CopyFS(old, os.DirFS(filepath.Join("..", "fftm", "testdata", "fftm-1.4.0", "db"))))
	file := write(t, "store: {sqlite: {path: "+t.TempDir()+"}}\nlog: {level: error}\nwebhooks: {allowPrivateIPs: true}\n"+
		"devledger: {synthetic: {historyBlocks: 30, eventBlocks: 20, eventsPerBlock: 3}}")
	run := func(args ...string) (string, map[string]apitypes.ImportEntry, error) {
		t.Helper()
		stdout, _, err := execute(t.Context(), append([]string{"import", "fftm", "-f", file}, args...)...)
		byName := make(map[string]apitypes.ImportEntry)
		var list []apitypes.ImportEntry
		if json.Unmarshal([]byte(stdout.String()), &list) == nil {
			for _, e := range list {
				byName[e.Stream+"/"+e.Listener] = e
			}
		}
		return stdout.String(), byName, err
	}
	// What this binary cannot take over may change; what it can, may not.
	table, _, _ := run("--leveldb", old, "--dry-run") //nolint:dogsled // as said above
	require.Regexp(t, `STREAM +LISTENER +ACTION +GOES ON AT +NOTES\norders +created`, table)
	require.Regexp(t, `orders +all +created +000000000004/000000/000000\n`, table)
	_, first, _ := run("--leveldb", old, "--back", "2", "-o", "json")
	require.Equal(t, apitypes.ImportEntry{
		Stream: "orders", Listener: "all", ID: "01a1ffaf-2cfb-1b6f-a393-471cea6fb469", Action: "created", Position: "000000000002/000000/000000",
	}, first["orders/all"])
	_, second, _ := run("--leveldb", old, "-o", "json")
	require.Equal(t, "updated", second["orders/all"].Action, "the dry run has written nothing, and the first import has")
	require.Equal(t, "unchanged", second["hook/past"].Action)

	for want, args := range map[string][]string{
		"give either --leveldb or --from":                     nil,
		"give either --leveldb or --from (both)":              {"--leveldb", old, "--from", "http://127.0.0.1:1"},
		"--from needs --back: FFTM tells how far it has read": {"--from", "http://127.0.0.1:1"},
		`--output "xml": give table or json`:                  {"--leveldb", old, "-o", "xml"},
		"is no LevelDB":                                       {"--leveldb", t.TempDir()},
		`--from: this is no URL of an FFTM`:                   {"--from", "nowhere", "--back", "0"},
	} {
		_, _, err := run(args...)
		if want == "give either --leveldb or --from (both)" {
			want = "give either --leveldb or --from"
		}
		require.ErrorContains(t, err, want)
	}

	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	defer empty.Close()
	_, none, err := run("--from", empty.URL, "--back", "0", "-o", "json")
	require.NoError(t, err)
	require.Empty(t, none)

	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := "[]"
		if r.URL.Path == "/eventstreams" {
			answer = `[{"id":"01a1ffaf-2cfb-1b6f-a393-471cea6fb46a","name":"by pigeon","type":"pigeon"}]`
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer strange.Close()
	table, _, err = run("--from", strange.URL, "--back", "0")
	require.EqualError(t, err, "1 of 1 streams and listeners are not taken over; the report says why")
	require.Regexp(t, `by pigeon +skipped +type is "pigeon"`, table)
}
