//go:build chaos && fabric

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// The peer that serves is killed again and again while another one of its organisation is there: every accepted transaction is committed once, and
// every event comes once, in order.
func TestFabricPeer(t *testing.T) {
	r := newFabricRun(t, fabricnet.Options{PeersPerOrg: 2, Proxy: true})
	r.all(func() {
		node := r.serving()
		since := time.Now()
		require.NoError(t, r.net.KillNode(node))
		r.resumed(since)
		require.NoError(t, r.net.StartNode(t.Context(), node))
		require.NoError(t, r.net.WaitReady(t.Context()))
	})
}

// The only orderer is killed again and again. What it had taken and not ordered is lost, and has to be sent again.
func TestFabricOrderer(t *testing.T) {
	r := newFabricRun(t, fabricnet.Options{})
	r.all(func() {
		killed := time.Now()
		require.NoError(t, r.net.KillNode(fabricnet.NodeOrderer))
		server.Pause(t, 500*time.Millisecond) // some are accepted meanwhile
		require.NoError(t, r.net.StartNode(t.Context(), fabricnet.NodeOrderer))
		r.t.Logf("the orderer was away for %s", time.Since(killed).Round(time.Millisecond))
		r.resumed(time.Now())
	})
}

const (
	fabricClients = 4
	fabricEvent   = "Made"
	// resumeTarget is the median that is wanted on a machine that does nothing else; resumeLimit is one that shows that something is wrong.
	resumeTarget = 5 * time.Second
	resumeLimit  = 30 * time.Second
	resumeWithin = 3 * time.Minute
)

// fabricRun is a load of clients and one receiver of events on a node before a Fabric network whose parts are killed.
type fabricRun struct {
	t     *testing.T
	net   *fabricnet.Network
	p     *server.Process
	c     *client.Client
	kills int
	spans []time.Duration // from each kill to the first event of a request that was made after it

	mu       sync.Mutex
	posted   map[string]time.Time // when a request was first sent, by its id; guarded by mu, as all below
	accepted []string
	arrived  []arrival
	notes    []string
	newEvent chan struct{} // closed, and replaced, with each batch
}

// arrival is an event as the receiver got it.
type arrival struct {
	request, txHash, eventID string
	at                       time.Time
}

func newFabricRun(t *testing.T, o fabricnet.Options) *fabricRun {
	t.Helper()
	o.Dir, o.Log = filepath.Join(t.TempDir(), "net"), t.Logf
	n, err := fabricnet.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	require.NoError(t, n.Start(t.Context()))
	p := server.New(t, []string{
		"PYRALIS_CONNECTOR=fabric", "PYRALIS_FABRIC_PROFILE=" + n.Profile(), "PYRALIS_FABRIC_WALLET=" + n.Wallet(), "PYRALIS_FABRIC_MSPID=Org1MSP",
		"PYRALIS_FABRIC_CHANNELS=" + fabricnet.Channel, "PYRALIS_FABRIC_IDENTITY=user1",
		"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_LOG_LEVEL=info", "PYRALIS_POLICIES_FABRIC_RESUBMITINTERVAL=2s",
	}, "run")
	r := &fabricRun{
		t: t, net: n, p: p, c: client.New(p.URL), kills: server.Int(t, "CHAOS_KILLS", 20), posted: map[string]time.Time{}, newEvent: make(chan struct{}),
	}
	t.Cleanup(r.c.Close)
	t.Logf("CHAOS_KILLS=%d", r.kills)
	return r
}

// all does it all: strike kills something and returns when it is whole again.
func (r *fabricRun) all(strike func()) {
	began := time.Now()
	r.p.Start()
	r.listen()
	receiving, stopReceiver := context.WithCancel(r.t.Context())
	defer stopReceiver()
	var receiver, load sync.WaitGroup
	receiver.Go(func() { r.receive(receiving) })
	stop := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(stop)
		load.Wait()
	})
	defer end()
	for c := range fabricClients {
		load.Go(func() { r.client(c, stop) })
	}
	r.resumed(time.Now()) // the load runs
	r.spans = nil
	for range r.kills {
		strike()
		server.Pause(r.t, 500*time.Millisecond)
	}
	end()
	slices.Sort(r.spans)
	middle := r.spans[len(r.spans)/2]
	r.t.Logf("%d kills in %s, %d accepted; resumed after %s at the median (wanted: %s), at most %s", r.kills, time.Since(began).Round(time.Second),
		len(r.accepted), middle.Round(time.Millisecond), resumeTarget, r.spans[len(r.spans)-1].Round(time.Millisecond))
	require.Greater(r.t, len(r.accepted), 5*r.kills, "too little load to mean anything")
	require.Less(r.t, middle, resumeLimit)
	r.check()
	stopReceiver()
	receiver.Wait()
	require.Empty(r.t, r.notes[:min(len(r.notes), 20)], "%d things are wrong", len(r.notes))
}

func (r *fabricRun) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// listen makes the stream.
func (r *fabricRun) listen() {
	name, kind, from := "made", apitypes.StreamWebSocket, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	s, err := r.c.CreateStream(r.t.Context(), &apitypes.EventStream{Name: &name, Type: &kind})
	require.NoError(r.t, err)
	_, err = r.c.CreateListener(r.t.Context(), s.ID.String(), &apitypes.Listener{
		Name: &name, FromBlock: &from,
		Filters: []json.RawMessage{json.RawMessage(`{"channel":"ch1","chaincode":"assets","event":"` + fabricEvent + `"}`)},
	})
	require.NoError(r.t, err)
}

func (r *fabricRun) receive(ctx context.Context) {
	err := (&client.Consumer{URL: r.p.URL, Stream: "made", Window: 4, Handle: func(_ context.Context, b *client.Batch) error {
		for _, raw := range b.Events {
			var e apitypes.Event
			var data struct{ Request string }
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return err
			}
			r.take(arrival{data.Request, e.TransactionHash, e.ID, time.Now()})
		}
		return nil
	}}).Run(ctx)
	if ctx.Err() == nil {
		r.note("the receiver ended: %v", err)
	}
}

func (r *fabricRun) take(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived = append(r.arrived, a)
	close(r.newEvent)
	r.newEvent = make(chan struct{})
}

// client sends one request after the other, each until it is answered. The function reads nothing, so that a second commit would be as valid
// as the first: nothing but Pyralis and the id prevents it.
func (r *fabricRun) client(number int, stop <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-r.t.Context().Done():
			return
		case <-tick.C:
		}
		id := fmt.Sprintf("r%d-%06d", number, i)
		r.mu.Lock()
		r.posted[id] = time.Now()
		r.mu.Unlock()
		for !r.post(id) {
			server.Pause(r.t, 50*time.Millisecond)
			if r.t.Context().Err() != nil {
				return
			}
		}
	}
}

// post reports whether the request was answered for good.
func (r *fabricRun) post(id string) bool {
	ctx, cancel := context.WithTimeout(r.t.Context(), 40*time.Second)
	defer cancel()
	_, _, err := r.c.Submit(ctx, &client.Invocation{
		ID: id, From: "user1", To: "ch1/assets", Method: "event", Params: []any{fabricEvent, map[string]string{"request": id}},
	})
	var refusal *client.Error
	switch {
	case err == nil:
		r.mu.Lock()
		r.accepted = append(r.accepted, id)
		r.mu.Unlock()
		return true
	case asError(err, &refusal) && refusal.Status < 500 && refusal.Status != 408 && refusal.Status != 429:
		r.note("%s: %v", id, err)
		return true
	default:
		return false
	}
}

// serving is the peer that sends most to the node.
func (r *fabricRun) serving() string {
	nodes := []string{fabricnet.PeerNode(1, 0), fabricnet.PeerNode(1, 1)}
	var most int64
	var found string
	require.Eventually(r.t, func() bool {
		var before [2]int64
		for i, node := range nodes {
			before[i] = r.served(node)
		}
		server.Pause(r.t, time.Second)
		for i, node := range nodes {
			if sent := r.served(node) - before[i]; sent > most {
				most, found = sent, node
			}
		}
		return found != ""
	}, time.Minute, time.Millisecond)
	return found
}

func (r *fabricRun) served(node string) int64 {
	n, err := r.net.Served(node)
	require.NoError(r.t, err)
	return n
}

// resumed waits for the event of a request that was first sent after an instant, and notes how long that took.
func (r *fabricRun) resumed(since time.Time) {
	limit := time.NewTimer(resumeWithin)
	defer limit.Stop()
	for seen := 0; ; {
		r.mu.Lock()
		more, next := r.arrived[seen:], r.newEvent
		for _, a := range more {
			if r.posted[a.request].After(since) {
				r.spans = append(r.spans, a.at.Sub(since))
				r.mu.Unlock()
				return
			}
		}
		seen += len(more)
		r.mu.Unlock()
		select {
		case <-next:
		case <-limit.C:
			require.FailNow(r.t, "nothing comes any more")
		}
	}
}
