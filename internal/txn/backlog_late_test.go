package txn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// opening is an Accept under way: its row is stored, and its end is not known yet.
type opening struct {
	l      *lane
	ticket uint64
	row    *shelved
}

func (s *shelves) opening(signer string) opening {
	l, ticket, _ := s.begin(laneKey{signer: signer}, 1_000_000, false)
	return opening{l, ticket, s.commit(signer)}
}

func (s *shelves) ends(o opening) {
	s.accepted(o.l, o.ticket, s.item(o.row))
	o.row.known = true
}

// cancel ends a transaction that was not sent.
func (s *shelves) cancel(r *shelved) {
	r.ended = true
	s.remove(r.id())
}

// finishAll sends all there is.
func (s *shelves) finishAll(t *testing.T) {
	t.Helper()
	for range 500 {
		s.page(false)
		s.check(t)
		s.work(t, func() (bool, bool) { return true, true })
	}
	for _, r := range s.rows {
		require.True(t, r.ended, "%s was left behind", r.id())
	}
}

// TestLateBeforeWhereAReadingBegan: the reading is for ann, and has enough for her before it comes to what is bob's. What becomes known of bob meanwhile
// was accepted before all of that, and is read by the next one.
func TestLateBeforeWhereAReadingBegan(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	early := s.opening("bob")
	for range 2 {
		s.accept("bob")
	}
	var anns []*shelved
	for range 14 {
		anns = append(anns, s.accept("ann"))
	}
	for range 5 {
		s.accept("bob")
	}
	for _, r := range anns[:3] {
		s.cancel(r)
	}
	bob := early.l
	first := bob.rest.from
	require.True(t, s.page(false))
	require.True(t, s.reading.serves(bob))
	s.ends(early)
	require.Nil(t, s.items[early.row.id()], "more of bob's is in the store")
	for s.reading != nil {
		s.page(false)
	}
	require.Less(t, s.after, first, "the reading ended before it came to bob's")
	s.check(t)
	s.finishAll(t)
}

// TestLateBelowWhatAReadingTook: a nonce that was given back is used again while a reading goes on, which has taken higher ones by then. These wait
// until it is read.
func TestLateBelowWhatAReadingTook(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	ann := laneKey{signer: "ann"}
	for range s.backlog.most {
		s.accept("bob")
	}
	for range s.backlog.share {
		s.accept("ann")
	}
	gap := s.accept("ann")
	require.Nil(t, s.items[gap.id()])
	above := []opening{s.opening("ann"), s.opening("ann"), s.opening("ann")}
	for range 3 * (readingPages + 2) {
		s.accept("bob")
	}
	for batch := s.schedule.next(); len(batch) > 0; batch = s.schedule.next() {
		verdicts := all(batch, verdict{unsent: true, ordered: true, due: s.clock.at.Add(time.Second)}) // of ann's, only the last one waits
		for i, it := range batch {
			if r := s.row(it); r.key == ann && r.nonce+1 < gap.nonce {
				r.ended, verdicts[i] = true, verdict{gone: true}
			}
		}
		s.done(batch, verdicts)
	}
	s.cancel(gap)
	for s.items[above[2].row.id()] == nil {
		require.True(t, s.page(false))
	}
	next := s.next[ann]
	s.next[ann] = gap.nonce
	again := s.accept("ann")
	s.next[ann] = next
	require.Nil(t, s.items[again.id()])
	for _, o := range above {
		s.ends(o)
	}
	for s.reading != nil {
		s.page(false)
	}
	require.Less(t, s.after, again.seq, "the reading ended before it came to it")
	s.clock.at = s.clock.at.Add(time.Second)
	s.expire()
	s.finishAll(t)
}
