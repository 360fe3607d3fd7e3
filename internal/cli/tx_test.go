package cli

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// TestInterruptedIsNotDone: Main takes the end of a cancelled context for a success, and what waits for a transaction must not look like one.
func TestInterruptedIsNotDone(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			interrupt()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"one","status":"Pending"}`) // the client tells
	}))
	defer node.Close()
	_, _, err := execute(ctx, "tx", "--url", node.URL, "submit", "--from", "alice", "--method", "create", "--wait", "20s")
	require.ErrorContains(t, err, "interrupted")
	require.NotErrorIs(t, err, context.Canceled)
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	url, stop := dev(t, t.TempDir())
	defer stop()
	tx := func(args ...string) (string, error) {
		t.Helper()
		stdout, _, err := execute(t.Context(), append([]string{"tx", "--url", url}, args...)...)
		return stdout.String(), err
	}
	fine := func(args ...string) string {
		t.Helper()
		out, err := tx(args...)
		require.NoError(t, err)
		return out
	}
	submit := func(id string, more ...string) []string {
		return append([]string{"submit", "--id", id, "--from", "alice", "--to", "assets", "--wait", "20s"}, more...)
	}
	out := fine(submit("one", "--method", "create", "--param", "car-1", "--param", `{"colour":"blue"}`, "--label", "objectId=car-1", "--label", "kind=a=b")...)
	require.Regexp(t, `^ID +STATUS +SUBSTATUS +FROM +TO +UPDATED +MESSAGE\none +Succeeded +Confirmed +alice +assets +20`, out)
	out, err := tx("submit", "--id", "two", "--from", "alice", "--to", "assets", "--method", "fail", "--param", "no way", "--wait", "20s")
	require.ErrorContains(t, err, "no way", "the contract refuses")
	require.Empty(t, out)
	fine("submit", "--id", "two", "--from", "bob", "--to", "assets", "--method", `"create"`, "--param", `"5"`, "--param", "5", "--confirmations", "3", "-o", "json")

	var got apitypes.TransactionWithStatus
	require.NoError(t, json.Unmarshal([]byte(fine("get", "two", "--wait", "20s", "-o", "json", "--history")), &got))
	require.Equal(t, "Succeeded", got.Status)
	require.Equal(t, 3, *got.Required)
	require.NotEmpty(t, got.History)
	out = fine("get", "one", "--history")
	require.Contains(t, out, "Confirm")
	require.Contains(t, out, "TIME ")

	for want, args := range map[string][]string{
		"two one": {},
		"one two": {"--ascending"},
		"two":     {"--limit", "1"},
		"one":     {"--label", "objectId=car-1", "--label", "kind=a=b", "--progress", "completed,InProgress"},
		"":        {"--pending"},
		"one ":    {"--after", "two", "--signer", "alice", "--status", "Succeeded"},
		"two ":    {"--where", "from!:=ALICE", "--where", "created>2020-01-01T00:00:00Z", "--where", "created<2100-01-01T00:00:00Z"},
	} {
		var list []apitypes.Transaction
		require.NoError(t, json.Unmarshal([]byte(fine(append([]string{"list", "-o", "json"}, args...)...)), &list))
		ids := make([]string, len(list))
		for i := range list {
			ids[i] = list[i].ID
		}
		require.Equal(t, strings.TrimSpace(want), strings.Join(ids, " "), "%v", args)
	}
	require.Equal(t, "2\n", fine("list", "--count", "--where", "to^ass"))

	for _, verb := range []string{"suspend", "resume", "cancel", "retry"} {
		out, err := tx(verb, "one", "two")
		require.ErrorContains(t, err, verb+" one: PY10", "it has ended")
		require.Empty(t, out, "nothing was done until then")
	}
	for want, args := range map[string][]string{
		`--label "x": give NAME=VALUE`:                {"submit", "--label", "x"},
		`--label "a=2": a is given twice`:             {"list", "--label", "a=1", "--label", "a=2"},
		`--option "=x": give NAME=VALUE`:              {"submit", "--option", "=x"},
		`option "from": the name is a field`:          {"submit", "--option", "from=x"},
		`--output "xml": give table or json`:          {"list", "-o", "xml"},
		`--where "gasprice>5": begin with a field`:    {"list", "--where", "gasprice>5"},
		`--where "to~x": behind the field give`:       {"list", "--where", "to~x"},
		"PY10003: nonce is \"x\": give a whole":       {"list", "--where", "nonce=x"},
		"PY10100":                                     {"get", "nothing"},
		"PY10003: from is missing: give the signer":   {"submit"},
		"requires at least 1 arg(s), only received 0": {"suspend"},
	} {
		out, err := tx(args...)
		require.ErrorContains(t, err, want)
		require.Empty(t, out)
	}
}

// What a chain says must not break the table, or command the terminal.
func TestTableIsSafe(t *testing.T) {
	t.Parallel()
	at := fftypes.FFTime(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC))
	var b strings.Builder
	require.NoError(t, show(&b, outputTable, &apitypes.TransactionWithStatus{
		Transaction: apitypes.Transaction{ID: "a", Status: "Failed", Updated: &at, Progress: apitypes.Progress{Message: "no\n\x1b[2J\tmoney\u009b"}},
	}))
	require.Equal(t, "ID  STATUS  SUBSTATUS  FROM  TO  UPDATED                   MESSAGE\n"+
		"a   Failed                       2026-01-02T03:04:05.006Z  no  [2J money \n", b.String())
}
