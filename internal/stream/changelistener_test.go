package stream

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestChangeFilters(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log))
	for name, filters := range map[string][]string{
		"failed":    {`{"status":"failed"}`},
		"bob":       {`{"signer":"bob"}`},
		"ledger":    {`{"ledger":"one"}`},
		"sub":       {`{"subStatus":"Tracking"}`},
		"both":      {`{"label.kind":"x","status":"Succeeded"}`},
		"either":    {`{"label.kind":"y"}`, `{"signer":"bob"}`},
		"end":       {`{"label.last":""}`},
		"otherKind": {`{"label.kind":"z"}`, `{"label.last":""}`},
	} {
		r.stream(name)
		r.changes(name, "", filters...)
	}
	label := func(name, value string) func(e *store.StatusEntry) {
		return func(e *store.StatusEntry) { e.Tx.Labels = map[string]string{name: value} }
	}
	log.add(
		tx("plain"),
		tx("failed", func(e *store.StatusEntry) { e.Status, e.Sub = store.Failed, store.SubFailed }),
		tx("bob", func(e *store.StatusEntry) { e.Tx.From = "bob" }),
		tx("x", label("kind", "x")),
		tx("x failed", label("kind", "x"), func(e *store.StatusEntry) { e.Status = store.Failed }),
		tx("y", label("kind", "y")),
		tx("one", func(e *store.StatusEntry) { e.Tx.Ledger = "one" }),
		tx("tracking", func(e *store.StatusEntry) { e.Status, e.Sub = store.Pending, store.SubTracking }),
		tx("gone", func(e *store.StatusEntry) { e.Tx = nil }),
		tx("end", label("last", "")),
	)
	for name, want := range map[string][]string{
		"failed": {"failed", "x failed"},
		"bob":    {"bob", "gone"},
		"ledger": {"one", "gone"},
		"sub":    {"tracking"},
		"both":   {"x", "gone"},
		"either": {"bob", "y", "gone"},
		"end":    {"gone", "end"},
		// The positions of those that match nothing move as well.
		"otherKind": {"gone", "end"},
	} {
		require.Equal(t, want, r.take(name, len(want)), name)
		r.quiet(name)
	}
}

func TestChangeListenersAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 20)
	log.trim(9)
	r := newRig(t, withLog(log))
	r.stream("s")
	for filter, want := range map[string]string{
		`{"colour":"red"}`:    "filters[0].colour is not known: filter by status, subStatus, signer, ledger or label.<name>",
		`{"label.":"red"}`:    "filters[0].label. is not known",
		`{"status":"Done"}`:   `filters[0].status is "Done": must be one of Pending, Suspended, Succeeded, Failed`,
		`{"subStatus":"Odd"}`: `filters[0].subStatus is "Odd": must be one of Received, Prepared`,
		`{"status":1}`:        `filters[0] is {"status":1}: give objects like`,
		`{"signer":null}`:     `filters[0] is {"signer":null}: give objects like`,
		`"A"`:                 `filters[0] is "A": give objects like`,
		`null`:                `filters[0] is null: give objects like`,
		`{}`:                  `filters[0] is empty: name a status`,
	} {
		_, err := r.newChanges("s", "", filter)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, filter)
		require.ErrorContains(t, err, want)
	}
	for from, want := range map[string]string{
		"9":         `fromBlock is 9, which is not in the log of status changes: give "earliest", "latest" or the sequence of a status change between 10 and 20`,
		"21":        "fromBlock is 21, which is not in the log",
		"-1":        `fromBlock is "-1": give "earliest"`,
		"yesterday": `fromBlock is "yesterday": give "earliest"`,
	} {
		_, err := r.newChanges("s", from)
		require.ErrorContains(t, err, want)
	}
	_, err := r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Type: ptr("transactions"), Options: json.RawMessage(`{"a":1}`)})
	require.ErrorContains(t, err, "options has no meaning")
	_, err = r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Type: ptr("logs")})
	require.ErrorContains(t, err, `type is "logs", which this server does not have: must be "events", "blocks" or "transactions"`)
	l := r.changes("s", "earliest")
	_, err = r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Type: ptr("events")})
	require.ErrorContains(t, err, "type cannot be changed")
	_, err = r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Filters: []json.RawMessage{json.RawMessage(`{"status":"Failed"}`)}})
	require.ErrorContains(t, err, `filters match other events (transactions status="Failed") than before (transactions)`)

	without := newRig(t)
	without.stream("s")
	_, err = without.newChanges("s", "")
	require.ErrorContains(t, err, "which this server does not have")
}

func TestChangesFrom(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 20)
	log.trim(9)
	r := newRig(t, withLog(log))
	for i, c := range []struct{ from, first string }{{"earliest", "10"}, {"0", "10"}, {"10", "11"}, {"19", "20"}, {"latest", "21"}, {"20", "21"}} {
		name := strconv.Itoa(i)
		r.stream(name)
		r.changes(name, c.from)
	}
	log.addN(21, 1)
	for i, first := range []string{"10", "10", "11", "20", "21", "21"} {
		require.Equal(t, first, r.take(strconv.Itoa(i), 1)[0])
	}
}
