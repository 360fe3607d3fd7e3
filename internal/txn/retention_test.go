package txn_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// retain runs a retention that keeps an hour, with a clock that is ahead by later.
func (r *rig) retain(later time.Duration, consumed func() int64) {
	r.t.Helper()
	keeper, err := txn.NewRetention(txn.RetentionOptions{
		Store: r.store, Fence: r.store.Fence, Keep: time.Hour, Consumed: consumed, Interval: 10 * time.Millisecond, Log: quiet(),
		Now: func() time.Time { return time.Now().Add(later) },
	})
	require.NoError(r.t, err)
	require.NoError(r.t, keeper.Start(r.t.Context()))
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(r.t, keeper.Stop(ctx))
	})
}

// finish takes transactions to their end.
func (r *rig) finish(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		r.submit(submission(id))
		r.view.block(0, success(r.until(id, store.SubTracking).Hash))
		r.until(id, store.SubConfirmed)
	}
}

func (r *rig) untilGone(id string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		_, err := r.Transaction(r.t.Context(), id, false)
		return err != nil
	}, wait, tick, "transaction %s is still there", id)
	_, err := r.Transaction(r.t.Context(), id, false)
	require.ErrorIs(r.t, err, store.ErrNotFound)
}

// What was removed is still known by its key, and never sent again.
func TestRemovedButNotForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.finish("a")
	before, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	r.retain(2*time.Hour, nil)
	r.untilGone("a")
	sends, prepares := len(r.fake.sends()), r.fake.calls("Prepare")

	tx, replay, err := r.Submit(t.Context(), submission("a"))
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, "Succeeded", tx.Status)
	require.Equal(t, "Completed", tx.Progress.Status)
	require.Equal(t, before.TransactionHash, tx.TransactionHash)
	require.Equal(t, before.Created, tx.Created)
	require.Equal(t, before.Updated, tx.Updated)
	require.Equal(t, before.SequenceID, tx.SequenceID)
	other := from("bob", "a")
	_, _, err = r.Submit(t.Context(), other)
	require.ErrorIs(t, err, store.ErrKeyReused)
	require.Len(t, r.fake.sends(), sends, "nothing is sent again")
	require.Equal(t, prepares, r.fake.calls("Prepare"))

	r.submit(submission("b"))
	page, err := r.Transactions(t.Context(), apitypes.TransactionFilter{After: "a", Ascending: true})
	require.NoError(t, err, "a page goes on behind what was removed")
	require.Len(t, page, 1)
}

func TestRetentionKeeps(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.finish("old")
	r.submit(submission("pending"))
	r.until("pending", store.SubTracking)
	r.retain(59*time.Minute, nil)
	r.retain(-time.Hour, nil)
	for range 20 {
		_, err := r.Transaction(t.Context(), "old", true)
		require.NoError(t, err, "younger than an hour")
	}
	r.retain(48*time.Hour, nil)
	r.untilGone("old")
	_, err := r.Transaction(t.Context(), "pending", true)
	require.NoError(t, err, "what has not ended is kept, however old")
}

// A status change that somebody has yet to take keeps its row and its transaction.
func TestRetentionWaitsForConsumers(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = fmt.Sprint("tx", i)
	}
	r.finish(ids...)
	log, err := r.store.Status(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, log, len(ids))
	var position atomic.Int64
	position.Store(log[1].Seq)
	r.retain(48*time.Hour, position.Load)
	r.untilGone(ids[1])
	trimmed := func(left int) func() bool {
		return func() bool {
			log, err = r.store.Status(t.Context(), 0, 100)
			return err == nil && len(log) == left
		}
	}
	require.Eventually(t, trimmed(3), wait, tick)
	require.Equal(t, ids[2], log[0].TxID)
	require.NotNil(t, log[0].Tx, "with its transaction")
	position.Store(math.MaxInt64)
	r.untilGone(ids[4])
	require.Eventually(t, trimmed(1), wait, tick, "the newest row stays")
	r.submit(submission("next"))
	r.view.block(0, success(r.until("next", store.SubTracking).Hash)) // once it has ended, it may be gone before anybody sees that
	require.Eventually(t, func() bool {
		head, err := r.store.StatusHead(t.Context())
		return err == nil && head > log[0].Seq
	}, wait, tick, "positions are never given out twice")
}

// A clock that was ahead when one was accepted, and was put back since, holds up neither what came later nor the log.
func TestRetentionWithAClockPutBack(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{place: place})
	r.finish("ahead", "a", "b")
	r.stop()
	require.NoError(t, r.store.Close())
	year := (365 * 24 * time.Hour).Microseconds()
	place.Exec(t, fmt.Sprintf("UPDATE tx SET created = created + %d, updated = updated + %[1]d WHERE id = 'ahead'", year))
	place.Exec(t, fmt.Sprintf("UPDATE status_log SET time = time + %d WHERE id = 'ahead'", year))

	r = newRig(t, setup{place: place})
	r.retain(2*time.Hour, nil)
	r.untilGone("a")
	r.untilGone("b")
	require.Eventually(t, func() bool {
		log, err := r.store.Status(t.Context(), 0, 10)
		return err == nil && len(log) == 1 && log[0].TxID == "b"
	}, wait, tick, "the newest row stays")
	_, err := r.Transaction(t.Context(), "ahead", false)
	require.NoError(t, err, "when it ended is not known")
}

// What somebody has yet to take is kept, even if the clock was put back before it was written.
func TestRetentionWaitsForWhatWasWrittenAfterTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{place: place})
	r.finish("free", "taken", "needed")
	log, err := r.store.Status(t.Context(), 0, 10)
	require.NoError(t, err)
	r.stop()
	require.NoError(t, r.store.Close())
	day := (24 * time.Hour).Microseconds()
	place.Exec(t, fmt.Sprintf("UPDATE tx SET created = created - %d, updated = updated - %[1]d WHERE id = 'needed'", day))
	place.Exec(t, fmt.Sprintf("UPDATE tx SET created = created - %d, updated = updated - %[1]d WHERE id = 'free'", 2*day))
	place.Exec(t, fmt.Sprintf("UPDATE status_log SET time = time - %d WHERE id = 'needed'", day))

	r = newRig(t, setup{place: place})
	r.retain(2*time.Hour, func() int64 { return log[0].Seq })
	r.untilGone("free")
	_, err = r.Transaction(t.Context(), "needed", false)
	require.NoError(t, err)
}

// A listener that nobody uses any more makes the database grow: that is said, and not all the time.
func TestRetentionTellsOfAForgottenListener(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.finish("a", "b")
	log, said := logtest.NewNullLogger()
	rows, err := r.store.Status(t.Context(), 0, 100)
	require.NoError(t, err)
	var rounds, later, taken atomic.Int64
	later.Store(int64(2 * time.Hour))
	taken.Store(rows[len(rows)-1].Seq)
	keeper, err := txn.NewRetention(txn.RetentionOptions{
		Store: r.store, Fence: r.store.Fence, Keep: time.Hour, Interval: time.Millisecond, Log: logrus.NewEntry(log),
		Consumed: func() int64 { rounds.Add(1); return taken.Load() - 1 }, // as streams say it: the row that was taken last stays
		Now:      func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	})
	require.NoError(t, err)
	require.NoError(t, keeper.Start(t.Context()))
	defer func() { require.NoError(t, keeper.Stop(context.WithoutCancel(t.Context()))) }()
	some := func() {
		begun := rounds.Load()
		require.Eventually(t, func() bool { return rounds.Load() > begun+5 }, wait, tick)
	}
	some()
	warnings := func() (list []string) {
		for _, e := range said.AllEntries() {
			if e.Level == logrus.WarnLevel {
				list = append(list, e.Message)
			}
		}
		return list
	}
	require.Empty(t, warnings(), "all was taken")
	r.finish("c", "d")
	for day := range 3 {
		some()
		require.Len(t, warnings(), day+1, "once a day")
		require.Contains(t, warnings()[day], "lagTransactions")
		later.Add(int64(25 * time.Hour))
	}
}

func TestRetentionNeedsAStore(t *testing.T) {
	t.Parallel()
	_, err := txn.NewRetention(txn.RetentionOptions{})
	require.Error(t, err)
}

// keysOnly is a store from which nothing but keys can be removed.
type keysOnly struct {
	store.Store

	keys chan struct{}
}

func (s keysOnly) ForgetKeys(context.Context, store.Fence, int) (int, error) {
	select {
	case s.keys <- struct{}{}:
	default:
	}
	return 0, nil
}

// TestKeysAreForgottenWhileTransactionsAreKept: those of transactions that were removed before it was said that all are kept.
func TestKeysAreForgottenWhileTransactionsAreKept(t *testing.T) {
	t.Parallel()
	s := keysOnly{keys: make(chan struct{}, 1)}
	keeper, err := txn.NewRetention(txn.RetentionOptions{
		Store: s, Fence: func() store.Fence { return store.Fence{} }, Interval: time.Millisecond, Log: quiet(),
	})
	require.NoError(t, err)
	require.NoError(t, keeper.Start(t.Context()))
	for range 2 { // in the first round, and in the next one
		select {
		case <-s.keys:
		case <-time.After(wait):
			require.Fail(t, "no key was forgotten")
		}
	}
	require.NoError(t, keeper.Stop(t.Context()))
}
