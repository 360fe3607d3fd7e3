package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// picky is a webhook that refuses events in which there is a word. It must be none that can be read in a hash or an id.
type picky struct {
	word  atomic.Value // string; "" for none
	taken chan string
}

func (p *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if word, _ := p.word.Load().(string); err != nil || word != "" && bytes.Contains(body, []byte(word)) {
		http.Error(w, "not that one", http.StatusUnprocessableEntity)
		return
	}
	p.taken <- string(body)
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	hook := &picky{taken: make(chan string, 100)}
	hook.word.Store("spoilt")
	receiver := httptest.NewServer(hook)
	defer receiver.Close()
	url, stop := dev(t, t.TempDir())
	defer stop()
	c := client.New(url)
	defer c.Close()
	never, soon := fftypes.FFDuration(0), fftypes.FFDuration(10*time.Millisecond)
	stream, kind, handling, from := "hook", apitypes.StreamWebhook, apitypes.ErrorHandlingSkip, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err := c.CreateStream(t.Context(), &apitypes.EventStream{
		Name: &stream, Type: &kind, ErrorHandling: &handling, RetryTimeout: &never, BlockedRetryDelay: &soon, Webhook: json.RawMessage(`{"url":"` + receiver.URL + `"}`),
	})
	require.NoError(t, err)
	listener := "assets"
	_, err = c.CreateListener(t.Context(), stream, &apitypes.Listener{Name: &listener, FromBlock: &from, Filters: []json.RawMessage{[]byte(`{"event":"AssetCreated"}`)}})
	require.NoError(t, err)
	for _, car := range []string{"spoilt-1", "good-1", "spoilt-2", "good-2"} {
		_, _, err := c.Submit(t.Context(), &client.Invocation{ID: car, From: "alice", To: "assets", Method: "create", Params: []any{car, 1}})
		require.NoError(t, err)
	}
	letters := func(args ...string) (list []*apitypes.DeadLetter) {
		t.Helper()
		stdout, _, err := execute(t.Context(), append([]string{"deadletter", "list", stream, "--url", url, "-o", "json"}, args...)...)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal([]byte(stdout.String()), &list))
		return list
	}
	run := func(args ...string) string {
		t.Helper()
		stdout, _, err := execute(t.Context(), append([]string{"deadletter", "--url", url}, args...)...)
		require.NoError(t, err)
		return stdout.String()
	}
	require.Eventually(t, func() bool { return len(letters()) == 2 }, patience, 5*time.Millisecond)
	first := letters("--limit", "1", "--listener", listener, "--kind", "refused", "--since", "2020-01-31T12:00:00Z", "--until", "2100-01-31T12:00:00Z")[0]
	second := letters("--after", first.Sequence)[0]
	require.Empty(t, letters("--before", first.Sequence))
	require.Empty(t, first.Event)
	require.Contains(t, first.Error, "not that one")
	require.Regexp(t, `^SEQUENCE +ID +LISTENER +EVENT +KIND +ATTEMPTS .*\n`+first.Sequence+` +`+first.ID+` +assets +devledger:.* refused .*\n(?s:.*)\{"id":"devledger:.*spoilt-1`, run("show", stream, first.ID))

	require.Equal(t, "1 dead letters are to be replayed\n", run("replay", stream, first.ID))
	require.Eventually(t, func() bool {
		got, err := c.DeadLetter(t.Context(), stream, first.ID)
		return err == nil && got.ReplayRequested == nil && got.Attempts > first.Attempts
	}, patience, 5*time.Millisecond, "it is refused again")
	hook.word.Store("")
	require.Equal(t, "1 dead letters are to be replayed\n", run("replay", stream, "--before", second.Sequence))
	require.Eventually(t, func() bool { return len(letters()) == 1 }, patience, 5*time.Millisecond)
	require.Equal(t, "1 dead letters are deleted\n", run("delete", stream, second.ID))
	require.Equal(t, "0 dead letters are deleted\n", run("delete", stream, "--all"))
	close(hook.taken)
	var taken strings.Builder
	for body := range hook.taken {
		taken.WriteString(body)
	}
	for car, n := range map[string]int{"good-1": 1, "good-2": 1, "spoilt-1": 1, "spoilt-2": 0} {
		require.Equal(t, n, strings.Count(taken.String(), `"`+car+`"`), "%s: %s", car, taken.String())
	}
}

func TestBadUseOfDeadLetters(t *testing.T) {
	t.Parallel()
	url, stop := dev(t, t.TempDir())
	defer stop()
	for want, args := range map[string][]string{
		"accepts 1 arg(s), received 0":                       {"list"},
		"accepts 2 arg(s), received 1":                       {"show", "assets"},
		"give the ids of dead letters, or flags":             {"replay", "assets"},
		"or flags that say which, not both":                  {"delete", "assets", "x", "--all"},
		`--since "now": give a time such as 2026`:            {"list", "assets", "--since", "now"},
		`--until "now": give a time such as 2026`:            {"delete", "assets", "--until", "now"},
		"PY10003: all is set, and yet not all are selected":  {"delete", "assets", "--all", "--kind", "refused"},
		`PY10003: kind is "odd": must be one of`:             {"list", "assets", "--kind", "odd"},
		`PY10003: listener is "none": give the name`:         {"replay", "assets", "--listener", "none"},
		`PY10003: after is "x": give the sequence of a dead`: {"list", "assets", "--after", "x"},
		"PY10100": {"list", "nothing"},
		"replay 3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a: PY10100": {"replay", "assets", "3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"},
	} {
		_, _, err := execute(t.Context(), append([]string{"deadletter", "--url", url}, args...)...)
		require.ErrorContains(t, err, want)
	}
}
