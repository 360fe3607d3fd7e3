package sqlstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestCloseAmongReads: what is being read is read to its end, and who comes later is told; no connection is left behind.
func TestCloseAmongReads(t *testing.T) {
	t.Parallel()
	s := sqlstoretest.NewPlace(t, sqlstoretest.SQLite).Open(t)
	_, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
	require.NoError(t, err)
	left, leave := context.WithCancel(t.Context())
	leave()
	var wg, begun sync.WaitGroup
	for i := range 16 {
		begun.Add(1)
		wg.Go(func() {
			once := sync.OnceFunc(begun.Done)
			for {
				ctx := t.Context()
				if i%4 == 0 {
					ctx = left // it may be read even so
				}
				_, err := s.Transaction(ctx, "a")
				once()
				if errors.Is(err, store.ErrUnavailable) {
					return
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	begun.Wait()
	require.NoError(t, s.Close())
	wg.Wait()
}
