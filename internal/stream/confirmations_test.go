package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// unsafe appends blocks with one event each that the configured number of confirmations does not reach.
func (c *fakeChain) unsafe(n int) {
	c.set(func(c *fakeChain) {
		for range n {
			c.appendLocked("a", []string{"A"})
		}
	})
}

func confirmed(n int) func(*apitypes.EventStream) {
	return func(s *apitypes.EventStream) { s.Confirmations, s.BatchSize = &n, ptr(uint64(1)) }
}

// blocks acknowledges n events, one a batch, and returns the numbers of their blocks.
func (r *rig) blocks(stream string, n int) []uint64 {
	r.t.Helper()
	var list []uint64
	for range n {
		d := r.live(stream)
		list = append(list, d.Events[0].Block)
		d.finish(nil)
	}
	return list
}

// follows waits until a stream has delivered everything before a block, and checks that nothing more comes.
func (r *rig) follows(stream, listener string, block uint64) {
	r.t.Helper()
	r.stored(listener, ffcapi.BlockStart(block).String())
	r.eventually(func() bool { return r.state(stream).State == stateLive })
	r.quiet(stream)
}

func TestStreamsReadToTheirOwnNumberOfConfirmations(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.chain.unsafe(10)
	r.chain.set(func(c *fakeChain) { c.safe = 2 })
	listeners := make(map[string]string)
	for name, n := range map[string]int{"none": 0, "five": 5, "configured": -1} {
		r.stream(name, confirmed(n))
		listeners[name] = r.listen(name, "l", "A")
	}
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, r.blocks("none", 10))
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, r.blocks("five", 5))
	require.Equal(t, []uint64{1, 2}, r.blocks("configured", 2))
	r.follows("none", listeners["none"], 11)
	r.follows("five", listeners["five"], 6)
	r.follows("configured", listeners["configured"], 3)
	require.Equal(t, uint64(5), *r.state("five").HeadBlock)
	r.restart()
	r.chain.unsafe(1)
	require.Equal(t, []uint64{11}, r.blocks("none", 1))
	require.Equal(t, []uint64{6}, r.blocks("five", 1))
	r.follows("configured", listeners["configured"], 3)
}

func TestAnotherNumberOfConfirmationsMovesNoPosition(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.chain.unsafe(10)
	r.stream("s", confirmed(0))
	l := r.listen("s", "l", "A")
	require.Len(t, r.blocks("s", 10), 10)
	r.follows("s", l, 11)
	for _, n := range []int{5, -1} {
		_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Confirmations: &n})
		require.NoError(t, err)
		r.follows("s", l, 11)
	}
	s, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Nil(t, s.Confirmations, "as configured")
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Confirmations: ptr(3)})
	require.NoError(t, err)
	r.chain.unsafe(5)
	require.Equal(t, []uint64{11, 12}, r.blocks("s", 2))
	r.follows("s", l, 13)
}

// Whoever asks for few confirmations sees the new chain from the fork on.
func TestAReorganisationAboveTheConfiguredConfirmations(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.stream("s", confirmed(0))
	r.listen("s", "l", "A")
	for range 6 {
		r.chain.unsafe(1)
		r.blocks("s", 1)
	}
	r.chain.reorganise(5, "b", "A")
	r.chain.unsafe(1)
	for block := uint64(5); block <= 7; block++ {
		d := r.live("s")
		require.Equal(t, block, d.Events[0].Block)
		require.Equal(t, block < 7, strings.Contains(d.Events[0].ID, "/b"), d.Events[0].ID)
		d.finish(nil)
	}
}

// The newest block can be replaced and be the newest again.
func TestAReorganisationWithoutANewHeight(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.stream("s", confirmed(0))
	l := r.listen("s", "l", "A")
	for n := range uint64(3) {
		r.chain.unsafe(1)
		require.Equal(t, []uint64{n + 1}, r.blocks("s", 1))
	}
	r.follows("s", l, 4)
	r.chain.reorganise(3, "b", "A")
	d := r.live("s")
	require.Equal(t, uint64(3), d.Events[0].Block)
	require.Contains(t, d.Events[0].ID, "/b")
	d.finish(nil)
}

func TestConfirmationsOfAStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, n := range []int{-2, 10001} {
		_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("x"), Confirmations: &n})
		require.ErrorContains(t, err, "must be 0 to 10000, or -1 for the configured number")
	}
	r.stream("s", confirmed(0))
	r.restart()
	s, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Zero(t, *s.Confirmations)
	updated, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Confirmations: ptr(0)})
	require.NoError(t, err)
	require.Equal(t, s.Updated, updated.Updated, "nothing has changed")
}
