package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestAKeyThatIsUsedAgainIsNotForgotten, however little time passes between its being found expired and its being deleted.
func TestAKeyThatIsUsedAgainIsNotForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		s := sqlstoretest.NewPlace(t, dialect).Open(t)
		expired := func() *store.NewTx {
			n := request("a", "alice")
			n.KeyExpires = time.Now().Add(-time.Second)
			return n
		}
		got, err := s.Accept(t.Context(), s.Fence(), expired())
		require.NoError(t, err)
		got.Tx.Status = store.Succeeded
		require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx}))
		removed, _, err := s.Remove(t.Context(), s.Fence(), time.Now().Add(time.Hour), 0, 10)
		require.NoError(t, err)
		require.Equal(t, 1, removed)

		answers := make(chan error, 2)
		release := s.Occupy(t)
		go func() {
			_, err := s.ForgetKeys(t.Context(), s.Fence(), 10)
			answers <- err
		}()
		require.Eventually(t, func() bool { return s.Queued() == 1 }, patience, tick)
		go func() {
			_, err := s.Accept(t.Context(), s.Fence(), expired())
			answers <- err
		}()
		require.Eventually(t, func() bool { return s.Queued() == 2 }, patience, tick)
		release()
		require.NoError(t, <-answers)
		require.NoError(t, <-answers)
		_, _, err = s.Key(t.Context(), "a")
		require.NoError(t, err)
		_, err = s.Transaction(t.Context(), "a")
		require.NoError(t, err)
	})
}
