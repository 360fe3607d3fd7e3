//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// eager is a receiver that acknowledges everything at once, and counts what comes again after a kill. Batch numbers tell the runs apart.
type eager struct {
	mu      sync.Mutex
	seen    map[string]int64 // by event: the newest run that delivered it
	again   map[int64]int    // by run: events that an earlier one had delivered
	got     int              // events since the last start
	killAt  int              // so many
	reached chan struct{}
}

func newEager() *eager {
	return &eager{seen: make(map[string]int64), again: make(map[int64]int), reached: make(chan struct{}, 1)}
}

func (e *eager) take(b *client.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	run := b.Number / 1_000_000_000
	for _, raw := range b.Events {
		var event apitypes.Event
		if err := json.Unmarshal(raw, &event); err != nil {
			return err
		}
		if before, known := e.seen[event.ID]; known && before != run {
			e.again[run]++
		}
		e.seen[event.ID] = run
	}
	if e.got += len(b.Events); e.got >= e.killAt {
		select {
		case e.reached <- struct{}{}:
		default:
		}
	}
	return nil
}

// next begins to count for the next kill.
func (e *eager) next(killAt int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got, e.killAt = 0, killAt
	select {
	case <-e.reached:
	default:
	}
}

func (e *eager) most() (most int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.again {
		most = max(most, n)
	}
	return most
}

func (e *eager) known() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

// A process that is killed in the middle of deliveries to receivers that acknowledge as fast as they can delivers again what was in flight and what may be
// unstored, and not an event more; a webhook is no exception.
func TestKillsRepeatNoMoreThanTheBound(t *testing.T) {
	t.Parallel()
	const size, window = 10, 5
	kills := server.Int(t, "E2E_KILLS", 20)
	rnd := rand.New(rand.NewPCG(uint64(server.Int(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000))), 2))
	for _, allowed := range []int{0, 8} {
		p := withHistory(t, 40_000, fmt.Sprintf("PYRALIS_EVENTSTREAMS_MAXUNSTORED=%d", allowed))
		p.Start()
		c := client.New(p.URL)
		t.Cleanup(c.Close)
		socket, one, hook := newEager(), newEager(), newEager()
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var b client.Batch
			if err := json.NewDecoder(req.Body).Decode(&b); err != nil {
				return // the server was killed
			}
			if err := hook.take(&b); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		}))
		t.Cleanup(receiver.Close)
		streamOf(t, c, "socket", "", size)
		streamOf(t, c, "one", "", size)
		streamOf(t, c, "hook", receiver.URL, size)
		ctx, stop := context.WithCancel(t.Context())
		var consumers sync.WaitGroup
		for e, with := range map[*eager]client.Consumer{socket: {Stream: "socket", Window: window}, one: {Stream: "one"}} {
			with.URL, with.Handle = p.URL, func(_ context.Context, b *client.Batch) error { return e.take(b) }
			consumers.Go(func() { _ = with.Run(ctx) })
		}
		all := []*eager{socket, one, hook}
		for range kills {
			watched := all[rnd.IntN(len(all))]
			left := 40_000 - watched.known()
			if left < 3000 { // some of these may come before it is watched
				continue
			}
			watched.next(1 + rnd.IntN(1500))
			select {
			case <-watched.reached:
			case <-time.After(time.Minute):
				require.FailNow(t, "events do not come")
			}
			p.Kill()
			p.Start()
		}
		require.Eventually(t, func() bool { return socket.known() == 40_000 && one.known() == 40_000 && hook.known() == 40_000 }, 2*time.Minute, 20*time.Millisecond)
		stop()
		consumers.Wait()
		t.Logf("%d kills, %d unstored allowed: %d, %d and %d events came again at most", kills, allowed, socket.most(), one.most(), hook.most())
		require.LessOrEqual(t, socket.most(), (window+allowed)*size)
		require.LessOrEqual(t, one.most(), (1+allowed)*size)
		require.LessOrEqual(t, hook.most(), (1+allowed)*size)
		p.Kill()
	}
}
