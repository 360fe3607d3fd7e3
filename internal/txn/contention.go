package txn

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// contendedKeys is how many keys all contenders together may have. Beyond it nobody waits: that costs attempts, and nothing else.
const contendedKeys = 1 << 17

// contention lets transactions that would fail one another go one after the other: those with a conflict key in common, once one of them
// has lost a race. There is a line for each key. A transaction joins the lines of all its keys at once and has its turn when it is the first
// in each, so the one that joined first of all always has its turn, and no two can wait for each other.
//
// It is a courtesy and no lock: what happens on the chain is right whoever is sent when, and those who go together only risk another
// attempt. So it is kept in memory and forgotten by a restart, and keys are known by a hash alone. For the same reason a turn ends after
// a while whatever became of it: of a transaction whose outcome is not known nobody can say when it will be, and all that want its keys
// would be stuck with it.
type contention struct {
	now  func() time.Time
	turn time.Duration // that a turn lasts at most, when somebody waits
	seed maphash.Seed

	mu         sync.Mutex
	contenders map[string]*contender   // by transaction
	lines      map[uint64][]*contender // by key, in the order of joining; never empty
	keys       int                     // of all contenders
}

// contender is a transaction in line.
type contender struct {
	id      string
	keys    []uint64
	attempt int       // its newest one when it joined
	again   bool      // it has asked to be prepared afresh after that one, or was changed
	waited  bool      // it was told to
	goes    bool      // it was let go in its turn with what it has
	since   time.Time // its turn began; zero: it has not come
}

func newContention(turn time.Duration, now func() time.Time) *contention {
	return &contention{
		now: now, turn: turn, seed: maphash.MakeSeed(), contenders: map[string]*contender{}, lines: map[uint64][]*contender{},
	}
}

// standing is what a transaction that wants to go on is told.
type standing struct {
	turn  bool
	until time.Time // without a turn: when to ask again, at the latest
	next  []string  // transactions whose turn has come meanwhile
}

// enter asks for the turn of a transaction that is to be prepared afresh, or sent for the first time. It joins the lines if it is to be prepared:
// then it lost a race; else only if somebody is there, in whose way it would get. One that was prepared afresh in its turn, and has
// to be again, goes to the end of the lines.
func (c *contention) enter(id string, attempt int, ledger string, keys []string, prepare bool) standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s standing
	me := c.contenders[id]
	if me != nil && prepare && attempt > me.attempt {
		s.next = c.remove(me)
		me = nil
	}
	if me == nil {
		if me = c.join(id, attempt, c.hashes(ledger, keys), prepare); me == nil {
			s.turn = true
			return s
		}
	}
	me.again = me.again || prepare
	s.next = append(s.next, c.expire(me)...)
	if s.turn = !me.since.IsZero(); s.turn {
		me.goes = me.goes || !prepare
	} else {
		me.waited = true
		s.until = c.now().Add(c.turn * time.Duration(c.ahead(me)))
	}
	return s
}

func (c *contention) hashes(ledger string, keys []string) []uint64 {
	out := make([]uint64, len(keys))
	for i, key := range keys {
		var h maphash.Hash
		h.SetSeed(c.seed)
		_, _ = h.WriteString(ledger)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(key)
		out[i] = h.Sum64()
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// join puts a transaction at the end of the lines of its keys; nil: it need not wait, or there is no room.
func (c *contention) join(id string, attempt int, keys []uint64, always bool) *contender {
	contended := slices.ContainsFunc(keys, func(k uint64) bool { return len(c.lines[k]) > 0 })
	if !contended && !always || c.keys+len(keys) > contendedKeys {
		return nil
	}
	me := &contender{id: id, keys: keys, attempt: attempt}
	for _, k := range keys {
		c.lines[k] = append(c.lines[k], me)
	}
	if !contended {
		me.since = c.now()
	}
	c.contenders[id] = me
	c.keys += len(keys)
	return me
}

// ahead is how many are before a contender in its longest line.
func (c *contention) ahead(me *contender) (n int) {
	for _, k := range me.keys {
		n = max(n, slices.Index(c.lines[k], me))
	}
	return n
}

// expire ends the turns that hold up a contender and have lasted too long. It returns those whose turn has come, but for the contender.
func (c *contention) expire(me *contender) (next []string) {
	now := c.now()
	for _, k := range me.keys {
		first := c.lines[k][0]
		if first != me && !first.since.IsZero() && now.Sub(first.since) >= c.turn {
			next = append(next, c.remove(first)...)
		}
	}
	return slices.DeleteFunc(next, func(id string) bool { return id == me.id })
}

// outdated reports whether the turn of a transaction has come that had to wait, so that what its attempt has read was changed.
func (c *contention) outdated(id string, attempt int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	me := c.contenders[id]
	return me != nil && me.waited && me.attempt == attempt && !me.since.IsZero()
}

// rejoin has a transaction begin anew that is about to be changed: at the end of the lines of its keys now, as one that asks to be prepared afresh
// when its turn comes, since what the change was prepared of was read before. It returns those whose turn has come.
func (c *contention) rejoin(id string, attempt int, ledger string, keys []string) (next []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if me := c.contenders[id]; me != nil {
		next = c.remove(me)
	}
	if me := c.join(id, attempt, c.hashes(ledger, keys), false); me != nil {
		me.waited, me.again = true, true
	}
	return next
}

// leave ends the turn of a transaction, or its waiting, and returns those whose turn has come.
func (c *contention) leave(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if me := c.contenders[id]; me != nil {
		return c.remove(me)
	}
	return nil
}

// lost is leave for one of which it is heard, maybe late, that it has an attempt to replace or to send first. It is about a race that it has lost in its
// turn if it was let go with that attempt, or has a later one than it joined with, and has not asked to be prepared afresh since.
func (c *contention) lost(id string, attempt int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if me := c.contenders[id]; me != nil && (me.attempt < attempt || me.attempt == attempt && me.goes && !me.again) {
		return c.remove(me)
	}
	return nil
}

func (c *contention) remove(me *contender) (next []string) {
	delete(c.contenders, me.id)
	c.keys -= len(me.keys)
	for _, k := range me.keys {
		line := c.lines[k]
		if i := slices.Index(line, me); i == 0 { // without moving the others: lines can be long, and mostly lose their first
			line[0] = nil
			line = line[1:]
		} else {
			line = slices.Delete(line, i, i+1)
		}
		if len(line) == 0 {
			delete(c.lines, k)
			continue
		}
		c.lines[k] = line
	}
	looked := map[*contender]bool{} // once each: two may have thousands of keys in common
	for _, k := range me.keys {
		line := c.lines[k]
		if len(line) == 0 || looked[line[0]] {
			continue
		}
		one := line[0]
		if looked[one] = true; one.since.IsZero() && c.first(one) {
			one.since = c.now()
			next = append(next, one.id)
		}
	}
	return next
}

// first reports whether a contender is the first in all its lines.
func (c *contention) first(one *contender) bool {
	return !slices.ContainsFunc(one.keys, func(k uint64) bool { return c.lines[k][0] != one })
}

// blocker is the transaction that one waits for, "" if it waits for none.
func (c *contention) blocker(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	me := c.contenders[id]
	if me == nil {
		return ""
	}
	for _, k := range me.keys {
		if first := c.lines[k][0]; first != me {
			return first.id
		}
	}
	return ""
}

// waiting is how many wait for their turn.
func (c *contention) waiting() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.contenders {
		if one.since.IsZero() {
			n++
		}
	}
	return n
}
