package stream

import (
	"cmp"
	"slices"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// near is the distance in blocks at which it is cheaper to read a stretch again for the listeners behind it than to read
// side by side.
const near = 128

// kind is what the listeners of a group read.
type kind int

const (
	ofEvents  kind = iota // the events of a ledger
	ofBlocks              // the blocks of a ledger
	ofChanges             // the log of status changes
)

// kindOf is what a listener reads.
func kindOf(l *store.Listener) kind {
	switch l.Type {
	case apitypes.ListenerBlocks:
		return ofBlocks
	case apitypes.ListenerTransactions:
		return ofChanges
	default:
		return ofEvents
	}
}

// group is a set of listeners of one ledger that are read together. Its members may have started at different positions: what
// is before a member's own one is not for it.
type group struct {
	id        uint64 // never names two sets of listeners
	ledger    string
	kind      kind
	listeners []int // indexes of the run, ascending; never changed
	query     []*ffcapi.Listener
	at        inflight.Position
	until     uint64 // the first block at which a member ends
	live      bool   // has been at the safe head

	tries // of its reading sessions
}

// groups is the partition of a run's listeners.
type groups struct {
	all  []*store.Listener // of the run
	ids  uint64
	list []*group
	from []ffcapi.Cursor // by listener: what is before it was delivered before this run, or by another group
}

// newGroups puts listeners that read the same and stand near one another into groups. Those that are complete are in none.
func newGroups(listeners []*store.Listener, start []inflight.Position) *groups {
	gs := &groups{all: listeners, from: make([]ffcapi.Cursor, len(listeners))}
	for i, l := range listeners {
		gs.from[i] = start[i].Cursor
		if complete(l, start[i].Cursor) {
			continue
		}
		gs.list = append(gs.list, &group{
			ledger: l.Resolved.Ledger, kind: kindOf(l), listeners: []int{i}, query: []*ffcapi.Listener{&l.Resolved}, at: start[i], until: endOf(l),
		})
	}
	gs.merge()
	for _, g := range gs.list {
		if g.id == 0 {
			gs.ids++
			g.id = gs.ids
		}
	}
	return gs
}

// merge joins groups that are near one another and reports whether there were any.
func (gs *groups) merge() bool {
	if len(gs.list) < 2 {
		return false
	}
	slices.SortStableFunc(gs.list, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.ledger, b.ledger), a.at.Cursor.Compare(b.at.Cursor))
	})
	merged := gs.list[:0:0]
	for i := 0; i < len(gs.list); {
		first, end := gs.list[i], i+1
		for end < len(gs.list) && first.meets(gs.list[end]) {
			end++
		}
		merged = append(merged, gs.join(gs.list[i:end]))
		i = end
	}
	changed := len(merged) < len(gs.list)
	gs.list = merged
	return changed
}

// meets says whether o, which is not before g, should be read together with g.
func (g *group) meets(o *group) bool {
	return g.ledger == o.ledger && g.kind == o.kind && o.at.Cursor.Block-g.at.Cursor.Block <= near
}

// join makes one group of many, at the position of the first. What the others are ahead is not delivered to their members again.
func (gs *groups) join(list []*group) *group {
	if len(list) == 1 {
		return list[0]
	}
	var members []int
	for _, g := range list {
		for _, l := range g.listeners {
			members = append(members, l)
			if gs.from[l].Before(g.at.Cursor) {
				gs.from[l] = g.at.Cursor
			}
		}
	}
	slices.Sort(members)
	return gs.like(list[0], members)
}

// like makes a group of some listeners at the place of another one.
func (gs *groups) like(o *group, members []int) *group {
	gs.ids++
	g := &group{id: gs.ids, ledger: o.ledger, kind: o.kind, at: o.at, live: o.live, listeners: members, until: noEnd}
	for _, l := range members {
		g.query = append(g.query, &gs.all[l].Resolved)
		g.until = min(g.until, endOf(gs.all[l]))
	}
	return g
}

// finish takes the members out of a group that have come to their end, and returns them. If there are any, what remains of the group is another
// one.
func (gs *groups) finish(g *group) (done []int) {
	if g.at.Cursor.Block <= g.until {
		return nil
	}
	var rest []int
	for _, l := range g.listeners {
		if complete(gs.all[l], g.at.Cursor) {
			done = append(done, l)
		} else {
			rest = append(rest, l)
		}
	}
	list := make([]*group, 0, len(gs.list)) // who goes through the old one is not disturbed
	for _, o := range gs.list {
		switch {
		case o != g:
			list = append(list, o)
		case len(rest) > 0:
			list = append(list, gs.like(g, rest))
		}
	}
	gs.list = list
	return done
}

// caughtUp reports whether g has come near a group ahead of it.
func (gs *groups) caughtUp(g *group) bool {
	for _, o := range gs.list {
		if o != g && g.meets(o) && !o.at.Cursor.Before(g.at.Cursor) {
			return true
		}
	}
	return false
}
