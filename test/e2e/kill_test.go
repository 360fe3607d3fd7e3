//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// killRun is a load of clients and one consumer over a server that is killed again and again.
type killRun struct {
	t        *testing.T
	p        *server.Process
	to       string // contract
	from     func(client int) string
	filters  string // of the listener
	kills    int
	clients  int
	interval time.Duration // between the posts of a client

	rnd      *rand.Rand
	accepted sync.Map // id → true, answered with 202
	posted   atomic.Int64

	mu     sync.Mutex
	seen   map[string]int // asset id → deliveries
	order  []string       // protocol ids in the order of their first delivery
	byID   map[string]string
	ended  map[string]string // transaction id → sequence of its end, as a listener of type transactions got it
	last   string            // the newest event id of that listener
	errors []string
}

// run does it all; the server must not be started yet.
func (r *killRun) run() {
	t := r.t
	seed := uint64(server.Int(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("E2E_SEED=%d E2E_KILLS=%d", seed, r.kills)
	r.rnd = rand.New(rand.NewPCG(seed, 1))
	r.seen, r.byID, r.ended = make(map[string]int), make(map[string]string), make(map[string]string)

	r.p.Start()
	r.createStream()
	r.createChanges()
	consumeCtx, stopConsumer := context.WithCancel(t.Context())
	var consumer, load sync.WaitGroup
	consumer.Go(func() { r.consume(consumeCtx) })
	consumer.Go(func() { r.consumeChanges(consumeCtx) })
	stop := make(chan struct{})
	for c := range r.clients {
		load.Go(func() { r.submit(c, stop) })
	}
	for range r.kills {
		server.Pause(t, time.Duration(200+r.rnd.IntN(1300))*time.Millisecond)
		r.p.Kill()
		r.p.Start()
	}
	close(stop)
	load.Wait()

	ids := r.acceptedIDs()
	t.Logf("%d transactions accepted in %d posts over %d kills", len(ids), r.posted.Load(), r.kills)
	require.Greater(t, len(ids), 10*r.kills, "too little load to mean anything")
	r.requireTerminal(ids)
	r.requireEvents(ids)
	r.requireChanges(ids)
	stopConsumer()
	consumer.Wait()
	require.Empty(t, r.errors)
}

func (r *killRun) createStream() {
	c := client.New(r.p.URL)
	name, kind, from := "kill", apitypes.StreamWebSocket, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	s, err := c.CreateStream(r.t.Context(), &apitypes.EventStream{Name: &name, Type: &kind})
	require.NoError(r.t, err)
	_, err = c.CreateListener(r.t.Context(), s.ID.String(), &apitypes.Listener{
		Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(r.filters)},
	})
	require.NoError(r.t, err)
}

// submit posts one transaction after the other, and repeats each with its id until it is answered.
func (r *killRun) submit(client int, stop <-chan struct{}) {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		id := fmt.Sprintf("k%d-%06d", client, i)
		body := fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":%q,"to":%q,"method":"create","params":[%q,{"n":%d}]}`,
			id, r.from(client), r.to, id, i)
		for !r.post(id, body) {
			server.Pause(r.t, 20*time.Millisecond)
			if r.t.Context().Err() != nil {
				return
			}
		}
	}
}

// post reports whether the request was answered for good.
func (r *killRun) post(id, body string) bool {
	r.posted.Add(1)
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.p.URL+"/", strings.NewReader(body))
	if err != nil {
		r.note("%s: %v", id, err)
		return true
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false
	case resp.StatusCode == http.StatusAccepted:
		r.accepted.Store(id, true)
		return true
	case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusRequestTimeout:
		return false
	default:
		r.note("%s: %d %s", id, resp.StatusCode, answer)
		return true
	}
}

func (r *killRun) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *killRun) acceptedIDs() []string {
	var ids []string
	r.accepted.Range(func(k, _ any) bool {
		ids = append(ids, k.(string))
		return true
	})
	slices.Sort(ids)
	return ids
}

func (r *killRun) consume(ctx context.Context) {
	c := client.Consumer{URL: r.p.URL, Stream: "kill", Handle: r.handle}
	if err := c.Run(ctx); ctx.Err() == nil {
		r.note("consumer: %v", err)
	}
}

func (r *killRun) handle(_ context.Context, b *client.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range b.Events {
		var e struct {
			ProtocolID string                     `json:"protocolId"`
			Data       struct{ ID, Owner string } `json:"data"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		if r.seen[e.Data.ID]++; r.seen[e.Data.ID] == 1 {
			r.order = append(r.order, e.ProtocolID)
			r.byID[e.Data.ID] = e.ProtocolID
		} else if r.byID[e.Data.ID] != e.ProtocolID {
			r.errors = append(r.errors, fmt.Sprintf("%s was created at %s and at %s", e.Data.ID, r.byID[e.Data.ID], e.ProtocolID))
		}
	}
	return nil
}

// requireTerminal waits until every accepted transaction is Succeeded, and checks that it stays what it is.
func (r *killRun) requireTerminal(ids []string) {
	hashes := make(map[string]string)
	for round := range 2 {
		for _, id := range ids {
			var tx apitypes.TransactionWithStatus
			require.Eventually(r.t, func() bool {
				return r.p.Get("/transactions/"+id, &tx) && tx.Status != "Pending"
			}, 2*time.Minute, 20*time.Millisecond, "%s is not terminal", id)
			require.Equal(r.t, "Succeeded", tx.Status, "%s: %s", id, tx.ErrorMessage)
			require.NotNil(r.t, tx.Receipt, id)
			outcome := tx.TransactionHash + " " + tx.Receipt.ProtocolID
			if round == 1 {
				require.Equal(r.t, hashes[id], outcome, "%s changed after its end", id)
			}
			hashes[id] = outcome
		}
	}
}

// requireEvents waits until an event of every accepted transaction has come, and checks their order.
func (r *killRun) requireEvents(ids []string) {
	missing := func() []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return r.seen[id] > 0 })
	}
	require.Eventually(r.t, func() bool { return len(missing()) == 0 }, 2*time.Minute, 100*time.Millisecond, "events are missing")
	r.mu.Lock()
	defer r.mu.Unlock()
	require.True(r.t, slices.IsSorted(r.order), "events came out of the order of the ledger")
	deliveries := 0
	for _, n := range r.seen {
		deliveries += n
	}
	r.t.Logf("%d events, %d deliveries", len(r.seen), deliveries)
}
