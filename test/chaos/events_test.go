//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// Kills of a node that delivers: whatever its receivers do and however its streams are changed meanwhile, each receiver acknowledges
// what is on the ledger, all of it, in order, and twice only where there was a reason. Half of the kills are on a ledger with instant finality,
// half on one that is reorganised all the time.
func TestEventsSQLite(t *testing.T) { events(t, nil) }

func TestEventsPostgres(t *testing.T) { events(t, postgres) }

func postgres(t *testing.T) []string {
	t.Helper()
	return []string{"PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL=" + server.NewDatabase(t)}
}

// eventsPerKill is how many events there are for each kill, unless CHAOS_EVENTS says how many there are in all.
const eventsPerKill = 100

func events(t *testing.T, store func(t *testing.T) []string) {
	t.Helper()
	seed := uint64(server.Int(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000)))
	kills := server.Int(t, "CHAOS_KILLS", 20)
	total := server.Int(t, "CHAOS_EVENTS", eventsPerKill*kills)
	t.Logf("CHAOS_SEED=%d CHAOS_KILLS=%d CHAOS_EVENTS=%d", seed, kills, total)

	instant := devledger.DefaultConfig()
	reorganised := instant
	reorganised.Finality, reorganised.BlockPeriod = ffcapi.Confirmations, 40*time.Millisecond
	reorganised.Faults = devledger.Faults{ReorganiseEvery: 10, ReorganiseDepth: 3, ReorganiseDrop: 5}
	for name, c := range map[string]struct {
		ledger        devledger.Config
		kills, events int
	}{"instant": {instant, kills / 2, total / 2}, "reorganised": {reorganised, kills - kills/2, total - total/2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := append(ledgerEnv(c.ledger), "PYRALIS_STORE_SQLITE_PATH="+dir, "PYRALIS_POLICIES_SIMPLE_RESUBMITINTERVAL=500ms",
				"PYRALIS_CONFIRMATIONS_REQUIRED=3", "PYRALIS_WEBHOOKS_ALLOWPRIVATEIPS=true", "PYRALIS_EVENTSTREAMS_CHECKPOINTINTERVAL=200ms",
				"PYRALIS_LOG_LEVEL=info")
			if store != nil {
				env = append(env, store(t)...)
			}
			p := server.New(t, env, "run")
			r := &eventRun{
				t: t, p: p, c: client.New(p.URL), ledger: c.ledger, dir: filepath.Join(dir, "devledger"), seed: seed, total: c.events,
				starts: map[string]uint64{}, again: map[string]uint64{}, changes: map[string]int{},
			}
			t.Cleanup(r.c.Close)
			r.all(eventLives(seed, c.kills))
		})
	}
}

// eventLives are lives in which transactions come to their end now and then: signers wait behind what a kill made the ledger forget.
func eventLives(seed uint64, n int) []life {
	out := lives(seed, n)
	for i := range out {
		out[i].span = min(out[i].span, 5*time.Second)
	}
	return out
}

// eventRun is a load of events on a node that is killed again and again, and the receivers of its streams.
type eventRun struct {
	t      *testing.T
	p      *server.Process
	c      *client.Client
	ledger devledger.Config
	dir    string // of the ledger
	seed   uint64
	total  int // events

	accounts []*account
	mu       sync.Mutex
	starts   map[string]uint64 // first block of each listener, by its name; guarded by mu
	again    map[string]uint64 // first block of the last reset of a listener, by its name; guarded by mu
	notes    []string          // what went wrong; guarded by mu
	changes  map[string]int    // by kind; guarded by mu
}

func (r *eventRun) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *eventRun) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, stream)) }

// all does it all; the node must not be started yet.
func (r *eventRun) all(plan []life) {
	began := time.Now()
	r.p.Start()
	receivers, stopReceivers := context.WithCancel(r.t.Context())
	defer stopReceivers()
	var running sync.WaitGroup
	defer running.Wait()
	defer stopReceivers()
	r.open(receivers, &running)

	permits := make(chan int, len(plan)+1) // events that may be made
	var load, meddling sync.WaitGroup
	load.Go(func() { r.make(permits) })
	calm, settle := context.WithCancel(r.t.Context())
	defer settle()
	meddling.Go(func() { r.meddle(calm) })
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
	settle()
	meddling.Wait()
	killed := time.Since(began)
	r.drain()
	r.t.Logf("%d kills in %s, %d events, everything delivered after another %s; changes: %v", len(plan), killed.Round(time.Second), r.total,
		(time.Since(began) - killed).Round(time.Second), r.changes)

	listeners := r.listeners()
	r.p.Interrupt()
	stopReceivers()
	running.Wait()
	truth := r.truth()
	require.Len(r.t, truth.events, r.total, "events on the ledger")
	for _, a := range r.accounts {
		r.check(a, listeners[a.stream], truth)
	}
	require.Empty(r.t, r.notes[:min(len(r.notes), 20)], "%d things are wrong", len(r.notes))
}

// made is an event as it was ordered: the n-th.
func made(n int) *client.Invocation {
	id := fmt.Sprintf("e-%06d", n)
	return &client.Invocation{
		ID: id, From: fmt.Sprint("signer", n%3), To: "assets", Method: "create", Params: []any{id, map[string]int{"n": n}},
	}
}

// make posts the transactions that bring about the events, in batches of any size, each until it is answered.
func (r *eventRun) make(permits <-chan int) {
	rnd := r.rand(1)
	next := 0
	for some := range permits {
		for until := next + some; next < until && r.t.Context().Err() == nil; {
			n := min(1+rnd.IntN(40), until-next)
			batch := make([]*client.Invocation, n)
			for i := range batch {
				batch[i] = made(next + i)
			}
			for !r.post(batch) && r.t.Context().Err() == nil {
				server.Pause(r.t, 20*time.Millisecond)
			}
			next += n
			server.Pause(r.t, time.Duration(rnd.IntN(100))*time.Millisecond)
		}
	}
}

// post reports whether each of them is accepted.
func (r *eventRun) post(batch []*client.Invocation) bool {
	ctx, cancel := context.WithTimeout(r.t.Context(), 40*time.Second)
	defer cancel()
	items, err := r.c.SubmitBatch(ctx, batch)
	if err != nil {
		return false
	}
	for i, item := range items {
		switch {
		case item.Status >= 200 && item.Status < 300:
		case item.Status == 503 || item.Status == 429 || item.Status == 408:
			return false
		default:
			r.note("%s: %d %s", batch[i].ID, item.Status, item.Error)
		}
	}
	return true
}

// drain waits until nothing is pending and every stream has delivered what there is.
func (r *eventRun) drain() {
	end := time.Now().Add(30 * time.Minute)
	waitFor := func(what string, done func() (string, bool)) {
		for {
			state, ok := done()
			if ok {
				return
			}
			require.True(r.t, time.Now().Before(end), "%s: %s", what, state)
			server.Pause(r.t, 50*time.Millisecond)
		}
	}
	waitFor("transactions do not end", func() (string, bool) {
		n, err := r.c.CountTransactions(r.t.Context(), apitypes.TransactionFilter{Pending: true})
		return fmt.Sprint(n, " ", err), err == nil && n == 0
	})
	for _, a := range r.accounts { // which may have been left with batches of one event
		r.insist("patch "+a.stream, func(ctx context.Context) error {
			_, err := r.c.UpdateStream(ctx, a.stream, &apitypes.EventStream{BatchSize: ptr(uint64(500))})
			return err
		})
	}
	for _, a := range r.accounts {
		var head *uint64
		waitFor(a.stream+" does not deliver everything", func() (string, bool) {
			s, err := r.c.Stream(r.t.Context(), a.stream)
			if err != nil || s.StreamState.HeadBlock == nil {
				return fmt.Sprint(err), false
			}
			if head == nil {
				head = s.StreamState.HeadBlock
			}
			text, err := json.Marshal(s.StreamState)
			return string(text), err == nil && *s.StreamState.CheckpointBlock > *head
		})
	}
}

// listeners are those of each stream, with the first block of each.
func (r *eventRun) listeners() map[string]map[string]*wanted {
	all := map[string]map[string]*wanted{}
	for _, a := range r.accounts {
		list, err := r.c.Listeners(r.t.Context(), a.stream, 500, "")
		require.NoError(r.t, err)
		all[a.stream] = map[string]*wanted{}
		for _, l := range list {
			all[a.stream][l.ID.String()] = &wanted{name: *l.Name, blocks: *l.Type == apitypes.ListenerBlocks, from: r.starts[*l.Name], again: r.again[*l.Name]}
		}
	}
	return all
}

const assetCreated = `{"contract":"assets","event":"AssetCreated"}`

// chosen ends the name of a listener that chooses one event in so many.
const (
	chosen    = " chosen"
	oneOf     = 3
	predicate = ".data.value.n % 3 == 0"
)

// listen adds a listener to a stream, however often the node is killed meanwhile.
func (r *eventRun) listen(stream, name, kind string, from uint64) {
	number := apitypes.BlockNumber(fmt.Sprint(from))
	l := &apitypes.Listener{Name: &name, Type: &kind, FromBlock: &number}
	if kind == apitypes.ListenerEvents {
		l.Filters = []json.RawMessage{json.RawMessage(assetCreated)}
		if strings.HasSuffix(name, chosen) {
			l.Where = ptr(predicate)
		}
	}
	r.mu.Lock()
	r.starts[name] = from
	r.mu.Unlock()
	r.insist("listener "+name, func(ctx context.Context) error {
		_, err := r.c.CreateListener(ctx, stream, l)
		if client.IsConflict(err) {
			return nil // it was made, and the answer was lost
		}
		return err
	})
}

// insist repeats a call until it is answered. What is answered with an error that is not "come again" is noted.
func (r *eventRun) insist(what string, call func(ctx context.Context) error) {
	for r.t.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(r.t.Context(), 40*time.Second)
		err := call(ctx)
		cancel()
		var refusal *client.Error
		switch {
		case err == nil:
			return
		case asError(err, &refusal) && refusal.Status < 500 && refusal.Status != 408 && refusal.Status != 429:
			r.note("%s: %v", what, err)
			return
		}
		server.Pause(r.t, 20*time.Millisecond)
	}
}

// duration is a duration as the API has it.
func duration(d time.Duration) *fftypes.FFDuration {
	v := fftypes.FFDuration(d)
	return &v
}
