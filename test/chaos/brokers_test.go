//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// Kills of a node that delivers to message brokers which fail themselves: each of them gets all that is on the ledger, for each key in its order, and
// what it gets again carries the id that it carried before. Brokers that look for repetitions keep none.
func TestBrokers(t *testing.T) {
	seed := uint64(server.Int(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000)))
	kills := server.Int(t, "CHAOS_KILLS", 20)
	total := server.Int(t, "CHAOS_EVENTS", brokerEventsPerKill*kills)
	faults := server.Int(t, "CHAOS_FAULTS", max(1, kills/4))
	t.Logf("CHAOS_SEED=%d CHAOS_KILLS=%d CHAOS_EVENTS=%d CHAOS_FAULTS=%d", seed, kills, total, faults)
	dir := t.TempDir()
	ledger := devledger.DefaultConfig()
	env := append(ledgerEnv(ledger), "PYRALIS_STORE_SQLITE_PATH="+dir, "PYRALIS_POLICIES_SIMPLE_RESUBMITINTERVAL=500ms",
		"PYRALIS_EVENTSTREAMS_CHECKPOINTINTERVAL=200ms", "PYRALIS_LOG_LEVEL=info")
	p := server.New(t, env, "run")
	r := &eventRun{
		t: t, p: p, c: client.New(p.URL), ledger: ledger, dir: filepath.Join(dir, "devledger"), seed: seed, total: total,
		starts: map[string]uint64{}, again: map[string]uint64{}, changes: map[string]int{},
	}
	t.Cleanup(r.c.Close)
	r.deliver(eventLives(seed, kills), faults)
}

// brokerEventsPerKill is how many events there are for each kill, unless CHAOS_EVENTS says how many there are in all.
const brokerEventsPerKill = 500

// someBroker is a broker, or a cluster of them, that the test can break.
type someBroker struct {
	name   string
	stream apitypes.EventStream // its type and configuration
	// fault breaks something, and returns when it is as it was, which is soon.
	fault func(rnd *rand.Rand)
	// held is all that the broker holds, where what has one key is in its order.
	held func() []held
	// once: the broker keeps no message whose id it has.
	once bool
	// unordered: it keeps no order.
	unordered bool
}

// held is a message that a broker holds.
type held struct {
	id, key string
	body    []byte
}

// keys is how many keys the events have.
const (
	keys       = 16
	byKey      = "=.data.value.n % 16"
	faultPause = 2500 * time.Millisecond // between two faults of a broker, at most
)

// deliver does it all; the node must not be started yet.
func (r *eventRun) deliver(plan []life, faults int) {
	brokers := r.brokers()
	r.p.Start()
	for _, b := range brokers {
		body := b.stream
		body.Name, body.BatchSize, body.BatchTimeout = &b.name, ptr(uint64(100)), duration(50*time.Millisecond)
		body.RetryTimeout, body.BlockedRetryDelay = duration(2*time.Second), duration(300*time.Millisecond)
		_, err := r.c.CreateStream(r.t.Context(), &body)
		require.NoError(r.t, err)
		r.listen(b.name, b.name+" events", apitypes.ListenerEvents, 0)
		r.accounts = append(r.accounts, &account{stream: b.name})
	}
	permits := make(chan int, len(plan)+1)
	var load, breaking sync.WaitGroup
	load.Go(func() { r.make(permits) })
	for i, b := range brokers {
		rnd := r.rand(uint64(200 + i))
		breaking.Go(func() {
			for range faults {
				server.Pause(r.t, span(rnd, faultPause))
				b.fault(rnd)
			}
		})
	}
	began := time.Now()
	for i, l := range plan {
		permits <- r.total*(i+1)/len(plan) - r.total*i/len(plan)
		if !l.early {
			r.p.Ready()
		}
		server.Pause(r.t, l.span)
		r.p.Kill()
		r.p.Launch()
	}
	r.p.Ready()
	close(permits)
	load.Wait()
	breaking.Wait()
	killed := time.Since(began)
	r.drain()
	r.t.Logf("%d kills and %d faults of each broker in %s, everything delivered after another %s", len(plan), faults, killed.Round(time.Second),
		(time.Since(began) - killed).Round(time.Second))
	r.p.Interrupt()
	order := r.ordered()
	for _, b := range brokers {
		r.checkHeld(b, order)
	}
	require.Empty(r.t, r.notes[:min(len(r.notes), 20)], "%d things are wrong", len(r.notes))
}

// ordered is what is on the ledger, by key: the events of each as keyOf names them, in their order.
func (r *eventRun) ordered() map[string][]string {
	all := r.truth()
	require.Len(r.t, all.events, r.total, "events on the ledger")
	byKey := map[string][]string{}
	for i, key := range all.events {
		k := strconv.Itoa(all.numbers[i] % keys)
		byKey[k] = append(byKey[k], key)
	}
	return byKey
}

// checkHeld compares what a broker holds with what is on the ledger.
func (r *eventRun) checkHeld(b *someBroker, should map[string][]string) {
	ids := map[string]string{}    // of the message, by event
	events := map[string]string{} // by id of the message
	got := map[string][]string{}
	again := 0
	all := b.held()
	for _, h := range all {
		var e struct{ ProtocolID, BlockHash string }
		require.NoError(r.t, json.Unmarshal(h.body, &e))
		key := keyOf(e.ProtocolID, e.BlockHash)
		before, known := ids[key]
		switch other := events[h.id]; {
		case !known && other != "":
			r.note("%s: %s and %s have the id %s", b.name, other, key, h.id)
		case !known:
			ids[key], events[h.id] = h.id, key
			got[h.key] = append(got[h.key], key)
		case before != h.id:
			r.note("%s: %s has the id %s, and had %s before", b.name, key, h.id, before)
		default:
			again++
		}
	}
	if b.once && again > 0 {
		r.note("%s: %d messages came twice", b.name, again)
	}
	for _, k := range slices.Sorted(maps.Keys(should)) {
		want := should[k]
		if b.unordered {
			want = slices.Sorted(slices.Values(want))
			slices.Sort(got[k])
		}
		r.compare(fmt.Sprintf("%s: key %s", b.name, k), got[k], want)
	}
	r.t.Logf("%-10s %d messages, %d of them again", b.name, len(all), again)
}

// brokers starts all brokers.
func (r *eventRun) brokers() []*someBroker {
	return append(r.amazon(), r.kafka(), r.jetstream())
}

// patience is how long a broker may take for what must happen.
const patience = 3 * time.Minute

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
