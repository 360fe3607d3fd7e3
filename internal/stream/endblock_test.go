package stream

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// ending adds a listener with an end.
func (r *rig) ending(stream, from, to string, change ...func(*apitypes.Listener)) string {
	r.t.Helper()
	body := &apitypes.Listener{Filters: filters("A"), FromBlock: ptr(apitypes.BlockNumber(from)), ToBlock: ptr(apitypes.EndBlock(to))}
	for _, c := range change {
		c(body)
	}
	l, err := r.m.CreateListener(r.t.Context(), stream, body)
	require.NoError(r.t, err)
	return l.ID.String()
}

func ofTypeBlocks(l *apitypes.Listener) { l.Type, l.Filters = ptr(apitypes.ListenerBlocks), nil }

// takeAt acknowledges batches until there are n events, and returns where they are.
func (r *rig) takeAt(stream string, n int) []string {
	r.t.Helper()
	var list []string
	for len(list) < n {
		d := r.live(stream)
		for i := range d.Events {
			list = append(list, d.Events[i].ID)
		}
		d.finish(nil)
	}
	return list
}

// at are the ids of events, one per block.
func at(blocks ...int) []string {
	var list []string
	for _, b := range blocks {
		list = append(list, "fake::"+ffcapi.BlockStart(uint64(b)).String())
	}
	return list
}

func (r *rig) patchEnd(listener, to string) {
	r.t.Helper()
	_, err := r.m.UpdateListener(r.t.Context(), "", listener, &apitypes.Listener{ToBlock: ptr(apitypes.EndBlock(to))})
	require.NoError(r.t, err)
}

func (r *rig) show(listener string) *apitypes.ListenerWithStatus {
	r.t.Helper()
	l, err := r.m.Listener(r.t.Context(), "", listener)
	require.NoError(r.t, err)
	return l
}

// A listener with an end delivers that block, is complete then, also after a restart, and goes on exactly there when the end is moved.
func TestAListenerEndsAtItsLastBlock(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*apitypes.Listener){"events": func(*apitypes.Listener) {}, "blocks": ofTypeBlocks} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for range 9 {
				r.chain.mine("A")
			}
			events := func(blocks ...int) []string {
				list := at(blocks...)
				for i, b := range blocks {
					if name == "blocks" {
						list[i] = fmt.Sprintf("fake::%012d", b)
					}
				}
				return list
			}
			r.stream("s")
			l := r.ending("s", "2", "4", change)
			require.Equal(t, events(2, 3, 4), r.takeAt("s", 3))
			r.eventually(func() bool { return r.show(l).Complete })
			require.False(t, r.show(l).Catchup)
			require.EqualValues(t, "4", *r.show(l).ToBlock)
			require.Nil(t, r.state("s").LagBlocks, "it waits for nothing")
			r.eventually(func() bool { return r.state("s").State == stateLive })

			r.restart()
			require.True(t, r.show(l).Complete)
			require.Equal(t, ffcapi.BlockStart(5).Block, r.show(l).Checkpoint.Block)
			r.chain.mine("A")
			r.eventually(func() bool { return r.state("s").State == stateLive })
			ended := r.run("s")
			require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
			require.Empty(t, ended.reader.groups.list, "it is not read for any more")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))

			r.patchEnd(l, "6")
			require.Equal(t, events(5, 6), r.takeAt("s", 2))
			r.eventually(func() bool { return r.show(l).Complete })
			r.patchEnd(l, "3")
			require.True(t, r.show(l).Complete)
			r.patchEnd(l, "none")
			require.Nil(t, r.show(l).ToBlock)
			require.Equal(t, events(7, 8, 9, 10), r.takeAt("s", 4))
			require.False(t, r.show(l).Complete)
			r.patchEnd(l, "5")
			require.True(t, r.show(l).Complete, "it is past that")
			r.chain.mine("A")
			r.eventually(func() bool { return r.state("s").State == stateLive })
			r.quiet("s")
			require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
			require.Nil(t, r.state("s").LagBlocks)
			require.Zero(t, r.state("s").Redelivered)
		})
	}
}

// Those that end leave the others alone, in the middle of a page as well.
func TestListenersEndOneByOne(t *testing.T) {
	t.Parallel()
	const blocks = 40
	r := newRig(t)
	for range blocks {
		r.chain.mine("A", "A")
	}
	r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(7)) })
	want := make(map[string]int)
	for to := 1; to <= blocks; to += 3 {
		want[r.ending("s", "1", fmt.Sprint(to), func(l *apitypes.Listener) { l.Name = ptr(fmt.Sprint(to)) })] = 2 * to
	}
	want[r.listen("s", "no end", "A")] = 2 * blocks
	total := 0
	for _, n := range want {
		total += n
	}
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	got := make(map[string]int)
	for n := 0; n < total; {
		d := r.live("s")
		for i := range d.Events {
			got[d.Events[i].Listener.ID]++
			n++
		}
		d.finish(nil)
	}
	require.Equal(t, want, got)
	r.caughtUp("s")
	r.quiet("s")
	ended := r.run("s")
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	require.Len(t, ended.reader.groups.list, 1)
}

func TestAnEndIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, withLog(newFakeLog()))
	for range 9 {
		r.chain.mine("A")
	}
	r.stream("s")
	for _, c := range []struct{ from, to, kind, want string }{
		{"5", "4", "events", "toBlock is 4, and the listener begins at block 5"},
		{"5/1/0", "4", "events", "toBlock is 4, and the listener begins at block 5"},
		{"latest", "9", "blocks", "toBlock is 9, and the listener begins at block 10"},
		{"0", "-1", "events", `toBlock is "-1": give a block number, or "none"`},
		{"0", "latest", "events", `toBlock is "latest": give a block number`},
		{"0", "18446744073709551615", "events", `toBlock is "18446744073709551615": give a block number`},
		{"earliest", "7", "transactions", `toBlock has no meaning for a listener of type "transactions"`},
	} {
		body := &apitypes.Listener{Type: &c.kind, FromBlock: ptr(apitypes.BlockNumber(c.from)), ToBlock: ptr(apitypes.EndBlock(c.to))}
		if c.kind == apitypes.ListenerEvents {
			body.Filters = filters("A")
		}
		_, err := r.m.CreateListener(t.Context(), "s", body)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, c)
		require.ErrorContains(t, err, c.want)
	}
	l := r.ending("s", "5", "5")
	require.Equal(t, at(5), r.takeAt("s", 1))
	_, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{ToBlock: ptr(apitypes.EndBlock("4"))})
	require.ErrorContains(t, err, "toBlock is 4")
	_, err = r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("6"))}, false)
	require.ErrorContains(t, err, "toBlock is 5")
	_, err = r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("6")), ToBlock: ptr(apitypes.EndBlock(""))}, false)
	require.NoError(t, err)
	require.Equal(t, at(6, 7, 8, 9), r.takeAt("s", 4))
}

// fromBlock takes a position as events show it, and begins at that very event.
func TestFromAnExactPosition(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		r.chain.mine("A", "A", "A")
	}
	r.stream("s")
	l := r.listenFrom("s", "2/1/0", "A")
	require.Equal(t, []string{"fake::000000000002/000001/000000", "fake::000000000002/000002/000000", "fake::000000000003/000000/000000"}, r.takeAt("s", 3)[:3])
	require.EqualValues(t, "2/1/0", *r.show(l).FromBlock)
	_, err := r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("000000000003/000002/000000"))}, false)
	require.NoError(t, err)
	require.Contains(t, r.takeAt("s", 1), "fake::000000000003/000002/000000")
}

func TestListsShowWhereListenersAre(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	r.stream("other")
	r.ending("s", "1", "1")
	r.listen("other", "l", "A")
	require.Equal(t, at(1), r.takeAt("s", 1))
	r.eventually(func() bool {
		list, err := r.m.Listeners(t.Context(), "", 0, "")
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Zero(t, list[1].Checkpoint.Block)
		require.False(t, list[1].Complete)
		return list[0].Complete && list[0].Checkpoint.Block >= 1
	})
}

// A listener that has come to its end is told of a chain that changed below it like any other, though nothing is read for it.
func TestACompleteListenerGetsWhatReplacedItsBlocks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*apitypes.Listener){"events": func(*apitypes.Listener) {}, "blocks": ofTypeBlocks} {
		for known, window := range map[string]int{"known": 0, "too old to be known": 3} {
			t.Run(name+", "+known, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(r *rig) { r.chain.finality, r.chain.window = ffcapi.Confirmations, window })
				r.stream("s", confirmed(0))
				l := r.ending("s", "1", "4", change)
				for n := range uint64(4) {
					r.chain.unsafe(1)
					require.Equal(t, []uint64{n + 1}, r.blocks("s", 1))
				}
				r.eventually(func() bool { return r.show(l).Complete && r.show(l).Checkpoint.Block == 5 })
				r.chain.unsafe(5)
				r.eventually(func() bool { return r.state("s").State == stateLive })
				r.chain.reorganise(3, "b", "A")
				r.chain.unsafe(1)
				for block := uint64(3); block <= 4; block++ {
					d := r.live("s")
					require.Equal(t, block, d.Events[0].Block)
					require.Contains(t, d.Events[0].ID, "/b")
					d.finish(nil)
				}
				r.eventually(func() bool { return r.show(l).Complete })
				require.EqualValues(t, 1, r.state("s").Rewinds)
				r.quiet("s")
			})
		}
	}
}
