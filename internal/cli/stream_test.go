package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestStreamsAndListeners(t *testing.T) {
	t.Parallel()
	url, stop := dev(t, t.TempDir())
	defer stop()
	run := func(args ...string) (string, error) {
		t.Helper()
		stdout, _, err := execute(t.Context(), append(args, "--url", url)...)
		return stdout.String(), err
	}
	fine := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		require.NoError(t, err, "%v", args)
		return out
	}
	require.Regexp(t, `^NAME +TYPE +STATE .*\neverywhere +websocket `, fine("stream", "create", "everywhere", "--distribution-mode", "broadcast", "--spec", `{"batchSize":3}`))
	fine("stream", "create", "asleep", "--suspended")
	var list []apitypes.EventStreamWithStatus
	require.NoError(t, json.Unmarshal([]byte(fine("stream", "list", "-o", "json")), &list))
	require.Len(t, list, 3)
	require.JSONEq(t, `{"distributionMode":"broadcast"}`, string(list[1].WebSocket))
	require.Equal(t, uint64(3), *list[1].BatchSize)
	require.True(t, *list[2].Suspended)
	require.Regexp(t, `(?s)^NAME.*asleep +websocket +suspended`, fine("stream", "list", "--after", "everywhere", "--limit", "1"))
	require.NotContains(t, fine("stream", "resume", "asleep"), "suspended")
	out := fine("stream", "suspend", "asleep", list[1].ID.String())
	require.Equal(t, 2, strings.Count(out, "suspended"))
	fine("stream", "resume", "everywhere")

	filter := `{"contract":"assets","event":"AssetCreated"}`
	require.Regexp(t, `^NAME +TYPE +STREAM +FROM +STANDS AT +SIGNATURE\none +events +\S+ +earliest +assets:AssetCreated`, fine("listener", "create", "everywhere", "--name", "one", "--from", "earliest", "--filter", filter))
	chosen := fine("listener", "create", "everywhere", "--name", "chosen", "--filter", filter, "--where", `.data.owner != "bob"`, "--transform", ".data.id", "--output", "json")
	require.Contains(t, chosen, `"where": ".data.owner != \"bob\""`)
	require.Contains(t, chosen, `"transform": ".data.id"`)
	fine("listener", "delete", "everywhere", "chosen")
	fine("listener", "create", "everywhere", "--spec", `{"name":"two","type":"transactions","filters":[{"status":"Failed"}]}`)
	require.Equal(t, 3, strings.Count(fine("listener", "list", "everywhere"), "\n"))
	require.Equal(t, 4, strings.Count(fine("listener", "list"), "\n"), "with that of the sample")

	fine("tx", "submit", "--from", "alice", "--to", "assets", "--method", "create", "--param", "car-1", "--param", "1", "--wait", "20s")
	out = fine("listen", "everywhere", "--count", "1", "--window", "4")
	require.Contains(t, out, `"AssetCreated"`)
	require.Equal(t, out, fine("listen", "everywhere", "--from", "earliest", "--count", "1"), "it is delivered again")
	require.Regexp(t, `^NAME +TYPE +STOOD AT +BEGINS AT +AGAIN +PASSED OVER\none +events +\S+/0/0 +0/0/0 +1 *\ntwo +transactions +\d+ +\d+ +\d+ *\n$`,
		fine("stream", "reset", "everywhere", "--from", "earliest", "--dry-run"))
	require.Equal(t, 3, strings.Count(fine("stream", "reset", "everywhere"), "\n"))
	require.Equal(t, 2, strings.Count(fine("stream", "reset", "everywhere", "--listener", "one", "--from", "5"), "\n"))

	shown := fine("listener", "show", "everywhere", "two", "one")
	require.Regexp(t, `^NAME +TYPE +STREAM +FROM +STANDS AT +SIGNATURE\ntwo +transactions +\S+ +earliest +\d+ .*\none +events +\S+ +5 +5/0/0 +assets:AssetCreated *\n$`, shown)
	var one []apitypes.ListenerWithStatus
	require.NoError(t, json.Unmarshal([]byte(fine("listener", "show", "everywhere", "one", "-o", "json")), &one))
	require.Equal(t, uint64(5), one[0].Checkpoint.Block)
	require.Regexp(t, `one +events +5/0/0 +0/0/0 +at least 1 *\n$`, fine("listener", "reset", "everywhere", "one", "--from", "earliest", "--dry-run"))
	require.Equal(t, shown, fine("listener", "show", "everywhere", "two", "one"), "a dry run changes nothing")
	require.Regexp(t, `(?s)one +events +5/0/0 +0/0/0 *\ntwo +transactions +\d+ +\d+ *\n$`, fine("listener", "reset", "everywhere", "one", "two", "--from", "earliest"))
	require.Regexp(t, `one +events +\S+ +earliest +0/0/0 `, fine("listener", "show", "everywhere", "one"))
	var err error
	out, err = run("listener", "show", "everywhere", "one", "nobody", "two")
	require.ErrorContains(t, err, "show nobody: PY10100")
	require.Equal(t, 2, strings.Count(out, "\n"), "what was found before")

	fine("listener", "delete", "everywhere", "one", "two")
	require.Equal(t, 1, strings.Count(fine("listener", "list", "everywhere"), "\n"))
	require.Empty(t, fine("stream", "delete", "everywhere", "asleep"))

	for want, args := range map[string][]string{
		"show everywhere: PY10100":        {"stream", "show", "everywhere"},
		"everywhere: PY10":                {"stream", "delete", "everywhere"},
		"--spec: give a JSON object":      {"stream", "create", "x", "--spec", `{"bachSize":3}`},
		"--spec: give one JSON object":    {"listener", "create", "assets", "--spec", `{} {}`},
		"where cannot be used: line 1":    {"listener", "create", "assets", "--filter", "{}", "--where", ".a |"},
		"--filter \"x\": give JSON":       {"listener", "create", "assets", "--filter", "x"},
		"websocket.distributionMode is":   {"stream", "create", "x", "--distribution-mode", "bogus"},
		"reset nobody: PY10":              {"stream", "reset", "assets", "--listener", "nobody"},
		"reset everywhere: PY10100":       {"stream", "reset", "everywhere"},
		"suspend everywhere: PY10100":     {"stream", "suspend", "everywhere"},
		"show nobody: PY10100":            {"listener", "show", "assets", "nobody"},
		"reset nobody: PY10100":           {"listener", "reset", "assets", "nobody", "all"},
		"requires at least 2 arg(s), onl": {"listener", "reset", "assets"},
		"reset assets: PY10200":           {"listener", "reset", "assets", "assets", "--from", "yesterday"},
		"--window 0: give 1":              {"listen", "assets", "--window", "0"},
		"fromBlock":                       {"listen", "assets", "--from", "yesterday"},
		"requires at least 2 arg(s)":      {"listener", "delete", "assets"},
		`--output "xml": give table or j`: {"stream", "list", "-o", "xml"},
	} {
		if args[0] == "listen" {
			args = append(args, "--count", "1")
		}
		out, err := run(args...)
		require.ErrorContains(t, err, want)
		require.Empty(t, out, "%v", args)
		if args[0] != "listen" && !slices.Contains(args, "-o") {
			out, err = run(append(args, "-o", "json")...)
			require.Error(t, err)
			require.Empty(t, out, "%v", args)
		}
	}
	fine("stream", "create", "hook", "--type", "webhook", "--spec", `{"webhook":{"url":"http://127.0.0.1:1/"}}`)
	_, err = run("listen", "hook")
	require.ErrorContains(t, err, "is of type webhook")
}

func TestSpecFromStandardInput(t *testing.T) {
	t.Parallel()
	var body apitypes.EventStream
	require.NoError(t, readSpec(strings.NewReader(`{"batchSize":7}`), "-", &body))
	require.Equal(t, uint64(7), *body.BatchSize)
}
