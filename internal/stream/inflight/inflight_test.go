package inflight_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(block uint64) inflight.Position {
	return inflight.Position{Cursor: ffcapi.BlockStart(block), Block: ffcapi.BlockRef{Number: block, Hash: "h"}}
}

func TestAcksInAnyOrder(t *testing.T) {
	t.Parallel()
	tr := inflight.New([]inflight.Position{at(1), at(1)})
	both := []int{0, 1}
	a := tr.Add(inflight.Entry{Owns: []inflight.Own{{Listener: 0, At: at(2)}}, Marks: []inflight.Mark{{Group: 1, Listeners: both, At: at(2)}}})
	b := tr.Add(inflight.Entry{Owns: []inflight.Own{{Listener: 1, At: at(5)}}, Marks: []inflight.Mark{{Group: 1, Listeners: both, At: at(5)}}})
	require.Equal(t, 2, tr.Open())

	require.False(t, tr.Ack(b), "the first is open")
	require.Equal(t, at(1), tr.Position(1))
	require.Empty(t, tr.Snapshot(nil, true))

	require.True(t, tr.Ack(a))
	require.Equal(t, at(5), tr.Position(0), "the mark speaks for both")
	require.Equal(t, at(5), tr.Position(1))
	require.Zero(t, tr.Open())

	rows := tr.Snapshot(nil, false)
	require.Equal(t, []inflight.Row{{Listener: 0, At: at(5), Written: at(1).Cursor}, {Listener: 1, At: at(5), Written: at(1).Cursor}}, rows)
	tr.Written(rows)
	require.Empty(t, tr.Snapshot(nil, true))
	require.False(t, tr.Ack(a), "a repeated acknowledgement changes nothing")
	require.False(t, tr.Ack(77))
}

func TestProgressAloneIsNotUrgent(t *testing.T) {
	t.Parallel()
	tr := inflight.New([]inflight.Position{at(1)})
	tr.Ack(tr.Add(inflight.Entry{Marks: []inflight.Mark{{Group: 1, Listeners: []int{0}, At: at(9)}}}))
	require.Empty(t, tr.Snapshot(nil, false))
	require.Equal(t, []inflight.Row{{Listener: 0, At: at(9), Written: at(1).Cursor}}, tr.Snapshot(nil, true))
	require.Equal(t, []inflight.Row{{Listener: 0, At: at(9), Written: at(1).Cursor}}, tr.Snapshot(nil, true), "until it is written")
}

func TestLowest(t *testing.T) {
	t.Parallel()
	tr := inflight.New([]inflight.Position{at(4), at(2), at(9)})
	low, ok := tr.Lowest(func(i int, _ inflight.Position) bool { return i != 1 })
	require.True(t, ok)
	require.Equal(t, at(4), low)
	_, ok = tr.Lowest(func(int, inflight.Position) bool { return false })
	require.False(t, ok)
}

// model is the dumb twin: it keeps every event and looks at all of them each time.
type model struct {
	entries []modelEntry
	stored  []ffcapi.Cursor
}

type modelEntry struct {
	acked  bool
	events []modelEvent
	covers []ffcapi.Cursor // by listener; zero: says nothing
}

type modelEvent struct {
	listener int
	at       ffcapi.Cursor
}

// want is the position the model expects: what the longest acknowledged prefix covers.
func (m *model) want(listener int, start ffcapi.Cursor) ffcapi.Cursor {
	for _, e := range m.entries {
		if !e.acked {
			break
		}
		if c := e.covers[listener]; start.Before(c) {
			start = c
		}
	}
	return start
}

func (m *model) lowestUnacked(listener int) (ffcapi.Cursor, bool) {
	for _, e := range m.entries {
		for _, ev := range e.events {
			if !e.acked && ev.listener == listener {
				return ev.at, true
			}
		}
	}
	return ffcapi.Cursor{}, false
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "listeners")
		split := rapid.IntRange(0, n).Draw(t, "split") // listeners below it are one group, the others another
		start := make([]inflight.Position, n)
		for i := range start {
			start[i] = at(rapid.Uint64Range(0, 3).Draw(t, "start"))
		}
		tr := inflight.New(start)
		m := &model{stored: make([]ffcapi.Cursor, n)}
		for i := range start {
			m.stored[i] = start[i].Cursor
		}
		block := uint64(10)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				e, me := drawEntry(t, n, split, &block)
				require.Equal(t, uint64(len(m.entries)), tr.Add(e))
				m.entries = append(m.entries, me)
			},
			"ack": func(t *rapid.T) {
				seq := rapid.IntRange(0, len(m.entries)+1).Draw(t, "seq")
				tr.Ack(uint64(seq))
				if seq < len(m.entries) {
					m.entries[seq].acked = true
				}
			},
			"write": func(t *rapid.T) {
				rows := tr.Snapshot(nil, rapid.Bool().Draw(t, "progress"))
				if rapid.Bool().Draw(t, "fails") {
					return
				}
				tr.Written(rows)
				for _, r := range rows {
					require.True(t, m.stored[r.Listener].Before(r.At.Cursor), "a write moves forward")
					m.stored[r.Listener] = r.At.Cursor
				}
			},
			"": func(t *rapid.T) { check(t, tr, m, start) },
		})
		for i := range m.entries {
			tr.Ack(uint64(i))
			m.entries[i].acked = true
		}
		require.Zero(t, tr.Open())
		check(t, tr, m, start)
		tr.Written(tr.Snapshot(nil, true))
		require.Empty(t, tr.Snapshot(nil, true))
	})
}

// drawEntry draws the next batch: some events in chain order and, for each group, where it stands after them.
func drawEntry(t *rapid.T, n, split int, block *uint64) (inflight.Entry, modelEntry) {
	var e inflight.Entry
	me := modelEntry{covers: make([]ffcapi.Cursor, n)}
	*block++
	log := uint64(0)
	for _, l := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 6).Draw(t, "events") {
		c := ffcapi.Cursor{Block: *block, Log: log}
		log++
		me.events = append(me.events, modelEvent{listener: l, at: c})
		me.covers[l] = c.Next()
		i := slices.IndexFunc(e.Owns, func(o inflight.Own) bool { return o.Listener == l })
		if i < 0 {
			i = len(e.Owns)
			e.Owns = append(e.Owns, inflight.Own{Listener: l})
		}
		e.Owns[i].At.Cursor = c.Next()
	}
	after := inflight.Position{Cursor: ffcapi.Cursor{Block: *block, Log: log}}
	for g, bounds := range [][2]int{{0, split}, {split, n}} {
		if !rapid.Bool().Draw(t, "mark") {
			continue
		}
		mark := inflight.Mark{Group: uint64(g), At: after}
		for l := bounds[0]; l < bounds[1]; l++ {
			mark.Listeners = append(mark.Listeners, l)
			if me.covers[l].Before(after.Cursor) {
				me.covers[l] = after.Cursor
			}
		}
		e.Marks = append(e.Marks, mark)
	}
	return e, me
}

func check(t *rapid.T, tr *inflight.Tracker, m *model, start []inflight.Position) {
	for l := range start {
		require.Equal(t, m.want(l, start[l].Cursor), tr.Position(l).Cursor)
		if low, ok := m.lowestUnacked(l); ok {
			require.False(t, low.Before(m.stored[l]), "stored %s, unacknowledged event of listener %d at %s", m.stored[l], l, low)
		}
	}
}
