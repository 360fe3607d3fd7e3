package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestTwoNodesInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := start(t, config(t)), start(t, config(t))
	require.NotEqual(t, a.URL(), b.URL())
	submit(t, api(t, a), "only-in-a")
	_, err := api(t, b).Transaction(t.Context(), "only-in-a", false)
	require.True(t, client.IsNotFound(err), "%v", err)
	submit(t, api(t, b), "only-in-a") // the same id, another store
}

// dial opens a WebSocket to a node.
func dial(t *testing.T, n *node.Node) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(n.URL(), "http", "ws", 1)+"/ws", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestRepliesAndEventsReachTheWebSocket(t *testing.T) {
	t.Parallel()
	n := start(t, config(t))
	c := api(t, n)
	createAssets(t, c)
	replies, events := dial(t, n), dial(t, n)
	require.NoError(t, replies.WriteJSON(apitypes.ClientMessage{Type: "listenreplies"}))
	// The answer to a wrong message shows that the one before it was taken.
	require.NoError(t, replies.WriteJSON(apitypes.ClientMessage{Type: "nothing"}))
	var problem apitypes.ServerError
	require.NoError(t, replies.ReadJSON(&problem))
	require.Equal(t, "error", problem.Type)
	require.NoError(t, events.WriteJSON(apitypes.ClientMessage{Type: "listen", Stream: "assets"}))

	submit(t, c, "car-1")
	var reply apitypes.Reply
	require.NoError(t, replies.ReadJSON(&reply))
	require.Equal(t, "car-1", reply.Headers.RequestID)
	require.Equal(t, apitypes.TransactionSuccess, reply.Headers.Type)
	require.NotEmpty(t, reply.TransactionHash)
	require.NotEmpty(t, reply.ProtocolID)
	tx, err := c.Transaction(t.Context(), "car-1", false)
	require.NoError(t, err)
	require.NotEmpty(t, tx.Receipt.Result)
	require.JSONEq(t, string(tx.Receipt.Result), string(reply.Result), "what the method returned")

	var batch apitypes.EventBatch
	require.NoError(t, events.ReadJSON(&batch))
	require.Len(t, batch.Events, 1)
	require.Equal(t, reply.TransactionHash, batch.Events[0].TransactionHash)
}

// Who deploys a contract is told where it is, whether the blocks say so or the receipts.
func TestRepliesOfDeployments(t *testing.T) {
	t.Parallel()
	for _, inBlocks := range []string{"true", "false"} {
		n := start(t, config(t, "PYRALIS_DEVLEDGER_OUTCOMESINBLOCKS="+inBlocks))
		replies := hears(t, n, 0)
		require.NoError(t, replies.SetReadDeadline(time.Now().Add(patience)))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL(), strings.NewReader(
			`{"headers":{"type":"DeployContract","id":"d"},"from":"alice","contract":"assets","params":["shop"]}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusAccepted, resp.StatusCode)
		var reply apitypes.Reply
		require.NoError(t, replies.ReadJSON(&reply))
		require.Equal(t, apitypes.TransactionSuccess, reply.Headers.Type)
		require.JSONEq(t, `{"address":"shop"}`, string(reply.ContractLocation))
		tx, err := api(t, n).Transaction(t.Context(), "d", false)
		require.NoError(t, err)
		require.JSONEq(t, `{"address":"shop"}`, string(tx.Receipt.ContractLocation))
	}
}

// Clients are told that the server goes, rather than cut off: a cut looks like a broken network.
func TestStopSaysGoodbyeToWebSockets(t *testing.T) {
	t.Parallel()
	n := newNode(t, config(t), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	conn := dial(t, n)
	require.NoError(t, conn.WriteJSON(apitypes.ClientMessage{Type: "nothing"}))
	_, _, err := conn.ReadMessage()
	require.NoError(t, err)
	require.NoError(t, n.Stop(t.Context()))
	_, _, err = conn.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseGoingAway), "%v", err)
}

func TestStopIsRepeatable(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	errs := make(chan error)
	for range 2 {
		go func() { errs <- n.Stop(context.WithoutCancel(t.Context())) }()
	}
	require.NoError(t, errors.Join(<-errs, <-errs))
	require.NoError(t, n.Stop(t.Context()))
	opensAgain(t, cfg)
}

// opensAgain checks that nothing holds the store any more.
func opensAgain(t *testing.T, cfg *node.Config) {
	t.Helper()
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
}

func TestNeverStarted(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	n := newNode(t, cfg, builtin.Plugins())
	require.Empty(t, n.URL())
	_, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet()})
	require.ErrorIs(t, err, store.ErrInUse)
	require.NoError(t, n.Stop(t.Context()))
	opensAgain(t, cfg)
}

func TestFailedNewLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	broken := errors.New("it is broken")
	dir := t.TempDir()

	noConnector := builtin.Plugins()
	noConnector.AddConnector(plugin.Connector{Name: "mychain", New: func(context.Context, plugin.Env) (ffcapi.Connector, error) {
		return nil, broken
	}})
	noPolicyFor, noSinkFor := newFakeConnector(), newFakeConnector()
	noPolicy, noSink := with(noPolicyFor), with(noSinkFor)
	noPolicy.AddPolicy(plugin.Policy{Name: "broken", New: func(plugin.Env) (policy.Engine, error) { return nil, broken }})
	noSink.AddSink(plugin.Sink{Name: "broken", New: func(plugin.SinkEnv) (sink.Factory, error) { return nil, broken }})

	for _, c := range []struct {
		plugins   *plugin.Registry
		policy    string
		want      string
		connector *fakeConnector
	}{
		{noConnector, "simple", "connector mychain: it is broken", nil},
		{noPolicy, "broken", "policy broken: it is broken", noPolicyFor},
		{noSink, "simple", "sink broken: it is broken", noSinkFor},
	} {
		cfg := config(t, "PYRALIS_CONNECTOR=mychain", "PYRALIS_TRANSACTIONS_POLICY="+c.policy, "PYRALIS_STORE_SQLITE_PATH="+dir)
		_, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: c.plugins, Log: quiet()})
		require.EqualError(t, err, c.want)
		require.True(t, c.connector == nil || isClosed(c.connector.closed))
		opensAgain(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir))
	}
}

func TestFailedStartLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	dir := t.TempDir()
	n := newNode(t, config(t, "PYRALIS_API_PORT="+port, "PYRALIS_STORE_SQLITE_PATH="+dir), builtin.Plugins())
	require.ErrorContains(t, n.Start(t.Context()), "api.port")
	opensAgain(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir))
}

func TestUnknownPluginsAreNamedBeforeAnythingIsOpened(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := config(t, "PYRALIS_CONNECTOR=ethereum", "PYRALIS_TRANSACTIONS_POLICY=patient", "PYRALIS_STORE_SQLITE_PATH="+dir)
	_, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins()})
	require.EqualError(t, err, `connector: "ethereum" must be one of devledger, fabric, which is what this binary has`+"\n"+
		`transactions.policy: "patient" must be one of fabric, simple, which is what this binary has`)
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	_, err := node.New(t.Context(), node.Options{Config: config(t)})
	require.ErrorContains(t, err, "required")
	twice := builtin.Plugins()
	twice.AddPolicy(plugin.Policy{Name: "simple"})
	_, err = node.New(t.Context(), node.Options{Config: config(t), Plugins: twice})
	require.EqualError(t, err, `policy "simple" is registered twice`)
}

// A part that hangs costs its time, and neither the stop of the others nor the store.
// What an operator looks at takes no time from the end of what matters.
func TestStopDoesNotWaitForProfiles(t *testing.T) {
	t.Parallel()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().(*net.TCPAddr)
	require.NoError(t, free.Close())
	n := newNode(t, config(t, "PYRALIS_DEBUG_ENABLED=true", fmt.Sprint("PYRALIS_DEBUG_PORT=", address.Port)), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address.String())
	require.NoError(t, err)
	defer conn.Close()
	// The second request begins once the first one is answered, so that the profile is under way when that answer is here.
	_, err = fmt.Fprint(conn, "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: x\r\n\r\nGET /debug/pprof/heap?seconds=20 HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.Less(t, time.Since(began), 4*time.Second)
}

func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := newNode(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir), withSink(builtin.Plugins(), &fakeSink{hangs: true}))
	n.SetStopTimeout(time.Second)
	require.NoError(t, n.Start(t.Context()))
	began := time.Now()
	err := n.Stop(context.WithoutCancel(t.Context()))
	require.ErrorContains(t, err, "stop fake: ")
	require.Less(t, time.Since(began), patience)
	require.Eventually(t, func() bool { // it may be still closing, but nothing keeps it from that
		next, err := node.New(t.Context(), node.Options{Config: config(t, "PYRALIS_STORE_SQLITE_PATH="+dir), Plugins: builtin.Plugins(), Log: quiet()})
		return err == nil && next.Stop(t.Context()) == nil
	}, patience, 10*time.Millisecond)
}

func TestStopDoesNotWaitForAConnectorThatHangs(t *testing.T) {
	t.Parallel()
	c := newFakeConnector()
	c.hold = make(chan struct{})
	n := newNode(t, config(t, "PYRALIS_CONNECTOR=mychain"), with(c))
	require.NoError(t, n.Start(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, n.Stop(ctx), "not closed yet")
	close(c.hold)
	require.NoError(t, n.Stop(t.Context()), "it waits for what is still being closed")
}

func TestFailedStartStopsWhatHadStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &fakeSink{startErr: errors.New("it does not start"), stopped: make(chan struct{})}
	n := newNode(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir), withSink(builtin.Plugins(), s))
	require.EqualError(t, n.Start(t.Context()), "start fake: it does not start")
	require.True(t, isClosed(s.stopped))
	opensAgain(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir))
}

func TestPluginsWithoutASectionGetAnEmptyOne(t *testing.T) {
	t.Parallel()
	r := with(newFakeConnector())
	seen := make(map[string]string)
	inner := newFakeConnector()
	r.AddConnector(plugin.Connector{Name: "other", New: func(_ context.Context, env plugin.Env) (ffcapi.Connector, error) {
		seen["connector"] = string(env.Config)
		return inner, nil
	}})
	r.AddPolicy(plugin.Policy{Name: "other", New: func(env plugin.Env) (policy.Engine, error) {
		seen["policy"] = string(env.Config)
		return simple.Parse(env.Config)
	}})
	r.AddSink(plugin.Sink{Name: "other", New: func(env plugin.SinkEnv) (sink.Factory, error) {
		seen["sink"] = string(env.Config)
		return &fakeSink{}, nil
	}})
	n := newNode(t, config(t, "PYRALIS_CONNECTOR=other", "PYRALIS_TRANSACTIONS_POLICY=other"), r)
	require.NoError(t, n.Stop(t.Context()))
	require.Equal(t, map[string]string{"connector": "{}", "policy": "{}", "sink": "{}"}, seen)
	require.True(t, isClosed(inner.closed))
}

func TestHTTPSinksAreMounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(path string) *plugin.Registry {
		r := builtin.Plugins()
		r.AddSink(plugin.Sink{Name: "fake", New: func(plugin.SinkEnv) (sink.Factory, error) { return &fakeHTTPSink{path: path}, nil }})
		return r
	}
	n := newNode(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir), at("/sse"))
	require.NoError(t, n.Start(t.Context()))
	status, _ := get(t, n.URL()+"/sse")
	require.Equal(t, http.StatusTeapot, status)
	require.NoError(t, n.Stop(t.Context()))
	for _, path := range []string{"/ws", "/transactions", "sse"} {
		_, err := node.New(t.Context(), node.Options{Config: config(t, "PYRALIS_STORE_SQLITE_PATH="+dir), Plugins: at(path), Log: quiet()})
		require.ErrorContains(t, err, strconv.Quote(path))
	}
	opensAgain(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir))
}

func TestLostStoreEndsTheNode(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	n := start(t, config(t, "PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+place.URL))
	status, _ := get(t, n.URL()+"/status/live")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, n.Err())
	place.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	select {
	case <-n.Failed():
	case <-time.After(patience):
		require.FailNow(t, "the node goes on without its store")
	}
	require.ErrorIs(t, n.Err(), store.ErrFenced)
	require.NotContains(t, n.Err().Error(), "\n")
	status, _ = get(t, n.URL()+"/status/live")
	require.Equal(t, http.StatusServiceUnavailable, status)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	well, ill := newFakeConnector(), newFakeConnector()
	ill.health = errors.New("nobody answers")
	for _, c := range []struct {
		connector *fakeConnector
		status    int
		ready     string
		metric    string
	}{
		{well, http.StatusOK, `{"ready":true,"downstreamDetails":{"head":7}}`, "pyralis_ready 1"},
		{ill, http.StatusServiceUnavailable, `{"ready":false,"downstreamDetails":{"chain":{"head":7},"error":"nobody answers"}}`, "pyralis_ready 0"},
	} {
		n := newNode(t, config(t, "PYRALIS_CONNECTOR=mychain", "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0"), with(c.connector))
		require.NoError(t, n.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
		status, body := get(t, n.URL()+"/status/ready")
		require.Equal(t, c.status, status)
		require.JSONEq(t, c.ready, body)
		status, _ = get(t, n.URL()+"/status/live")
		require.Equal(t, http.StatusOK, status, "the process itself is well")

		side := n.MonitoringURL()
		status, _ = get(t, side+"/livez")
		require.Equal(t, http.StatusOK, status)
		status, _ = get(t, side+"/readyz")
		require.Equal(t, c.status, status)
		_, body = get(t, side+"/metrics")
		require.Contains(t, body, c.metric)
	}
}

// What restarts a process that does not live must not restart one whose chain hangs.
func TestLiveAsksNobody(t *testing.T) {
	t.Parallel()
	c := newFakeConnector()
	c.asked = make(chan struct{}, 1)
	n := newNode(t, config(t, "PYRALIS_CONNECTOR=mychain"), with(c))
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	status, _ := get(t, n.URL()+"/status/live")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, c.asked)
	_, _ = get(t, n.URL()+"/status/ready")
	require.Len(t, c.asked, 1)
}

func TestHealthNamesTheStore(t *testing.T) {
	t.Parallel()
	n := newNode(t, config(t, "PYRALIS_CONNECTOR=mychain"), with(newFakeConnector()))
	require.NoError(t, n.Stop(t.Context()))
	ready, details := n.Ready(t.Context())
	require.False(t, ready)
	require.Contains(t, string(details), `"chain":{"head":7}`)
	require.Contains(t, string(details), "ping")
}

func TestWipe(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := api(t, n)
	submit(t, c, "car-1")
	require.ErrorIs(t, node.Wipe(cfg), store.ErrInUse)
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.NoError(t, node.Wipe(cfg))
	_, err := api(t, start(t, cfg)).Transaction(t.Context(), "car-1", false)
	require.True(t, client.IsNotFound(err), "%v", err)

	other := config(t, "PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL=postgres://localhost/db")
	require.ErrorContains(t, node.Wipe(other), "store.type")
}
