package txn_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestTransactionsByFilter(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	for _, id := range []string{"a", "b", "c"} {
		sub := from(map[string]string{"a": "alice", "b": "bob", "c": "alice"}[id], id)
		sub.Labels = map[string]string{"object": id, "kind": "x"}
		sub.Gas = number("10")
		r.submit(sub)
	}
	row := r.until("a", store.SubTracking)
	r.view.block(0, success(row.Hash))
	r.until("a", store.SubConfirmed)
	list := func(f apitypes.TransactionFilter) (ids string) {
		t.Helper()
		page, err := r.Transactions(t.Context(), f)
		require.NoError(t, err)
		for _, tx := range page {
			ids += tx.ID
		}
		n, err := r.CountTransactions(t.Context(), f)
		require.NoError(t, err)
		if f.After == "" {
			require.Equal(t, len(ids), n)
		}
		return ids
	}
	is := func(field, op, value string) [][]apitypes.Condition {
		return [][]apitypes.Condition{{{Field: field, Op: op, Value: value}}}
	}
	created := row.Created.Format("2006-01-02T15:04:05.999999999Z07:00")
	for want, filters := range map[string][]apitypes.TransactionFilter{
		"cba": {{}, {Labels: map[string]string{"kind": "x"}}, {Match: is("gas", ">=", "0xa")}, {Match: is("created", ">=", created)}},
		"abc": {{Ascending: true}},
		"a": {
			{Progress: []string{"completed"}}, {Statuses: []string{"SUCCEEDED"}}, {Labels: map[string]string{"object": "a"}},
			{Match: is("sequence", "=", "000000000001")}, {Match: is("Status", "^", "Succ")}, {After: "b"},
		},
		"cb": {{Pending: true}, {Progress: []string{"InProgress"}}, {Statuses: []string{"Pending"}}, {Match: is("created", ">", created)}},
		"c":  {{Pending: true, Signer: "alice"}, {Match: is("from", "=", "alice"), Pending: true}, {Labels: map[string]string{"object": "c", "kind": "x"}}},
		"":   {{Pending: true, Statuses: []string{"Failed"}}, {Progress: []string{"Failed"}}, {Match: [][]apitypes.Condition{{{Field: "nonce", Op: "=", None: true}}}}},
	} {
		for _, f := range filters {
			require.Equal(t, want, list(f), "%+v", f)
		}
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	is := func(field, op, value string) apitypes.TransactionFilter {
		return apitypes.TransactionFilter{Match: [][]apitypes.Condition{{{Field: field, Op: op, Value: value}}}}
	}
	for text, f := range map[string]apitypes.TransactionFilter{
		"limit is -1: must be 1 or more":                                                           {Limit: -1},
		"skip is -1: must be 0 or more":                                                            {Skip: -1},
		`status is "done": must be Pending, Suspended, Succeeded or Failed`:                        {Statuses: []string{"done"}},
		`progress is "done": must be InProgress, Completed or Failed`:                              {Progress: []string{"done"}},
		`label has the name "a b": use 1 to 64 of the characters A-Z, a-z, 0-9, _, . and -`:        {Labels: map[string]string{"a b": "x"}},
		"label.a is empty: give 1 to 256 bytes of printable text":                                  {Labels: map[string]string{"a": ""}},
		`nonce is "x": give a whole number from 0 to 9223372036854775807`:                          is("nonce", "=", "x"),
		`sequence is "-1": give a whole number from 0 to 9223372036854775807`:                      is("sequence", ">", "-1"),
		`gas is "1.5": give a whole number`:                                                        is("gas", "=", "1.5"),
		`value is "` + strings.Repeat("9", 129) + `": give a whole number`:                         is("value", "=", strings.Repeat("9", 129)),
		`created is "today": give a time such as 2026-01-31T12:00:00Z, or a Unix time`:             is("created", "<", "today"),
		"nonce is no text, and compared by @: compare it by =, >, >=, < or <=":                     is("nonce", "@", "5"),
		"to is compared with nothing: give the text behind ^":                                      is("to", "^", ""),
		`to is compared by "~": compare it by =, >, >=, <, <=, @, ^ or $`:                          is("to", "~", "x"),
		"gas is no text: leave the modifier : out":                                                 {Match: [][]apitypes.Condition{{{Field: "gas", Op: "=", Value: "1", Fold: true}}}},
		"to is compared with nothing by >: compare it by =":                                        {Match: [][]apitypes.Condition{{{Field: "to", Op: ">", None: true}}}},
		"policy is no field to filter by: use " + strings.Join(apitypes.TransactionFields(), ", "): is("policy", "=", "x"),
	} {
		var invalid *apitypes.Invalid
		_, err := r.Transactions(t.Context(), f)
		require.ErrorAs(t, err, &invalid)
		require.EqualError(t, invalid, text)
		_, err = r.CountTransactions(t.Context(), f)
		require.EqualError(t, err, text)
	}
	_, err := r.Transactions(t.Context(), apitypes.TransactionFilter{After: "none"})
	require.ErrorIs(t, err, store.ErrNotFound)
}
