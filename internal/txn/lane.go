package txn

import (
	"cmp"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
)

// place says where the schedule has an item.
type place uint8

const (
	parked  place = iota // waits for its time, or until something changes
	inLine               // in the order of its lane, not yet taken by a node
	again                // to be looked at as soon as there is a slot
	running              // a worker has it
)

// item is one transaction that is not terminal, as small as can be: there may be very many, see TestItemsAreSmall. All fields are guarded by
// schedule.mu, but for those that the worker that runs it owns.
type item struct {
	id      string
	order   uint64 // place in the order of its lane: the nonce
	seq     int64  // where it is in the store
	lane    *lane
	due     instant
	barrier uint64
	trace   *metrics.Trace
	slot    int32 // in the heap of timers, -1: in none
	place   place
	ordered bool // what comes after it in its lane waits for it
	news    news // of what became of it while a worker had it
	held    bool // suspended: it keeps its place, and what comes after it in its lane waits
	left    bool // its worker has sent it, and what comes after it in its lane may go
	urgent  bool // others wait for it: it goes before what is ready
	unsent  bool // no node has it, as far as is known
	counts  bool // as unsent, see weigh

	// Owned by the worker that runs it.
	resume bool      // read from the store, or let go of: see txstate.Resumed
	doubt  bool      // what became of its last send is not known
	fresh  *handover // what was just accepted, so that it need not be read
	aside  *aside    // what the store does not have; nil: nothing, as of most
}

// news is what became of an item while a worker had it.
type news uint8

const (
	changed   news = 1 << iota // it is looked at once more
	over                       // nothing is left to do
	suspended                  // it is to be let go of
	anew                       // somebody changed it: what its sends answered before does not count any more
)

// aside is what the process alone knows of a transaction.
type aside struct {
	lastErr *ffcapi.Error // see txstate.State
	errOf   int           // number of the attempt that lastErr is about
	missed  bool          // the block of the newest attempt may have passed unnoticed, because nobody knew yet what to look for
	above   uint64        // if so, it is in no block up to this one
}

// known returns what the process alone knows.
func (it *item) known() aside {
	if it.aside == nil {
		return aside{}
	}
	return *it.aside
}

// know sets it.
func (it *item) know(a aside) {
	if a.lastErr == nil && !a.missed {
		it.aside = nil
		return
	}
	kept := a // not a itself, which would be allocated for each call
	it.aside = &kept
}

// answered sets what the last send of an attempt was answered; nil: nothing that matters any more.
func (it *item) answered(err *ffcapi.Error, attempt int) {
	known := it.known()
	known.lastErr, known.errOf = err, attempt
	it.know(known)
}

// noticed notes that no block passes unnoticed any more.
func (it *item) noticed() {
	known := it.known()
	known.missed, known.above = false, 0
	it.know(known)
}

// instant is a time, a third as large as a time.Time: nanoseconds since epoch by the monotonic clock. 0: none, which is before all others.
type instant int64

var epoch = time.Now()

// instantOf places a time by how far from now it is: one that was stored is of the wall clock, which may have been set since epoch.
func instantOf(t, now time.Time) instant {
	if t.IsZero() {
		return 0
	}
	if m := instant(now.Add(t.Sub(now)).Sub(epoch)); m != 0 {
		return m
	}
	return 1
}

// until is how far away an instant is, which means nothing for 0.
func (m instant) until(now time.Time) time.Duration { return time.Duration(m) - now.Sub(epoch) }

func (m instant) after(now time.Time) bool { return m != 0 && m.until(now) > 0 }

// handover is what a transaction's first send needs. A burst leaves many of them, so it is what does not follow from the row.
type handover struct {
	tx        *store.Tx
	hash      string
	expires   uint64
	exclusive string
	conflicts []string
	before    time.Time
	payload   store.Payload
}

// handoverOf takes from a first attempt what its row does not say.
func handoverOf(tx *store.Tx, n *store.NewTx) *handover {
	a := &n.Attempt
	return &handover{
		tx: tx, hash: a.Hash, expires: a.Expires, exclusive: a.Exclusive, conflicts: a.ConflictKeys, before: a.SendBefore,
		payload: n.Payload,
	}
}

// attempt is the first attempt, as it was stored.
func (h *handover) attempt() store.Attempt {
	tx := h.tx
	return store.Attempt{
		Tx: tx.ID, Number: 1, Ledger: tx.Ledger, State: store.AttemptPrepared, Hash: h.hash, From: tx.From, Nonce: tx.Nonce,
		Expires: h.expires, Exclusive: h.exclusive, ConflictKeys: h.conflicts, SendBefore: h.before,
	}
}

func (h *handover) size() int {
	return len(h.payload.Prepared) + len(h.payload.Result) + len(h.payload.Sensitive) + 512
}

type laneKey struct{ ledger, signer string }

// lane is what one signer has on one ledger. On a chain with nonces one worker at most sends for it, and line is in the order of
// nonces; else items only ever go through ready.
type lane struct {
	key     laneKey
	line    []*item // not taken by a node yet; the first one may wait for its time
	ready   []*item // to be looked at, whatever the order
	urgent  []*item // before those
	running int     // workers that have some of it which may not have left
	listed  bool    // in the ring
	looked  bool    // the last batch was of ready
	items   int
	unsent  int                // of these, see weigh
	rest    rest               // what is left in the store
	late    rest               // of that, what was accepted since the last reading for this lane began
	next    uint64             // the nonce after the newest one that left
	lost    *item              // the first one whose last send was refused, as far as is known: before it is in order, sending a later one again is in vain
	behind  map[*item]struct{} // those that wait because of lost
	width   int                // items that are claimed together; little when the first of them keeps failing, since the others then wait

	// Accepts under way, numbered in the order in which they began. Nonces are handed out in the store: an Accept that began
	// earlier may hold a lower one than what is here already.
	begun uint64
	low   uint64          // all up to here have ended
	ended map[uint64]bool // later ones that have

	newest time.Time // when a nonce was last assigned here, as far as this process knows
}

// insert puts an item into the line, after those of the same order. Lines can be long, and most items come last.
func (l *lane) insert(it *item) {
	i := len(l.line)
	if i > 0 && l.line[i-1].order > it.order {
		i, _ = slices.BinarySearchFunc(l.line, it.order, func(x *item, order uint64) int {
			if x.order <= order {
				return -1
			}
			return 1
		})
	}
	l.line = slices.Insert(l.line, i, it)
}

// remove takes an item out of line or ready.
func (l *lane) remove(it *item) {
	if it.place == again {
		for _, list := range []*[]*item{&l.urgent, &l.ready} {
			if i := slices.Index(*list, it); i >= 0 {
				*list = cut(*list, i)
				return
			}
		}
		return
	}
	i, _ := slices.BinarySearchFunc(l.line, it.order, func(x *item, order uint64) int { return cmp.Compare(x.order, order) })
	for i < len(l.line) && l.line[i] != it && l.line[i].order == it.order {
		i++
	}
	if i < len(l.line) && l.line[i] == it {
		l.line = cut(l.line, i)
	}
}

// cut removes an element; the first one without moving the others.
func cut(items []*item, i int) []*item {
	if i == 0 {
		items[0] = nil
		return items[1:]
	}
	return slices.Delete(items, i, i+1)
}

// sendable reports whether an item of the line may go: nothing before it can turn up any more, and its time has come. Of one that is
// suspended, it may be asked what became of it.
func (l *lane) sendable(it *item, now time.Time) bool {
	return it.place == inLine && (!it.held || it.doubt) && !it.due.after(now) && it.order <= l.rest.floor &&
		(it.order == l.next || l.low >= it.barrier)
}

// refused notes what became of an item's last send.
func (l *lane) refused(it *item, refused bool) {
	switch {
	case refused && (l.lost == nil || it.order < l.lost.order):
		l.lost = it
	case !refused && l.lost == it:
		l.lost = nil
	}
}

// relieve has those looked at that waited for a lost one, when there is none any more.
func (s *schedule) relieve(l *lane) {
	if l.lost != nil || l.behind == nil {
		return
	}
	behind := l.behind
	l.behind = nil
	for it := range behind {
		switch {
		case it.place == running:
			it.news |= changed
		case it.place == parked && !it.held:
			s.look(it)
		}
	}
}

func byOrder(a, b *item) int { return cmp.Compare(a.order, b.order) }

// finish notes the end of an Accept.
func (l *lane) finish(ticket uint64) {
	if ticket != l.low+1 {
		if l.ended == nil {
			l.ended = map[uint64]bool{}
		}
		l.ended[ticket] = true
		return
	}
	l.low++
	for l.ended[l.low+1] {
		l.low++
		delete(l.ended, l.low)
	}
}

func (l *lane) idle() bool {
	return l.items == 0 && l.low == l.begun && l.running == 0 && !l.rest.some()
}
