package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

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
