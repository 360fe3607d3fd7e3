package stream

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

func startAt(blocks ...uint64) (listeners []*store.Listener, start []inflight.Position) {
	for _, b := range blocks {
		listeners = append(listeners, &store.Listener{Resolved: ffcapi.Listener{Key: string(rune('a' + len(listeners)))}})
		start = append(start, inflight.Position{Cursor: ffcapi.BlockStart(b)})
	}
	return listeners, start
}

func TestListenersThatStandNearOneAnotherAreOneGroup(t *testing.T) {
	t.Parallel()
	listeners, start := startAt(1000, 5, 1000+near, 7, 5+near+1)
	gs := newGroups(listeners, start)
	require.Len(t, gs.list, 3)
	require.Equal(t, []int{1, 3}, gs.list[0].listeners)
	require.Equal(t, ffcapi.BlockStart(5), gs.list[0].at.Cursor, "the lowest position")
	require.Equal(t, []*ffcapi.Listener{&listeners[1].Resolved, &listeners[3].Resolved}, gs.list[0].query)
	require.Equal(t, []int{4}, gs.list[1].listeners)
	require.Equal(t, []int{0, 2}, gs.list[2].listeners)
	require.Equal(t, ffcapi.BlockStart(1000+near), gs.from[2], "what is before is not for it")
	require.NotEqual(t, gs.list[0].id, gs.list[1].id)
}

func TestGroupsOfDifferentLedgersStayApart(t *testing.T) {
	t.Parallel()
	listeners, start := startAt(5, 5, 5)
	listeners[1].Resolved.Ledger = "other"
	gs := newGroups(listeners, start)
	require.Len(t, gs.list, 2)
	require.Equal(t, []int{0, 2}, gs.list[0].listeners)
}

func TestAGroupThatCatchesUpJoinsTheOneAhead(t *testing.T) {
	t.Parallel()
	listeners, start := startAt(1, 5000)
	gs := newGroups(listeners, start)
	behind, ahead := gs.list[0], gs.list[1]
	ahead.at.Cursor, ahead.live = ffcapi.BlockStart(6000), true
	behind.at.Cursor = ffcapi.BlockStart(6000 - near - 1)
	require.False(t, gs.caughtUp(behind))
	require.False(t, gs.merge())
	behind.at.Cursor = ffcapi.BlockStart(6000 - near)
	require.True(t, gs.caughtUp(behind))
	require.False(t, gs.caughtUp(ahead), "it has nobody ahead")
	require.True(t, gs.merge())
	require.Len(t, gs.list, 1)
	require.Equal(t, []int{0, 1}, gs.list[0].listeners)
	require.Equal(t, behind.at, gs.list[0].at)
	require.False(t, gs.list[0].live)
	require.Equal(t, ffcapi.BlockStart(6000), gs.from[1], "what the one ahead was given does not come again")
	require.NotContains(t, []uint64{behind.id, ahead.id}, gs.list[0].id, "another set of listeners has another id")
	require.False(t, gs.merge())
}

func TestAGroupGoesOnWithoutThoseThatEnd(t *testing.T) {
	t.Parallel()
	listeners, start := startAt(1, 1, 7, 1)
	listeners[1].ToBlock, listeners[2].ToBlock, listeners[3].ToBlock = ptr(uint64(5)), ptr(uint64(6)), ptr(uint64(5))
	gs := newGroups(listeners, start)
	require.Equal(t, []int{0, 1, 3}, gs.list[0].listeners, "one is complete")
	g := gs.list[0]
	require.EqualValues(t, 5, g.until)
	g.at.Cursor = ffcapi.Cursor{Block: 5, Tx: 9}
	require.Nil(t, gs.finish(g))
	g.at.Cursor = ffcapi.BlockStart(6)
	require.Equal(t, []int{1, 3}, gs.finish(g))
	require.Len(t, gs.list, 1)
	require.NotEqual(t, g.id, gs.list[0].id)
	require.Equal(t, []int{0}, gs.list[0].listeners)
	require.Equal(t, []*ffcapi.Listener{&listeners[0].Resolved}, gs.list[0].query)
	require.Equal(t, g.at, gs.list[0].at)
	require.Equal(t, uint64(noEnd), gs.list[0].until)
	listeners[0].ToBlock = ptr(uint64(5))
	require.Equal(t, []int{0}, gs.finish(gs.like(g, []int{0})))
}
