package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const patience = 30 * time.Second

// node is the event half of a node, of real parts: dev ledger, chain view, store, engine, WebSocket.
type node struct {
	t      testing.TB
	ledger devledger.Connector
	store  *sqlstore.Store
	chain  *confirm.Engine
	ws     *ws.Server
	m      *stream.Manager
	web    *httptest.Server
}

func quietLog() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

func newNode(t testing.TB, dialect string, change func(*devledger.Config)) *node {
	t.Helper()
	cfg := devledger.DefaultConfig()
	cfg.Durable = false
	change(&cfg)
	ledger, err := devledger.New(cfg, devledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ledger.Close()) })
	require.NoError(t, ledger.Start(t.Context()))
	n := &node{t: t, ledger: ledger, store: sqlstoretest.Open(t, dialect)}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	n.t.Helper()
	var err error
	n.chain, err = confirm.New(confirm.Options{
		Connector: n.ledger, Store: n.store, Fence: n.store.Fence, Required: 3, Log: quietLog(),
		Rule: func(*store.Tx, []*store.Attempt, int) *store.TxUpdate { return nil },
	})
	require.NoError(n.t, err)
	n.ws = ws.New(ws.Options{Log: quietLog()})
	n.m, err = stream.New(stream.Options{
		Connector: n.ledger, ConnectorName: "devledger", Store: n.store, Fence: n.store.Fence, Chain: n.chain,
		Sinks: []sink.Factory{n.ws}, Log: quietLog(), Lost: n.store.Lost(),
	})
	require.NoError(n.t, err)
	require.NoError(n.t, n.chain.Start(n.t.Context()))
	require.NoError(n.t, n.ws.Start(n.t.Context()))
	require.NoError(n.t, n.m.Start(n.t.Context()))
	n.web = httptest.NewServer(n.ws)
}

func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(n.t, n.m.Stop(ctx))
	require.NoError(n.t, n.ws.Stop(ctx))
	require.NoError(n.t, n.chain.Stop(ctx))
	n.web.Close()
}

func ptr[T any](v T) *T { return &v }

func (n *node) listen(name string, batch uint64, listeners int) {
	n.t.Helper()
	_, err := n.m.CreateStream(n.t.Context(), &apitypes.EventStream{Name: &name, BatchSize: &batch, Suspended: ptr(true)})
	require.NoError(n.t, err)
	for i := range listeners {
		_, err := n.m.CreateListener(n.t.Context(), name, &apitypes.Listener{
			FromBlock: ptr(apitypes.BlockNumber("0")),
			Filters:   []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"event":"E","mod":%d,"rem":%d}`, listeners, i))},
		})
		require.NoError(n.t, err)
	}
	require.NoError(n.t, n.m.ResumeStream(n.t.Context(), name))
}

// consumer acknowledges what it gets, in order, and checks that nothing is missing.
type consumer struct {
	n      *node
	stream string
	window int
	conn   *websocket.Conn
	next   map[string]position // by listener: what it has seen
	seen   int                 // events, without repetitions
	again  int                 // repetitions
}

type position struct{ block, index uint64 }

func (p position) before(o position) bool {
	return p.block < o.block || p.block == o.block && p.index < o.index
}

func (c *consumer) connect() {
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.n.web.URL, "http"), nil)
	require.NoError(c.n.t, err)
	require.NoError(c.n.t, resp.Body.Close())
	c.conn = conn
	require.NoError(c.n.t, conn.WriteJSON(map[string]any{"type": "listen", "stream": c.stream, "window": c.window}))
}

// consume takes events until there were n.
func (c *consumer) consume(n int, leave func(seen int) bool) {
	for c.seen < n {
		require.NoError(c.n.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
		var b apitypes.EventBatch
		if err := c.conn.ReadJSON(&b); err != nil {
			st, _ := c.n.m.Stream(context.Background(), c.stream)
			require.NoError(c.n.t, err, "%d of %d, state %+v", c.seen, n, st.StreamState)
		}
		for i := range b.Events {
			c.take(&b.Events[i])
		}
		if leave(c.seen) {
			return // without a word, and without the acknowledgement
		}
		require.NoError(c.n.t, c.conn.WriteJSON(map[string]any{"type": "ack", "stream": c.stream, "batchNumber": b.BatchNumber}))
	}
}

func (c *consumer) take(e *apitypes.Event) {
	block, err := strconv.ParseUint(e.BlockNumber, 10, 64)
	require.NoError(c.n.t, err)
	tx, err := strconv.ParseUint(e.TransactionIndex, 10, 64)
	require.NoError(c.n.t, err)
	at := position{block, tx}
	if last, seen := c.next[e.SubID]; seen && !last.before(at) {
		c.again++
		return
	}
	c.next[e.SubID] = at
	c.seen++
}

// TestTogether delivers a history and live events over real connections, while the consumer leaves without a word and the node restarts.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		for _, finality := range []ffcapi.Finality{ffcapi.Instant, ffcapi.Confirmations} {
			t.Run(fmt.Sprint(dialect, " ", finality), func(t *testing.T) {
				t.Parallel()
				n := newNode(t, dialect, func(cfg *devledger.Config) {
					cfg.Finality = finality
					cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 300, EventBlocks: 300, EventsPerBlock: 7, LiveEventsPerBlock: 5, BlockPeriod: 5 * time.Millisecond}
				})
				n.listen("s", 16, 3)
				c := &consumer{n: n, stream: "s", window: 3, next: make(map[string]position)}
				c.connect()
				total := 300*7 + 5*50
				for i := 1; c.seen < total; i++ {
					stopAt := c.seen + total/8
					c.consume(total, func(seen int) bool { return seen >= stopAt })
					require.NoError(t, c.conn.Close())
					if i%3 == 0 {
						n.stop()
						n.start()
					}
					c.connect()
				}
				require.NoError(t, c.conn.Close())
				// Each event of the history and each live one was seen, in the order of its listener.
				require.Less(t, c.again, 16*4*20, "only what was in flight comes again")
				for _, at := range c.next {
					require.GreaterOrEqual(t, at.block, uint64(300))
				}
			})
		}
	}
}

// TestSteadyState delivers many events to one consumer that stays: none comes twice, none is missing.
func TestSteadyState(t *testing.T) {
	t.Parallel()
	n := newNode(t, sqlstoretest.SQLite, func(cfg *devledger.Config) {
		cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 150, EventBlocks: 150, EventsPerBlock: 50}
	})
	n.listen("s", 50, 2)
	c := &consumer{n: n, stream: "s", window: 4, next: make(map[string]position)}
	c.connect()
	c.consume(150*50, func(int) bool { return false })
	require.Zero(t, c.again)
	require.NoError(t, c.conn.Close())
	require.Eventually(t, func() bool {
		list, err := n.m.Listeners(t.Context(), "s", 0, "")
		require.NoError(t, err)
		for _, l := range list {
			got, err := n.m.Listener(t.Context(), "s", l.ID.String())
			require.NoError(t, err)
			if got.Checkpoint.Block < 150 {
				return false
			}
		}
		return true
	}, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		st, err := n.m.Stream(t.Context(), "s")
		require.NoError(t, err)
		require.Zero(t, st.StreamState.Redelivered)
		return st.StreamState.Delivered == 150*50
	}, patience, 5*time.Millisecond)
}

// TestReorganisedBelowTheCheckpoint replaces blocks that were final and delivered.
func TestReorganisedBelowTheCheckpoint(t *testing.T) {
	t.Parallel()
	n := newNode(t, sqlstoretest.SQLite, func(cfg *devledger.Config) {
		cfg.Finality, cfg.Sequenced, cfg.BlockPeriod = ffcapi.Confirmations, false, time.Hour
	})
	_, err := n.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("s"), BatchSize: ptr(uint64(4))})
	require.NoError(t, err)
	_, err = n.m.CreateListener(t.Context(), "s", &apitypes.Listener{
		FromBlock: ptr(apitypes.BlockNumber("0")), Filters: []json.RawMessage{json.RawMessage(`{"event":"AssetCreated"}`)},
	})
	require.NoError(t, err)
	c := &consumer{n: n, stream: "s", window: 1}
	c.connect()
	seen := make(map[string]map[string]bool) // asset → ids of its event
	collect := func(enough func() bool) {
		for !enough() {
			require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(patience)))
			var b apitypes.EventBatch
			require.NoError(t, c.conn.ReadJSON(&b))
			for _, e := range b.Events {
				var asset struct{ ID string }
				require.NoError(t, json.Unmarshal(e.Data, &asset))
				if seen[asset.ID] == nil {
					seen[asset.ID] = make(map[string]bool)
				}
				seen[asset.ID][e.ID] = true
			}
			require.NoError(t, c.conn.WriteJSON(map[string]any{"type": "ack", "stream": "s", "batchNumber": b.BatchNumber}))
		}
	}
	knobs := n.ledger.(interface{ Knobs() *devledger.Knobs }).Knobs()
	confirmed := func(asset string) { // in a block of its own, with the three that confirm it
		n.create(asset)
		for range 4 {
			require.NoError(t, knobs.MineNow(t.Context()))
		}
	}
	for i := range 10 {
		confirmed("before" + strconv.Itoa(i))
		collect(func() bool { return len(seen) == i+1 })
	}
	require.NoError(t, knobs.Reorganise(t.Context(), 8, nil)) // the last two
	confirmed("after")
	collect(func() bool { return seen["after"] != nil })
	require.NoError(t, c.conn.Close())
	require.Len(t, seen, 11)
	require.Greater(t, len(seen["before9"]), 1, "what was replaced is delivered again, under the id of its new block")
	require.Greater(t, len(seen["before8"]), 1)
	require.Len(t, seen["before7"], 1, "what is below the fork keeps its id")
}

// create sends a transaction that creates an asset.
func (n *node) create(id string) {
	n.t.Helper()
	p, err := n.ledger.Prepare(n.t.Context(), &ffcapi.Request{
		From: "alice", To: "assets", Method: json.RawMessage(`"create"`), Params: []json.RawMessage{json.RawMessage(`"` + id + `"`), json.RawMessage(`"v"`)},
	})
	require.NoError(n.t, err)
	_, err = n.ledger.Submit(n.t.Context(), &ffcapi.Submission{Prepared: p, From: "alice", To: "assets"})
	require.NoError(n.t, err)
}
