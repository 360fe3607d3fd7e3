//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

// account is what the receiver of a stream has taken.
type account struct {
	stream string

	mu        sync.Mutex
	listeners map[string]*receipts // by id; guarded by mu, as all below
	failures  int                  // that the receiver knows of
	problems  []string
	twice     struct{ wanted, otherRun, failure int } // events that came again, by the reason
}

// receipts is what came for one listener.
type receipts struct {
	order []string           // keys in the order of the first delivery
	last  map[string]receipt // by key
	since map[string]bool    // what came since the last reset; nil: there was none
}

// receipt is the newest delivery of an event.
type receipt struct {
	epoch    int64
	failures int
}

// epochOf is the run of the stream that made a batch number.
func epochOf(number int64) int64 { return number / 1_000_000_000 }

// failed notes that what is under way may come again.
func (a *account) failed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures++
}

// forget is called before a listener is reset: everything it has got may come again.
func (a *account) forget(listener string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of(listener).since = map[string]bool{}
}

// of is what a listener has got. The caller holds mu.
func (a *account) of(listener string) *receipts {
	l := a.listeners[listener]
	if l == nil {
		l = &receipts{last: map[string]receipt{}}
		a.listeners[listener] = l
	}
	return l
}

// keyOf names an event or block wherever it comes from: position and block.
func keyOf(position, hash string) string { return position + " " + hash }

// take takes a batch. An event that comes again needs a reason: a reset, another run of the stream, or a failure, which the receiver knows of or
// the node tells by the number of the attempt.
func (a *account) take(number int64, attempt int, events []json.RawMessage) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, raw := range events {
		var e struct{ ID, ProtocolID, BlockHash, ListenerID string }
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		fork := strings.TrimPrefix(e.BlockHash, "0x")[:8]
		if !strings.HasSuffix(e.ID, ":"+e.ProtocolID) && !strings.HasSuffix(e.ID, ":"+e.ProtocolID+"/"+fork) {
			a.problems = append(a.problems, fmt.Sprintf("the event at %s in block %s has the id %s", e.ProtocolID, e.BlockHash, e.ID))
		}
		l, key := a.of(e.ListenerID), keyOf(e.ProtocolID, e.BlockHash)
		before, again := l.last[key]
		switch {
		case !again:
			l.order = append(l.order, key)
		case l.since != nil && !l.since[key]:
			a.twice.wanted++
		case before.epoch != epochOf(number):
			a.twice.otherRun++
		case before.failures != a.failures || attempt > 1:
			a.twice.failure++
		default:
			a.problems = append(a.problems, fmt.Sprintf("%s came twice in one run, the second time in batch %d, and nothing had failed", e.ID, number))
		}
		l.last[key] = receipt{epochOf(number), a.failures}
		if l.since != nil {
			l.since[key] = true
		}
	}
	return nil
}

// wanted is what a listener should get.
type wanted struct {
	name   string
	blocks bool
	from   uint64
	again  uint64 // from where it was reset last
}

// truth is what is on the ledger.
type truth struct {
	events, blocks []string // keys, in order
	numbers        []int    // of the events
	chosen         []string // of the events
	at             map[string]uint64
	head           uint64
}

// truth reads the ledger itself, which nobody may use any more.
func (r *eventRun) truth() *truth {
	cfg := r.ledger
	cfg.Faults = devledger.Faults{ReorganiseDepth: 1}
	cfg.BlockPeriod = 0
	c, err := devledger.New(cfg, devledger.Options{Dir: r.dir})
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, c.Close()) }()
	ctx := r.t.Context()
	info, err := c.Ledger(ctx, "")
	require.NoError(r.t, err)
	all := &truth{at: map[string]uint64{}, head: info.Head.Number}
	if info.Finality == ffcapi.Confirmations {
		all.head -= 3
	}
	upto, err := c.Block(ctx, "", all.head)
	require.NoError(r.t, err)
	for n := range all.head + 1 {
		b, err := c.Block(ctx, "", n)
		require.NoError(r.t, err)
		key := keyOf(fmt.Sprintf("%012d", n), b.Hash)
		all.blocks, all.at[key] = append(all.blocks, key), n
	}
	l, err := c.Listener(ctx, &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(assetCreated)}, FromBlock: "earliest"})
	require.NoError(r.t, err)
	for page, err := range c.Events(ctx, &ffcapi.EventQuery{Listeners: []*ffcapi.Listener{l}, Upto: upto.BlockRef, Max: 500}) {
		require.NoError(r.t, err)
		for _, e := range page.Events {
			key := keyOf(e.Cursor.String(), e.BlockHash)
			all.events, all.at[key] = append(all.events, key), e.Cursor.Block
			var data struct{ Value struct{ N int } }
			require.NoError(r.t, json.Unmarshal(e.Data, &data))
			all.numbers = append(all.numbers, data.Value.N)
			if data.Value.N%oneOf == 0 {
				all.chosen = append(all.chosen, key)
			}
		}
	}
	return all
}

// check compares what a receiver has taken with what is on the ledger.
func (r *eventRun) check(a *account, listeners map[string]*wanted, all *truth) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.problems[:min(len(a.problems), 5)] {
		r.note("%s: %s", a.stream, p)
	}
	sum := 0
	for id, w := range listeners {
		got := a.of(id)
		sum += len(got.order)
		// Nothing but blocks may have been made since everything was delivered.
		list, last := all.events, uint64(math.MaxUint64)
		switch {
		case w.blocks:
			list, last = all.blocks, all.at[all.events[len(all.events)-1]]
		case strings.HasSuffix(w.name, chosen):
			list = all.chosen
		}
		var should []string
		for _, key := range list {
			if all.at[key] >= w.from && (all.at[key] <= last || len(should) < len(got.order)) {
				should = append(should, key)
			}
		}
		r.compare(a.stream+": "+w.name, got.order, should)
		if got.since == nil {
			continue
		}
		for _, key := range should {
			if all.at[key] >= w.again && !got.since[key] && all.at[key] <= last {
				r.note("%s: %s: %s did not come again after a reset", a.stream, w.name, key)
				break
			}
		}
	}
	r.t.Logf("%-7s %d listeners took %d events; again: %d after resets, %d in another run, %d after failures; %d failures", a.stream,
		len(listeners), sum, a.twice.wanted, a.twice.otherRun, a.twice.failure, a.failures)
}

// compare notes the first difference.
func (r *eventRun) compare(what string, got, should []string) {
	for i := range max(len(got), len(should)) {
		switch {
		case i >= len(got):
			r.note("%s: %d of %d events never came, the first of them %s", what, len(should)-len(got), len(should), should[i])
		case i >= len(should):
			r.note("%s: %s came, and is not on the ledger", what, got[i])
		case got[i] != should[i]:
			r.note("%s: the event number %d is %s, and should be %s", what, i, got[i], should[i])
		default:
			continue
		}
		return
	}
}
