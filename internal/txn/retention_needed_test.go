package txn_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// What fills a gap has a key of its own, that is known after its record was removed. If the chain loses the nonce once more, another one fills it.
func TestRemovedFillIsNotTakenForTheNextOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.finish("a")
	first, err := r.FillNonces(t.Context(), "", "alice") // the chain has lost it
	require.NoError(t, err)
	require.Len(t, first, 1)
	r.until(first[0].ID, store.SubTracking)
	r.view.block(0, success(hashOf("cancel alice 0")))
	r.until(first[0].ID, store.SubConfirmed)
	r.retain(2*time.Hour, nil)
	r.untilGone(first[0].ID)
	again, err := r.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.NotEqual(t, first[0].ID, again[0].ID)
	r.until(again[0].ID, store.SubTracking)
}

// The manager needs a row of the status log until it has told of it.
func TestRowsAreNeededUntilTheyAreTold(t *testing.T) {
	t.Parallel()
	telling, told := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.OnStatus = func([]store.StatusEntry) { once.Do(func() { close(telling); <-told }) }
	}})
	defer close(told)
	before := r.Consumed()
	r.finish("a")
	<-telling
	head, err := r.store.StatusHead(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, r.Consumed())
	require.Less(t, before, head)
}

// What somebody has yet to take stays in the log, however many rows behind it the clock was put back.
func TestRetentionTrimsNothingThatIsNeeded(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{place: place})
	r.finish("free", "taken", "a", "b", "c", "d")
	log, err := r.store.Status(t.Context(), 0, 10)
	require.NoError(t, err)
	r.stop()
	require.NoError(t, r.store.Close())
	day := (24 * time.Hour).Microseconds()
	place.Exec(t, fmt.Sprintf("UPDATE status_log SET time = time - %d WHERE id IN ('free', 'c')", day))

	r = newRig(t, setup{place: place})
	r.retain(2*time.Hour, func() int64 { return log[0].Seq })
	var left []store.StatusEntry
	require.Eventually(t, func() bool {
		left, err = r.store.Status(t.Context(), 0, 10)
		return err == nil && len(left) < len(log)
	}, wait, tick)
	require.Len(t, left, len(log)-1)
	require.Equal(t, "taken", left[0].TxID)
}
