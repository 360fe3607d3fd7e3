package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Searched is how many transactions the stores of RunSearch look at for one page, which is less than a page of defaultPage holds.
const Searched = 12

const defaultPage = 25

// RunSearch checks searches that no index answers, with stores that look at no more than Searched transactions on each way.
func RunSearch(t *testing.T, fresh func(t testing.TB) store.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s store.Store){
		"one among many":       searchOne,
		"several statuses":     searchStatuses,
		"skip":                 searchSkip,
		"count":                searchCount,
		"every match is found": searchRandom,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// to selects transactions by a field that no index has.
func to(recipient string) []store.TxMatch {
	return []store.TxMatch{{{Field: store.FieldTo, Op: store.Equal, Text: recipient}}}
}

// searched makes n transactions, with ids from 0 on. status says how each ends, "" for not at all; those in found go to "x".
func searched(t *testing.T, s store.Store, n int, status func(i int) store.TxStatus, found ...int) *fixture {
	t.Helper()
	f := with(t, s)
	for i := range n {
		n := newTx(fmt.Sprint(i))
		if slices.Contains(found, i) {
			n.Tx.To = "x"
		}
		f.accept(n)
		if st := status(i); st != "" {
			f.end(n.Tx.ID, st)
		}
	}
	return f
}

func open(int) store.TxStatus { return "" }

// page is what one search answers: ids, or where it goes on.
func (f *fixture) page(flt store.TxFilter) (ids []string, wide *store.TooWide) {
	f.t.Helper()
	txs, err := f.List(f.t.Context(), flt)
	if errors.As(err, &wide) {
		return nil, wide
	}
	require.NoError(f.t, err)
	for _, tx := range txs {
		ids = append(ids, tx.ID)
	}
	return ids, nil
}

// What was found is returned, though a full page would take longer; what was not is found from where the search goes on.
func searchOne(t *testing.T, s store.Store) {
	const n, first, second = 5 * Searched, 4*Searched + 1, Searched
	f := searched(t, s, n, open, first, second)
	flt := store.TxFilter{Limit: defaultPage, Match: to("x")}
	ids, wide := f.page(flt)
	require.Nil(t, wide)
	require.Equal(t, []string{fmt.Sprint(first)}, ids)
	flt.After = f.tx(ids[0]).Seq
	_, wide = f.page(flt)
	require.Equal(t, &store.TooWide{Looked: Searched, Last: fmt.Sprint(first - Searched)}, wide)
	flt.After = 0
	f.requireFollowed([]string{fmt.Sprint(first), fmt.Sprint(second)}, flt)
	flt.Ascending = true
	_, wide = f.page(flt)
	require.Equal(t, &store.TooWide{Looked: Searched, Last: fmt.Sprint(Searched - 1)}, wide)
	f.requireFollowed([]string{fmt.Sprint(second), fmt.Sprint(first)}, flt)
}

// Where several statuses are asked for, a page ends where one of their searches has come to an end, and no match before it is missing.
func searchStatuses(t *testing.T, s store.Store) {
	const n = 6 * Searched
	failed := []int{0, 2, n - 1} // all others have succeeded: the failed ones are found to the end, far behind where the others are
	f := searched(t, s, n, func(i int) store.TxStatus {
		if slices.Contains(failed, i) {
			return store.Failed
		}
		return store.Succeeded
	}, 0, 1, 20, n-3, n-1)
	flt := store.TxFilter{Limit: defaultPage, Match: to("x"), Statuses: []store.TxStatus{store.Succeeded, store.Failed}}
	ids, wide := f.page(flt)
	require.Nil(t, wide)
	require.Equal(t, []string{fmt.Sprint(n - 1), fmt.Sprint(n - 3)}, ids)
	flt.After = f.tx(ids[1]).Seq
	_, wide = f.page(flt)
	require.Equal(t, &store.TooWide{Looked: Searched, Last: fmt.Sprint(n - 3 - Searched)}, wide, "0 is found, with 20 and 1 before it")
	flt.After = 0
	f.requireFollowed([]string{fmt.Sprint(n - 1), fmt.Sprint(n - 3), "20", "1", "0"}, flt)
	flt.Ascending = true
	ids, wide = f.page(flt)
	require.Nil(t, wide)
	require.Equal(t, []string{"0", "1"}, ids)
	f.requireFollowed([]string{"0", "1", "20", fmt.Sprint(n - 3), fmt.Sprint(n - 1)}, flt)
}

// What was left out on the way to where a search goes on is not left out again.
func searchSkip(t *testing.T, s store.Store) {
	const n = 3 * Searched
	f := searched(t, s, n, open, 1, 2, n-2, n-1)
	flt := store.TxFilter{Limit: 2, Skip: 3, Match: to("x")}
	_, wide := f.page(flt)
	require.Equal(t, &store.TooWide{Looked: Searched, Last: fmt.Sprint(n - Searched), Skipped: 2, Skip: 1}, wide)
	f.requireFollowed([]string{"1"}, flt)
	flt.Skip = 1
	f.requireFollowed([]string{fmt.Sprint(n - 2), "2", "1"}, flt)
}

// A count has no place to go on from.
func searchCount(t *testing.T, s store.Store) {
	f := searched(t, s, Searched, open, 1)
	n, err := s.Count(t.Context(), store.TxFilter{Match: to("x")})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	f.accept(newTx("more"))
	_, err = s.Count(t.Context(), store.TxFilter{Match: to("x"), After: f.tx("1").Seq})
	var wide *store.TooWide
	require.ErrorAs(t, err, &wide)
	require.Equal(t, &store.TooWide{Looked: Searched}, wide)
}

// Who goes on from the last one of each page, and from where a search says that it goes on, finds every match once and in order.
func searchRandom(t *testing.T, s store.Store) {
	all := listed(t, s)
	f := with(t, s)
	rapid.Check(t, func(rt *rapid.T) {
		flt := randomFilter(rt, all)
		want := selected(flt, all)
		got, err := f.follow(flt, 2*len(all))
		require.NoError(rt, err, "%+v", flt)
		require.Equal(rt, want[min(flt.Skip, len(want)):], got, "%+v", flt)
	})
}

// follow lists page after page until one is empty, which must not take more than n of them.
func (f *fixture) follow(flt store.TxFilter, n int) ([]string, error) {
	got := []string{}
	for range n {
		txs, err := f.List(f.t.Context(), flt)
		var wide *store.TooWide
		var last string
		switch {
		case errors.As(err, &wide):
			last, flt.Skip = wide.Last, wide.Skip
		case err != nil || len(txs) == 0:
			return got, err
		default:
			for _, tx := range txs {
				got = append(got, tx.ID)
			}
			last, flt.Skip = txs[len(txs)-1].ID, 0
		}
		tx, err := f.Transaction(f.t.Context(), last)
		if err != nil {
			return got, err
		}
		flt.After = tx.Seq
	}
	return got, errors.New("there is no end")
}

func (f *fixture) requireFollowed(want []string, flt store.TxFilter) {
	f.t.Helper()
	got, err := f.follow(flt, 20)
	require.NoError(f.t, err)
	require.Equal(f.t, want, got)
}
