package node_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const patience = 20 * time.Second

// config is a configuration with a data directory of its own, or the one given, and a free port.
func config(t *testing.T, env ...string) *node.Config {
	t.Helper()
	env = append([]string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_API_PORT=0"}, env...)
	cfg, err := node.LoadConfig("", env)
	require.NoError(t, err)
	return cfg
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func newNode(t *testing.T, cfg *node.Config, plugins *plugin.Registry) *node.Node {
	t.Helper()
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: plugins, Log: quiet()})
	require.NoError(t, err)
	return n
}

// start starts a node that is stopped at the end of the test.
func start(t *testing.T, cfg *node.Config) *node.Node {
	t.Helper()
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	return n
}

// api is a client of a node, whose connections end with the test.
func api(t *testing.T, n *node.Node) *client.Client {
	t.Helper()
	c := client.New(n.URL())
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// fakeConnector is as much of a connector as a node needs to be assembled and to stand idle.
type fakeConnector struct {
	ffcapi.Connector

	health error
	asked  chan struct{} // gets a token when Health is called; nil: nobody wants to know
	closed chan struct{}
	hold   chan struct{} // Close returns when it is closed; nil: at once
}

func newFakeConnector() *fakeConnector { return &fakeConnector{closed: make(chan struct{})} }

func (c *fakeConnector) Health(context.Context) (json.RawMessage, error) {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return json.RawMessage(`{"head":7}`), c.health
}

func (c *fakeConnector) Close() error {
	close(c.closed)
	if c.hold != nil {
		<-c.hold
	}
	return nil
}

// with returns the built-in plug-ins and a connector named mychain.
func with(c *fakeConnector) *plugin.Registry {
	r := builtin.Plugins()
	r.AddConnector(plugin.Connector{Name: "mychain", New: func(context.Context, plugin.Env) (ffcapi.Connector, error) { return c, nil }})
	return r
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// fakeSink is the factory of a sink that is a service, and fails or hangs as told.
type fakeSink struct {
	sink.Factory

	startErr error
	hangs    bool
	stopped  chan struct{}
}

func (s *fakeSink) Type() string                { return "fake" }
func (s *fakeSink) Start(context.Context) error { return s.startErr }

func (s *fakeSink) Stop(ctx context.Context) error {
	if s.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.stopped != nil && !isClosed(s.stopped) {
		close(s.stopped)
	}
	return nil
}

func withSink(r *plugin.Registry, s *fakeSink) *plugin.Registry {
	r.AddSink(plugin.Sink{Name: "fake", New: func(plugin.SinkEnv) (sink.Factory, error) { return s, nil }})
	return r
}

// createAssets creates a stream of the sample contract's events.
func createAssets(t *testing.T, c *client.Client) {
	t.Helper()
	name, kind, from := "assets", apitypes.StreamWebSocket, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	s, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Type: &kind})
	require.NoError(t, err)
	_, err = c.CreateListener(t.Context(), s.ID.String(), &apitypes.Listener{
		Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets"}`)},
	})
	require.NoError(t, err)
}

// submit creates an asset and waits until the transaction has succeeded.
func submit(t *testing.T, c *client.Client, id string) {
	t.Helper()
	_, _, err := c.Submit(t.Context(), &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, 1}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		tx, err := c.Transaction(t.Context(), id, false)
		return err == nil && tx.Status == "Succeeded"
	}, patience, 5*time.Millisecond)
}

// fakeHTTPSink is a sink that clients connect to.
type fakeHTTPSink struct {
	fakeSink

	path string
}

func (s *fakeHTTPSink) Path() string { return s.path }
func (s *fakeHTTPSink) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusTeapot)
}
