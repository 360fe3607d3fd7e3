package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

var logTests = map[string]func(t *testing.T, s store.Store){
	"pages":                 logPages,
	"wakes":                 logWakes,
	"never misses a row":    logComplete,
	"as it is now, or gone": logNow,
}

func logPages(t *testing.T, s store.Store) {
	f := with(t, s)
	for i := range 10 {
		f.accept(newTx(fmt.Sprint(i)))
		f.end(fmt.Sprint(i), store.Failed)
	}
	var ids string
	last := int64(0)
	for {
		page, err := s.Status(t.Context(), last, 3)
		require.NoError(t, err)
		for _, e := range page {
			require.Greater(t, e.Seq, last)
			ids, last = ids+e.TxID, e.Seq
		}
		if len(page) < 3 {
			break
		}
	}
	require.Equal(t, "0123456789", ids)
	head, err := s.StatusHead(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, head)
}

func logWakes(t *testing.T, s store.Store) {
	f := with(t, s)
	ch := s.Changed()
	f.insertStream("a")
	select {
	case <-ch:
		t.Error("the log did not change")
	default:
	}
	f.accept(newTx("a"))
	select {
	case <-ch:
		t.Error("acceptance is not announced")
	default:
	}
	f.end("a", store.Failed)
	<-ch
}

// logComplete reads the log while it is written, the way consumers do: subscribe, read, wait.
func logComplete(t *testing.T, s store.Store) {
	const writers, each = 8, 25
	f := with(t, s)
	go parallel(writers, func(w int) {
		for i := range each {
			id := fmt.Sprintf("%d-%d", w, i)
			if _, err := s.Accept(t.Context(), s.Fence(), newTx(id)); err != nil {
				t.Error(err)
				return
			}
			f.end(id, store.Succeeded)
		}
	})
	var seen []string
	last := int64(0)
	for len(seen) < writers*each {
		ch := s.Changed()
		page, err := s.Status(t.Context(), last, 7)
		require.NoError(t, err)
		for _, e := range page {
			require.Greater(t, e.Seq, last)
			last = e.Seq
			seen = append(seen, e.TxID+string(e.Status))
		}
		if len(page) == 0 {
			<-ch
		}
	}
	slices.Sort(seen)
	require.Len(t, slices.Compact(seen), writers*each)
}

func logNow(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	tx := f.tx("a")
	tx.Status = store.Suspended
	f.update(&store.TxUpdate{Tx: tx, Announce: true})
	f.end("a", store.Succeeded)
	log, err := s.Status(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, store.Suspended, log[0].Status)
	require.Equal(t, store.Succeeded, log[0].Tx.Status, "as it is now")
}
