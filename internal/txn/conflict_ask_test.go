package txn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestTurnGivenUpByAsking: one that has lost in its turn asks for another before anybody hears that it has. Whoever has the turn now is looked at.
func TestTurnGivenUpByAsking(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	m := &Manager{sched: s.schedule, contention: newContention(30*time.Second, s.clock.now)}
	first, second := s.accept("ann").id(), s.accept("ann").id()
	s.stall()
	require.True(t, m.contention.enter(first, 1, "", []string{"k"}, true).turn)
	require.False(t, m.contention.enter(second, 1, "", []string{"k"}, true).turn)
	require.Empty(t, s.schedule.next())

	decision := policy.Decision{Do: policy.Prepare}
	m.inTurn(
		&txstate.State{Tx: store.Tx{ID: first, Attempt: 2}, Attempts: []store.Attempt{{Number: 2, ConflictKeys: []string{"k"}}}},
		&policy.View{Tx: policy.Tx{ID: first, Attempt: 2, Replaceable: true}}, &decision,
	)
	require.Equal(t, policy.Wait, decision.Do, "it is behind the other one")
	require.Equal(t, []string{second}, ids(s.schedule.next()))
}
