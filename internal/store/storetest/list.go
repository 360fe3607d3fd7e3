package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
)

// ids lists what a filter selects.
func (f *fixture) ids(flt store.TxFilter) string {
	f.t.Helper()
	txs, err := f.List(f.t.Context(), flt)
	require.NoError(f.t, err)
	var b strings.Builder
	for _, tx := range txs {
		b.WriteString(tx.ID)
	}
	n, err := f.Count(f.t.Context(), flt)
	require.NoError(f.t, err)
	if flt.Limit == 0 && flt.Skip == 0 && flt.After == 0 {
		require.Len(f.t, txs, n, "Count disagrees")
	}
	return b.String()
}

// listOnTheMove: a transaction that gets another status while several are asked for is found once.
func listOnTheMove(t *testing.T, s store.Store) {
	const n = 100
	f := with(t, s)
	for i := range n {
		f.accept(newTx(fmt.Sprint(i)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		parallel(n, func(i int) {
			tx, err := s.Transaction(t.Context(), fmt.Sprint(i))
			if err == nil {
				tx.Status = store.Succeeded
				err = s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}()
	for moving := true; moving; {
		select {
		case <-done:
			moving = false
		default:
		}
		for _, ascending := range []bool{false, true} {
			txs, err := s.List(t.Context(), store.TxFilter{Statuses: []store.TxStatus{store.Pending, store.Succeeded}, Ascending: ascending})
			if err != nil || len(txs) != n {
				t.Errorf("%d of %d found: %v", len(txs), n, err)
			}
		}
	}
	<-done
}

func listConditions(t *testing.T, s store.Store) {
	f := with(t, s)
	for i, n := range []*store.NewTx{newTx("a"), newTx("b"), newTx("c"), newTx("d"), newTx("e")} {
		n.Tx.From, n.Tx.To = []string{"alice", "Bob", "alice", "carol", "carol"}[i], []string{"", "assets", "Assets", "ASSETS_2", "x%_y"}[i]
		n.Tx.Gas, n.Tx.Value = []string{"", "9", "10", "100000000000000000000000", "99999999999999999999999"}[i], ""
		n.Tx.Labels = []map[string]string{nil, {"object": "1"}, {"object": "1", "kind": "x"}, {"object": "2", "kind": "x"}, {"kind": "x"}}[i]
		f.accept(n)
	}
	first := f.tx("b").Created
	tx := f.tx("b")
	tx.Status, tx.Sub, tx.Error, tx.FirstSubmit = store.Failed, store.SubFailed, "Reverted: 50% off", time.UnixMicro(5_000_000)
	f.update(&store.TxUpdate{Tx: tx})
	tx = f.tx("c")
	large := uint64(math.MaxUint64)
	tx.Nonce = &large
	f.update(&store.TxUpdate{Tx: tx})
	tx = f.tx("d")
	five := uint64(5)
	tx.Nonce, tx.Status, tx.FirstSubmit = &five, store.Suspended, time.UnixMicro(7_000_000)
	f.update(&store.TxUpdate{Tx: tx})

	is := func(field store.TxField, op store.Operator, value string) store.TxCondition {
		return store.TxCondition{Field: field, Op: op, Text: value}
	}
	number := func(field store.TxField, op store.Operator, value int64) store.TxCondition {
		return store.TxCondition{Field: field, Op: op, Number: value}
	}
	not := func(c store.TxCondition) store.TxCondition { c.Not = true; return c }
	fold := func(c store.TxCondition) store.TxCondition { c.Fold = true; return c }
	none := func(field store.TxField) store.TxCondition {
		return store.TxCondition{Field: field, Op: store.Equal, None: true}
	}
	for _, c := range []struct {
		any  []store.TxCondition
		want string
	}{
		{[]store.TxCondition{is(store.FieldTo, store.Equal, "assets")}, "b"},
		{[]store.TxCondition{fold(is(store.FieldTo, store.Equal, "aSSets"))}, "cb"},
		{[]store.TxCondition{not(is(store.FieldTo, store.Equal, "assets"))}, "edca"},
		{[]store.TxCondition{none(store.FieldTo)}, "a"},
		{[]store.TxCondition{not(none(store.FieldTo))}, "edcb"},
		{[]store.TxCondition{is(store.FieldTo, store.BeginsWith, "ASS")}, "d"},
		{[]store.TxCondition{fold(is(store.FieldTo, store.BeginsWith, "ass"))}, "dcb"},
		{[]store.TxCondition{is(store.FieldTo, store.EndsWith, "ets")}, "cb"},
		{[]store.TxCondition{is(store.FieldTo, store.EndsWith, "a longer text than any")}, ""},
		{[]store.TxCondition{is(store.FieldTo, store.Contains, "%_")}, "e"},
		{[]store.TxCondition{not(fold(is(store.FieldTo, store.Contains, "SET")))}, "ea"},
		{[]store.TxCondition{is(store.FieldTo, store.Above, "a")}, "eb"},
		{[]store.TxCondition{is(store.FieldTo, store.AtMost, "Assets")}, "dc"},
		{[]store.TxCondition{is(store.FieldError, store.Contains, "50%")}, "b"},
		{[]store.TxCondition{none(store.FieldError)}, "edca"},
		{[]store.TxCondition{is(store.FieldSigner, store.Equal, "alice")}, "ca"},
		{[]store.TxCondition{is(store.FieldSigner, store.Equal, "alice"), fold(is(store.FieldSigner, store.Equal, "bob"))}, "cba"},
		{[]store.TxCondition{is(store.FieldID, store.Equal, "c")}, "c"},
		{[]store.TxCondition{is(store.FieldID, store.Equal, "none")}, ""},
		{[]store.TxCondition{is(store.FieldHash, store.Equal, "hash-d")}, "d"},
		{[]store.TxCondition{is(store.FieldLedger, store.Equal, "main")}, "edcba"},
		{[]store.TxCondition{is(store.FieldStatus, store.BeginsWith, "S")}, "d"},
		{[]store.TxCondition{is(store.FieldSub, store.Equal, "Failed")}, "b"},
		{[]store.TxCondition{is(store.FieldGas, store.Above, "9")}, "edc"},
		{[]store.TxCondition{is(store.FieldGas, store.Below, "100000000000000000000000")}, "ecb"},
		{[]store.TxCondition{is(store.FieldGas, store.Equal, "10")}, "c"},
		{[]store.TxCondition{none(store.FieldGas)}, "a"},
		{[]store.TxCondition{none(store.FieldValue)}, "edcba"},
		{[]store.TxCondition{number(store.FieldNonce, store.AtLeast, 5)}, "dc"},
		{[]store.TxCondition{number(store.FieldNonce, store.AtMost, 5)}, "d"},
		{[]store.TxCondition{number(store.FieldNonce, store.Equal, 5)}, "d"},
		{[]store.TxCondition{not(number(store.FieldNonce, store.Equal, 5))}, "ecba"},
		{[]store.TxCondition{none(store.FieldNonce)}, "eba"},
		{[]store.TxCondition{number(store.FieldFirstSubmit, store.Below, 7_000_000)}, "b"},
		{[]store.TxCondition{number(store.FieldFirstSubmit, store.Above, 0)}, "db"},
		{[]store.TxCondition{none(store.FieldFirstSubmit)}, "eca"},
		{[]store.TxCondition{number(store.FieldLastSubmit, store.Equal, 1)}, ""},
		{[]store.TxCondition{none(store.FieldCancelAsked)}, "edcba"},
		{[]store.TxCondition{number(store.FieldCreated, store.AtLeast, first.UnixMicro())}, "edcb"},
		{[]store.TxCondition{number(store.FieldUpdated, store.Below, first.UnixMicro()-1_000_000)}, ""},
		{[]store.TxCondition{number(store.FieldSeq, store.Above, f.tx("c").Seq)}, "ed"},
		{[]store.TxCondition{number(store.FieldSeq, store.Equal, f.tx("c").Seq)}, "c"},
		{[]store.TxCondition{not(number(store.FieldSeq, store.Equal, f.tx("c").Seq))}, "edba"},
	} {
		require.Equal(t, c.want, f.ids(store.TxFilter{Match: []store.TxMatch{c.any}}), "%+v", c.any)
	}
	for want, flt := range map[string]store.TxFilter{
		"cb": {Labels: map[string]string{"object": "1"}},
		"c":  {Labels: map[string]string{"object": "1", "kind": "x"}},
		"":   {Labels: map[string]string{"object": "1", "kind": "y"}},
		"ce": {Labels: map[string]string{"kind": "x"}, Statuses: []store.TxStatus{store.Pending, store.Failed, store.Succeeded}, Ascending: true},
		"d":  {Labels: map[string]string{"kind": "x"}, Statuses: []store.TxStatus{store.Suspended}},
		"e":  {Labels: map[string]string{"kind": "x"}, Limit: 1},
		"dc": {Labels: map[string]string{"kind": "x"}, Skip: 1},
		"ba": {Skip: 3, Statuses: []store.TxStatus{store.Pending, store.Suspended, store.Failed}, Limit: 2},
	} {
		require.Equal(t, want, f.ids(flt), "%+v", flt)
	}
	require.Empty(t, f.ids(store.TxFilter{Statuses: []store.TxStatus{}}), "one of no statuses")

	for _, c := range []store.TxCondition{
		{Field: "other", Op: store.Equal}, {Field: store.FieldNonce, Op: store.Contains}, {Field: store.FieldTo, Op: "~"},
	} {
		_, err := s.List(t.Context(), store.TxFilter{Match: []store.TxMatch{{c}}})
		require.ErrorIs(t, err, store.ErrInvalid)
	}
}

// A request that changes nothing writes no label either.
func listReplay(t *testing.T, s store.Store) {
	f := with(t, s)
	n := newTx("a")
	n.Tx.Labels = map[string]string{"k": "v"}
	f.accept(n)
	a, err := s.Accept(t.Context(), s.Fence(), n)
	require.NoError(t, err)
	require.True(t, a.Replay)
	require.Equal(t, n.Tx.Labels, a.Tx.Labels)
	require.Equal(t, "a", f.ids(store.TxFilter{Labels: n.Tx.Labels}))
	n = newTx("b")
	n.Tx.Labels = map[string]string{"k": "v\x00"}
	_, err = s.Accept(t.Context(), s.Fence(), n)
	require.ErrorIs(t, err, store.ErrInvalid)
}

// listRandom compares random filters over random transactions with a loop that checks each transaction.
func listRandom(t *testing.T, s store.Store) {
	all := listed(t, s)
	rapid.Check(t, func(rt *rapid.T) {
		flt := randomFilter(rt, all)
		want := selected(flt, all)
		want = want[min(flt.Skip, len(want)):]
		if flt.Limit > 0 {
			want = want[:min(flt.Limit, len(want))]
		}
		txs, err := s.List(t.Context(), flt)
		require.NoError(rt, err)
		got := []string{}
		for _, tx := range txs {
			got = append(got, tx.ID)
		}
		require.Equal(rt, want, got, "%+v", flt)
	})
}

// listed makes transactions of several signers, labels and statuses, and returns them in order of acceptance.
func listed(t *testing.T, s store.Store) []*store.Tx {
	t.Helper()
	f := with(t, s)
	const many = 120
	statuses := []store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed}
	for i := range many {
		n := newTx(fmt.Sprintf("%03d", i))
		n.Tx.From, n.Tx.To = fmt.Sprint("s", i%3), fmt.Sprint("c", i*i%5)
		n.Tx.Labels = map[string]string{"mod": fmt.Sprint(i % 7), "half": fmt.Sprint(i / 60)}
		f.accept(n)
	}
	parallel(many, func(i int) {
		if status := statuses[i*i*i%11%4]; status != store.Pending {
			tx, err := s.Transaction(t.Context(), fmt.Sprintf("%03d", i))
			if err == nil {
				tx.Status = status
				err = s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	all, err := s.List(t.Context(), store.TxFilter{Ascending: true})
	require.NoError(t, err)
	require.Len(t, all, many)
	return all
}

// selected are the ids of those that a filter selects, in its order, whatever its Limit and Skip are.
func selected(flt store.TxFilter, all []*store.Tx) []string {
	ids := []string{}
	for _, tx := range all {
		if matches(flt, tx) {
			ids = append(ids, tx.ID)
		}
	}
	if !flt.Ascending {
		slices.Reverse(ids)
	}
	return ids
}

func randomFilter(rt *rapid.T, all []*store.Tx) store.TxFilter {
	flt := store.TxFilter{
		Limit: rapid.IntRange(0, 20).Draw(rt, "limit"), Skip: rapid.SampledFrom([]int{0, 0, 3}).Draw(rt, "skip"),
		Ascending: rapid.Bool().Draw(rt, "ascending"), Labels: map[string]string{},
	}
	maybe := rapid.SampledFrom([]bool{true, false, false})
	if maybe.Draw(rt, "paged") {
		flt.After = rapid.SampledFrom(all).Draw(rt, "after").Seq
	}
	if maybe.Draw(rt, "mod") {
		flt.Labels["mod"] = fmt.Sprint(rapid.IntRange(0, 7).Draw(rt, "which"))
	}
	if maybe.Draw(rt, "half") {
		flt.Labels["half"] = fmt.Sprint(rapid.IntRange(0, 1).Draw(rt, "which"))
	}
	if maybe.Draw(rt, "signer") {
		flt.Signer = fmt.Sprint("s", rapid.IntRange(0, 3).Draw(rt, "which"))
	}
	if rapid.Bool().Draw(rt, "status") {
		flt.Statuses = rapid.SliceOfNDistinct(rapid.SampledFrom([]store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed}),
			0, 4, rapid.ID).Draw(rt, "statuses")
		if flt.Statuses == nil {
			flt.Statuses = []store.TxStatus{}
		}
	}
	for range rapid.IntRange(0, 2).Draw(rt, "matches") {
		var m store.TxMatch
		for range rapid.IntRange(1, 2).Draw(rt, "conditions") {
			m = append(m, store.TxCondition{
				Field: store.FieldTo, Op: rapid.SampledFrom([]store.Operator{store.Equal, store.Above, store.AtMost}).Draw(rt, "op"),
				Text: fmt.Sprint("c", rapid.IntRange(0, 4).Draw(rt, "value")), Not: rapid.Bool().Draw(rt, "not"),
			})
		}
		flt.Match = append(flt.Match, m)
	}
	return flt
}

// matches checks one transaction the plain way.
func matches(flt store.TxFilter, tx *store.Tx) bool {
	if flt.After != 0 && (tx.Seq >= flt.After) != flt.Ascending || tx.Seq == flt.After {
		return false
	}
	if flt.Signer != "" && tx.From != flt.Signer || flt.Statuses != nil && !slices.Contains(flt.Statuses, tx.Status) {
		return false
	}
	for name, value := range flt.Labels {
		if tx.Labels[name] != value {
			return false
		}
	}
	for _, m := range flt.Match {
		if !slices.ContainsFunc(m, func(c store.TxCondition) bool {
			holds := map[store.Operator]bool{store.Equal: tx.To == c.Text, store.Above: tx.To > c.Text, store.AtMost: tx.To <= c.Text}
			return holds[c.Op] != c.Not
		}) {
			return false
		}
	}
	return true
}
