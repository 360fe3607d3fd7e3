package stream

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// noEnd is the last block of a listener that goes on for ever.
const noEnd = math.MaxUint64

// endOf is the last block that a listener delivers.
func endOf(l *store.Listener) uint64 {
	if l.ToBlock == nil {
		return noEnd
	}
	return *l.ToBlock
}

// complete says that a listener that stands at a position has nothing more to deliver. Its position never passes its end by more than that, so
// that it misses nothing when the end is moved.
func complete(l *store.Listener, at ffcapi.Cursor) bool { return at.Block > endOf(l) }

// applyEnd overwrites the end of a listener if the request says something about it.
func applyEnd(l *store.Listener, to *apitypes.EndBlock) error {
	if to == nil {
		return nil
	}
	if *to == "" || strings.EqualFold(string(*to), apitypes.ToBlockNone) {
		l.ToBlock = nil
		return nil
	}
	n, err := strconv.ParseUint(string(*to), 10, 64)
	switch {
	case kindOf(l) == ofChanges:
		return apitypes.Invalidf("toBlock", "leave it out", "has no meaning for a listener of type %q", l.Type)
	case err != nil || n == noEnd:
		return apitypes.Invalidf("toBlock", `give a block number, or "none" for no end`, "is %q", string(*to))
	}
	l.ToBlock = &n
	return nil
}

// checkEnd refuses an end before the beginning.
func checkEnd(l *store.Listener) error {
	if first := l.Resolved.Start.Block; complete(l, l.Resolved.Start) {
		return apitypes.Invalidf("toBlock", "give one that is not below it, or another fromBlock", "is %d, and the listener begins at block %d", *l.ToBlock, first)
	}
	return nil
}

// exactly reads a position in the form of protocolId, padded or not.
func exactly(from string) (ffcapi.Cursor, bool) {
	at, err := ffcapi.ParseCursor(from)
	return at, err == nil
}

// shorten returns the part of a page up to a block. The rest is read again for those who go on.
func shorten(p *ffcapi.EventPage, until uint64) (events []ffcapi.Event, next ffcapi.Cursor) {
	if p.Next.Block <= until {
		return p.Events, p.Next
	}
	n := sort.Search(len(p.Events), func(i int) bool { return p.Events[i].Cursor.Block > until })
	return p.Events[:n], ffcapi.BlockStart(until + 1)
}

// anotherForm tells whether an event is the one before it once more, for other listeners.
func anotherForm(events []ffcapi.Event, i int) bool {
	for before := i - 1; before >= 0 && events[before].Cursor == events[i].Cursor; before-- {
		if slices.ContainsFunc(events[i].Matches, func(m int) bool { return slices.Contains(events[before].Matches, m) }) {
			return false
		}
	}
	return i > 0 && events[i-1].Cursor == events[i].Cursor
}
