package txn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// TestBacklogAfterARestart: what may have been sent is in memory, however much it is, and what is accepted meanwhile goes last.
func TestBacklogAfterARestart(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for n := range 60 {
		s.commit("ann").known = true
		s.rows[n].sent = n < 20
	}
	s.rows[55].held = true
	for page := 0; page == 0 || s.reading != nil; page++ {
		s.page(true)
		if page == 25 {
			s.accept("ann")
		}
		s.work(t, func() (bool, bool) { return page%2 == 0, false })
	}
	for _, r := range s.rows[:20] {
		require.NotNil(t, s.items[r.id()])
	}
	require.NotNil(t, s.items[s.rows[55].id()], "it may be resumed")
	require.Less(t, len(s.items), 40)
	s.check(t)
}

func TestWhatWasSentIsNotBacklog(t *testing.T) {
	t.Parallel()
	m := &Manager{opts: Options{Now: time.Now}}
	for sub, unsent := range map[store.SubStatus]bool{
		store.SubTracking: false, store.SubStale: false, store.SubReceived: true, store.SubPrepared: true, store.SubUnknownOutcome: true,
	} {
		it := m.restored(&store.Tx{ID: "a", Seq: 7, Sub: sub})
		require.Equal(t, unsent, it.unsent, sub)
		require.Equal(t, int64(7), it.seq)
		require.Equal(t, sub == store.SubUnknownOutcome, it.doubt)
	}
}

// TestWhatMayHaveLeftIsInMemory: there is room for nothing, and it is looked after all the same.
func TestWhatMayHaveLeftIsInMemory(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	for n := range 60 {
		r := s.commit("ann")
		r.known, r.sent, r.doubt = true, n%3 == 0, n%3 == 1
	}
	for s.page(true); s.reading != nil; {
		s.page(true)
	}
	left := 0
	for _, r := range s.rows {
		if s.items[r.id()] == nil {
			require.False(t, r.sent || r.doubt, r.id())
			left++
		}
	}
	require.Positive(t, left)
}

// TestWhatWasSentIsLeftAloneAfterARestart: for a while, in which its block may be read, or until its time.
func TestWhatWasSentIsLeftAloneAfterARestart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &Manager{opts: Options{Now: func() time.Time { return now }}}
	due := m.restored(&store.Tx{Sub: store.SubTracking, Due: now.Add(time.Second)}).due.until(now)
	require.GreaterOrEqual(t, due, settle)
	require.Less(t, due, 3*settle)
	due = m.restored(&store.Tx{Sub: store.SubTracking, Due: now.Add(time.Hour)}).due.until(now)
	require.Equal(t, time.Hour, due)
}
