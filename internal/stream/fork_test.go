package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// forked is a chain whose blocks can be replaced, with one event in each of ten blocks, all of them delivered.
func forked(t *testing.T) (r *rig, listener string) {
	t.Helper()
	r = newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
	listener = r.listen("s", "l", "A")
	for range 10 {
		r.chain.mine("A")
		r.live("s").finish(nil)
	}
	r.stored(listener, "000000000011/000000/000000")
	return r, listener
}

// ahead stores a second listener, which has read the newest block there is now. older are the blocks that are stored with its position.
func ahead(r *rig, older ...ffcapi.BlockRef) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	other := *r.store.listeners[0]
	other.ID, other.Name, other.Seq = "9b1cb0f4-2c8a-4a4c-a7b9-5f3e0a6d1e11", "other", 99
	r.store.listeners = append(r.store.listeners, &other)
	r.store.cps[other.ID] = store.Checkpoint{Listener: other.ID, Cursor: ffcapi.BlockStart(11), Block: r.chain.blocks[10].ref, Older: older}
}

func TestADeepReorganisationRestartsAtTheFork(t *testing.T) {
	t.Parallel()
	t.Run("while it runs", func(t *testing.T) {
		t.Parallel()
		r, l := forked(t)
		r.chain.reorganise(7, "b", "A")
		r.chain.mine("A")
		for block := 7; block <= 11; block++ {
			d := r.live("s")
			require.Equal(t, uint64(block), d.Events[0].Block)
			d.finish(nil)
		}
		r.stored(l, "000000000012/000000/000000")
		s, err := r.m.find("s")
		require.NoError(t, err)
		require.Equal(t, uint64(1), s.stats.rewinds.Load())
	})
	t.Run("while it was down", func(t *testing.T) {
		t.Parallel()
		r, _ := forked(t)
		r.stop()
		r.chain.reorganise(7, "b", "A")
		r.start()
		for block := uint64(7); block <= 10; block++ {
			d := r.live("s")
			require.Equal(t, block, d.Events[0].Block)
			require.Contains(t, d.Events[0].ID, "/b")
			d.finish(nil)
		}
	})
	t.Run("while it was down, for the second time", func(t *testing.T) {
		t.Parallel()
		r, l := forked(t)
		for fork, block := range []uint64{9, 5} {
			r.stop()
			r.chain.reorganise(int(block), string(rune('b'+fork)), "A")
			r.start()
			// Of what is older, less is known: too much comes again, never too little.
			first := r.live("s")
			require.LessOrEqual(t, first.Events[0].Block, block)
			require.Greater(t, first.Events[0].Block, uint64(2))
			first.finish(nil)
			for first.Events[0].Block < 10 {
				first = r.live("s")
				first.finish(nil)
			}
			r.stored(l, "000000000011/000000/000000")
		}
	})
	t.Run("another listener was set back before", func(t *testing.T) {
		t.Parallel()
		r, _ := forked(t)
		r.stop()
		r.chain.reorganise(7, "b", "A")
		ahead(r, r.chain.blocks[9].ref, r.chain.blocks[8].ref)
		r.start()
		d := r.live("s")
		require.Equal(t, uint64(7), d.Events[0].Block, "not behind what only the other one has read of the new chain")
	})
}

// Two listeners at the same height, of which one has read a block that was replaced and the other one its successor.
func TestEveryCheckpointIsVerifiedByItsOwnBlock(t *testing.T) {
	t.Parallel()
	r, l := forked(t)
	r.stop()
	r.chain.reorganise(7, "b", "A")
	ahead(r)
	cp, _ := r.store.checkpoint(l)
	require.NotEqual(t, r.chain.blocks[10].ref, cp.Block)
	r.start()
	d := r.live("s")
	require.Equal(t, l, d.Events[0].Listener.ID)
	require.LessOrEqual(t, d.Events[0].Block, uint64(7), "what replaced the blocks it has read is new to it")
}

// What a run has read of the new chain and not delivered is not taken for the past of a checkpoint on the old one.
func TestAForkIsNotForgottenByAChange(t *testing.T) {
	t.Parallel()
	r, l := forked(t)
	r.chain.set(func(c *fakeChain) { c.pageCap = 1 })
	r.chain.reorganise(7, "b", "A")
	require.Equal(t, uint64(7), r.live("s").Events[0].Block)
	r.stored(l, ffcapi.BlockStart(7).String())
	read := r.chain.pagesRead()
	r.eventually(func() bool { return r.chain.pagesRead() >= read }) // as far as there is room
	_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchTimeout: ptr(ms(77))})
	require.NoError(t, err)
	for block := uint64(7); block <= 10; block++ {
		d := r.live("s")
		require.Equal(t, block, d.Events[0].Block)
		d.finish(nil)
	}
	s, err := r.m.find("s")
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.stats.rewinds.Load(), "it went back once")
}

// A chain that is replaced in the middle of a session leaves no gap between what was read before and what is read after.
func TestAReorganisationInTheMiddleOfASession(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]int{"known": 0, "too old to be known": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(r *rig) {
				r.chain.finality, r.chain.pageCap, r.chain.window, r.opts.ReadAhead = ffcapi.Confirmations, 1, known, 1
			})
			const blocks = 20
			for range blocks {
				r.chain.mine("A")
			}
			r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
			r.listen("s", "l", "A")
			d := r.live("s")
			r.eventually(func() bool { return r.chain.pagesRead() >= 3 }) // and there is no room for more
			r.chain.reorganise(1, "b", "A")
			want := uint64(1)
			for ; want <= blocks; d = r.live("s") {
				if strings.Contains(d.Events[0].ID, "/b") {
					require.Equal(t, want, d.Events[0].Block)
					want++
				}
				d.finish(nil)
				if want > blocks {
					break
				}
			}
		})
	}
}
