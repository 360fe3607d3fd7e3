package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestCallerThatLeftChangesNothing: a group whose only command lost its caller is empty, and the next one is carried out all the same.
func TestCallerThatLeftChangesNothing(t *testing.T) {
	t.Parallel()
	s := sqlstoretest.Open(t, "sqlite")
	left, leave := context.WithCancel(t.Context())
	leave()
	for range 50 {
		_, _ = s.UseLedger(left, s.Fence(), store.LedgerState{Name: "left", ID: "x"}) // it may be carried out or not
		<-time.After(2 * time.Millisecond)                                            // the writer looks for company that long at most
		_, err := s.UseLedger(t.Context(), s.Fence(), store.LedgerState{Name: "stayed", ID: "x"})
		require.NoError(t, err)
	}
}
