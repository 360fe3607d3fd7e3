package txn

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func opened(sequenced bool, workers int) (*schedule, *clock) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := newSchedule(sequenced, workers, c.now)
	s.loaded()
	return s, c
}

// accept adds a transaction as an Accept does that nobody else overlaps with.
func (s *schedule) accept(t *testing.T, signer string, nonce uint64) *item {
	t.Helper()
	l, ticket, ok := s.begin(laneKey{signer: signer}, 1_000_000, false)
	require.True(t, ok)
	it := numbered(signer, nonce)
	s.accepted(l, ticket, it)
	return it
}

// load adds a transaction as if it had been read from the store.
func (s *schedule) load(key laneKey, it *item) { s.offer(s.readAll(), key, it) }

func numbered(signer string, nonce uint64) *item {
	return &item{id: fmt.Sprintf("%s/%d", signer, nonce), order: nonce, ordered: true, unsent: true, slot: noTimer}
}

func (s *schedule) next() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pick()
}

func ids(batch []*item) []string {
	var out []string
	for _, it := range batch {
		out = append(out, it.id)
	}
	return out
}

// all gives each item of a batch the same verdict.
func all(batch []*item, v verdict) []verdict {
	out := make([]verdict, len(batch))
	for i := range out {
		out[i] = v
	}
	return out
}

func TestOneWorkerPerSignerInOrder(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	for n := range uint64(3) {
		s.accept(t, "alice", n)
	}
	batch := s.next()
	require.Equal(t, []string{"alice/0", "alice/1", "alice/2"}, ids(batch))
	s.accept(t, "alice", 3)
	require.Nil(t, s.next(), "one worker has alice")
	s.accept(t, "bob", 0)
	require.Equal(t, []string{"bob/0"}, ids(s.next()))

	s.done(batch, []verdict{{}, {ordered: true}, {ordered: true}})
	batch = s.next()
	require.Equal(t, []string{"alice/1"}, ids(batch), "one alone, until that works again")
	s.done(batch, []verdict{{}})
	require.Equal(t, []string{"alice/2", "alice/3"}, ids(s.next()))
}

func TestNothingOvertakesWhatWaits(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	s.accept(t, "alice", 0)
	s.accept(t, "alice", 1)
	batch := s.next()
	s.done(batch, []verdict{{ordered: true, due: c.at.Add(time.Second)}, {ordered: true}})
	require.Nil(t, s.next(), "0 waits, so 1 does")
	s.rouse("alice/1", false)
	require.Nil(t, s.next(), "also when something changed")
	c.at = c.at.Add(time.Second)
	s.expire()
	require.Equal(t, []string{"alice/0"}, ids(s.next()))
}

// TestALowerNonceMayStillTurnUp: nonces are handed out by the store, and what the store has committed is made known in any order.
func TestALowerNonceMayStillTurnUp(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	key := laneKey{signer: "alice"}
	l, first, _ := s.begin(key, 9, false)
	_, second, _ := s.begin(key, 9, false)
	_, third, _ := s.begin(key, 9, false)
	s.accepted(l, second, numbered("alice", 8))
	require.Nil(t, s.next(), "the first or the third may hold 7")
	s.accepted(l, third, numbered("alice", 7))
	require.Nil(t, s.next(), "the first may hold 6")
	s.abandoned(l, first)
	batch := s.next()
	require.Equal(t, []string{"alice/7", "alice/8"}, ids(batch))
	s.done(batch, all(batch, verdict{gone: true}))

	l, slow, _ := s.begin(key, 9, false)
	_, fast, _ := s.begin(key, 9, false)
	s.accepted(l, fast, numbered("alice", 10))
	require.Nil(t, s.next())
	s.accepted(l, slow, numbered("alice", 9))
	require.Equal(t, []string{"alice/9", "alice/10"}, ids(s.next()))
}

func TestSignersTakeTurns(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s, _ := opened(sequenced, 1)
		for n := range uint64(200) {
			s.accept(t, "alice", n)
		}
		s.accept(t, "bob", 0)
		s.accept(t, "carol", 0)
		var order []string
		for range 3 {
			batch := s.next()
			order = append(order, batch[0].lane.key.signer)
			s.done(batch, all(batch, verdict{gone: true}))
		}
		require.Equal(t, []string{"alice", "bob", "carol"}, order, "two hundred of alice's do not hold up the others")
	}
}

func TestWithoutNoncesThePoolIsTheLimit(t *testing.T) {
	t.Parallel()
	s, _ := opened(false, 3)
	for n := range uint64(10) {
		s.accept(t, "alice", n)
	}
	first := s.next()
	require.Len(t, first, 1)
	require.Len(t, s.next(), 1)
	require.Len(t, s.next(), 1)
	require.Nil(t, s.next(), "three are under way")
	s.done(first, []verdict{{}})
	require.Len(t, s.next(), 1, "what waits for its block holds no slot")
}

func TestSlowDown(t *testing.T) {
	t.Parallel()
	s, _ := opened(false, 8)
	s.paced(true)
	s.paced(true)
	for n := range uint64(10) {
		s.accept(t, "alice", n)
	}
	require.Len(t, s.next(), 1)
	require.Len(t, s.next(), 1)
	require.Nil(t, s.next())
	for range limitRecovery {
		s.paced(false)
	}
	require.Len(t, s.next(), 1, "it recovers")
	require.Nil(t, s.next())
}

func TestParkedUntilDueOrRoused(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	s.accept(t, "alice", 0)
	s.accept(t, "alice", 1)
	batch := s.next()
	s.done(batch, []verdict{{due: c.at.Add(time.Second)}, {}})
	require.Nil(t, s.next())
	require.Equal(t, time.Second, s.expire())
	s.rouse("alice/1", false)
	batch = s.next()
	require.Equal(t, []string{"alice/1"}, ids(batch))
	s.rouse("alice/1", false)
	s.done(batch, []verdict{{}})
	batch = s.next()
	require.Equal(t, []string{"alice/1"}, ids(batch), "something changed while a worker had it")
	s.done(batch, []verdict{{}})
	require.Nil(t, s.next())

	c.at = c.at.Add(time.Second)
	require.Equal(t, idleTimerPeriod, s.expire())
	require.Equal(t, []string{"alice/0"}, ids(s.next()))
}

func TestWhatEndsIsForgotten(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	for n := range uint64(4) {
		s.accept(t, "alice", n)
	}
	batch := s.next()
	s.remove("alice/1")
	s.done(batch, []verdict{{due: c.at.Add(time.Hour)}, {due: c.at.Add(time.Minute)}, {ordered: true}, {gone: true}})
	require.Equal(t, time.Hour, s.expire(), "its timer is gone, too")
	s.remove("alice/0")
	s.remove("alice/2")
	s.remove("nobody")
	require.Zero(t, s.pending())
	require.Empty(t, s.due)
	require.Nil(t, s.next())
	require.Empty(t, s.lanes)
}

func TestLimitCountsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	key := laneKey{signer: "alice"}
	l, ticket, ok := s.begin(key, 1, false)
	require.True(t, ok)
	_, _, ok = s.begin(key, 1, false)
	require.False(t, ok)
	s.accepted(l, ticket, numbered("alice", 0))
	_, _, ok = s.begin(key, 1, false)
	require.False(t, ok)
	s.remove("alice/0")
	_, _, ok = s.begin(key, 1, false)
	require.True(t, ok)
}

func TestHandoverIsBounded(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	l := laneKey{signer: "alice"}
	kept := 0
	for n := range uint64(20) {
		lane, ticket, _ := s.begin(l, 100, false)
		it := numbered("alice", n)
		it.fresh = &handover{}
		it.fresh.payload.Prepared = make([]byte, 1<<20)
		s.accepted(lane, ticket, it)
		if it.fresh != nil {
			kept++
		}
	}
	require.Equal(t, 7, kept, "of one MiB each, in eight")
	for n := range uint64(20) {
		s.remove(fmt.Sprintf("alice/%d", n))
	}
	require.Zero(t, s.handed)
	require.Zero(t, s.handedBy)
}

func TestNothingIsTakenBeforeTheLoad(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(0, 0)}
	s := newSchedule(true, 8, c.now)
	s.expect(7)
	s.accept(t, "alice", 5)
	require.Equal(t, 7, s.pending())
	require.Nil(t, s.next())
	s.load(laneKey{signer: "alice"}, numbered("alice", 4))
	s.load(laneKey{signer: "alice"}, numbered("alice", 5))
	s.loaded()
	require.Equal(t, 2, s.pending())
	require.Equal(t, []string{"alice/4", "alice/5"}, ids(s.next()))
	s.close()
	s.accept(t, "bob", 0)
	require.Nil(t, s.next())
}

// What was read as open while it was being accepted stays in the trace of its request.
func TestAcceptedDuringTheLoad(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 1)
	l, ticket, ok := s.begin(laneKey{signer: "a"}, 10, false)
	require.True(t, ok)
	s.load(laneKey{signer: "a"}, numbered("a", 1))
	it := numbered("a", 1)
	it.trace = &metrics.Trace{}
	s.accepted(l, ticket, it)
	batch := s.next()
	require.Equal(t, []string{"a/1"}, ids(batch))
	require.Same(t, it.trace, batch[0].trace)
}

// TestWhatIsInDoubtComesAlone: after a restart it is found out one by one.
func TestWhatIsInDoubtComesAlone(t *testing.T) {
	t.Parallel()
	m := &Manager{opts: Options{Now: time.Now}}
	s, _ := opened(true, 8)
	for n, sub := range []store.SubStatus{store.SubSubmitting, store.SubUnknownOutcome, store.SubPrepared, store.SubReceived} {
		nonce := uint64(n)
		s.load(laneKey{signer: "alice"}, m.restored(&store.Tx{ID: string(sub), Nonce: &nonce, Sub: sub}))
	}
	var batches [][]string
	for range 3 {
		batch := s.next()
		batches = append(batches, ids(batch))
		s.done(batch, all(batch, verdict{gone: true}))
	}
	require.Equal(t, [][]string{{"Submitting"}, {"UnknownOutcome"}, {"Prepared", "Received"}}, batches)
}

// TestOrderHoldsWhateverHappens: nonces leave in order, one worker per signer, and in the end nothing is left.
func TestOrderHoldsWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, c := opened(true, 4)
		key := laneKey{signer: "alice"}
		type pending struct {
			ticket uint64
			nonce  uint64
			stored bool
		}
		var (
			open      []pending
			assigned  uint64
			left      uint64 // nonces that left, all below
			parkedIDs []string
		)
		var l *lane
		run := func(batch []*item) {
			verdicts := make([]verdict, len(batch))
			blocked := false
			for i, it := range batch {
				switch {
				case !it.ordered:
					verdicts[i] = verdict{gone: rapid.Bool().Draw(t, "gone")}
				case blocked:
					verdicts[i] = verdict{ordered: true}
				case rapid.Bool().Draw(t, "taken"):
					if it.order != left {
						t.Fatalf("%d leaves, and the next one is %d", it.order, left)
					}
					left++
					parkedIDs = append(parkedIDs, it.id)
				default:
					blocked = true
					verdicts[i] = verdict{ordered: true, due: c.at.Add(time.Second)}
				}
			}
			if b := s.next(); b != nil {
				t.Fatalf("a second worker got %v", ids(b))
			}
			s.done(batch, verdicts)
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				lane, ticket, _ := s.begin(key, 1000, false)
				l = lane
				open = append(open, pending{ticket: ticket})
			},
			"commit": func(t *rapid.T) { // the store numbers what it commits, in any order
				for _, i := range rand.Perm(len(open)) {
					if !open[i].stored {
						open[i].nonce, open[i].stored = assigned, true
						assigned++
						return
					}
				}
			},
			"made known": func(t *rapid.T) {
				for i, p := range open {
					if p.stored && rapid.Bool().Draw(t, "this one") {
						s.accepted(l, p.ticket, numbered("alice", p.nonce))
						open = append(open[:i:i], open[i+1:]...)
						return
					}
				}
			},
			"abandon": func(t *rapid.T) {
				for i, p := range open {
					if !p.stored {
						s.abandoned(l, p.ticket)
						open = append(open[:i:i], open[i+1:]...)
						return
					}
				}
			},
			"work": func(t *rapid.T) {
				if batch := s.next(); batch != nil {
					run(batch)
				}
			},
			"rouse": func(t *rapid.T) {
				if len(parkedIDs) > 0 {
					s.rouse(rapid.SampledFrom(parkedIDs).Draw(t, "id"), false)
				}
			},
			"end": func(t *rapid.T) {
				if len(parkedIDs) > 0 {
					s.remove(parkedIDs[0])
					parkedIDs = parkedIDs[1:]
				}
			},
			"time": func(t *rapid.T) {
				c.at = c.at.Add(time.Second)
				s.expire()
			},
		})
	})
}
