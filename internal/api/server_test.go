package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/lifecycle/lifecycletest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

func serverOptions(h http.Handler) ServerOptions {
	return ServerOptions{
		Section: "api", Address: "127.0.0.1", Handler: h, MaxRequestTime: time.Minute, ShutdownTimeout: 10 * time.Second, Log: quiet(),
	}
}

// startServer starts a server that is stopped with the test, and a client of it.
func startServer(t *testing.T, o ServerOptions) (*Server, *http.Client) {
	t.Helper()
	s := NewServer(o)
	require.NoError(t, s.Start(t.Context()))
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, s.Stop(context.Background()))
	})
	return s, &http.Client{Transport: transport}
}

// get requests the root, and reports the status or the error.
func get(c *http.Client, url string) (int, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func TestServerIsAService(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func() lifecycle.Service { return NewServer(serverOptions(http.NotFoundHandler())) })
}

func TestServerServes(t *testing.T) {
	t.Parallel()
	s := NewServer(serverOptions(newRig().handler(t)))
	require.Empty(t, s.URL())
	require.NoError(t, s.Start(t.Context()))
	require.ErrorIs(t, s.Start(t.Context()), lifecycle.ErrStarted)
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL())
	c := &http.Client{Transport: &http.Transport{}}
	status, err := get(c, s.URL()+"/status/live")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Stop(t.Context()))
	_, err = get(c, s.URL()+"/status/live")
	require.Error(t, err)
	require.ErrorIs(t, s.Start(t.Context()), lifecycle.ErrStopped)
}

func TestServerURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "localhost": ""} {
		o := serverOptions(http.NotFoundHandler())
		o.Address = address
		s, c := startServer(t, o)
		u, err := url.Parse(s.URL())
		require.NoError(t, err)
		if want != "" {
			require.Equal(t, want, u.Hostname())
		}
		status, err := get(c, s.URL())
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, status)
	}
}

func TestServerThatCannotListenSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	for want, change := range map[string]func(*ServerOptions){
		"api.port: 127.0.0.1:" + port + " is in use by another process: stop it, or choose another port": func(o *ServerOptions) { o.Port = n },
		"api.address: 192.0.2.1 is no address of this machine":                                           func(o *ServerOptions) { o.Address = "192.0.2.1" },
		"api.address: no.such.host.invalid is no address of this machine":                                func(o *ServerOptions) { o.Address = "no.such.host.invalid" },
	} {
		o := serverOptions(http.NotFoundHandler())
		change(&o)
		s := NewServer(o)
		err := s.Start(t.Context())
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "one line")
		require.NoError(t, s.Stop(t.Context()))
	}
}

// A request under way ends well when the server stops.
func TestServerStopsGracefully(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	s, c := startServer(t, serverOptions(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		w.WriteHeader(http.StatusTeapot)
	})))
	answer := make(chan int, 1)
	go func() {
		status, err := get(c, s.URL())
		if err != nil {
			status = -1
		}
		answer <- status
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond, "the listener is closed first")
	require.Empty(t, stopped)
	close(release)
	require.Equal(t, http.StatusTeapot, <-answer)
	require.NoError(t, <-stopped)
}

// A request that does not end is cut off, and its handler has returned when Stop has.
func TestServerCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	began, returned := make(chan struct{}), make(chan struct{})
	o := serverOptions(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(returned)
		close(began)
		<-r.Context().Done()
	}))
	o.ShutdownTimeout = 10 * time.Millisecond
	s, c := startServer(t, o)
	failed := make(chan error, 1)
	go func() {
		_, err := get(c, s.URL())
		failed <- err
	}()
	<-began
	require.NoError(t, s.Stop(t.Context()))
	select {
	case <-returned:
	default:
		t.Error("the handler still runs")
	}
	require.Error(t, <-failed)
}

// A handler that ignores everything is named, not waited for longer than the caller wants.
func TestServerStopKeepsToItsContext(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	o := serverOptions(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(began)
		<-release
	}))
	s, c := startServer(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = get(c, s.URL())
	}()
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.Stop(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "requests have not returned")
	close(release)
	<-done
	require.NoError(t, s.Stop(t.Context()), "a later Stop waits for it")
}

// Connections that a handler took over are ended by OnStop, and cut off if that does not.
func TestServerEndsWebSockets(t *testing.T) {
	t.Parallel()
	for name, polite := range map[string]bool{"by OnStop": true, "by force": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			taken := make(chan *websocket.Conn, 1)
			upgrader := websocket.Upgrader{}
			g := newRig()
			g.options.Takeovers = map[string]http.Handler{"/ws": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				taken <- conn
			})}
			o := serverOptions(g.handler(t))
			if polite {
				o.OnStop = func(context.Context) error {
					conn := <-taken
					defer func() { taken <- conn }()
					err := conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second))
					if errors.Is(err, websocket.ErrCloseSent) {
						return nil // it is called by every Stop
					}
					return err
				}
			}
			s, _ := startServer(t, o)
			client, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+s.URL()[4:]+"/ws", nil)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			defer client.Close()

			began := time.Now()
			require.NoError(t, s.Stop(t.Context()))
			require.Less(t, time.Since(began), 5*time.Second)
			_, _, err = client.ReadMessage()
			require.Equal(t, polite, websocket.IsCloseError(err, websocket.CloseGoingAway), "%v", err)
			require.Error(t, err)
		})
	}
}

func TestServerReportsTheErrorOfOnStop(t *testing.T) {
	t.Parallel()
	errHub := errors.New("hub")
	o := serverOptions(http.NotFoundHandler())
	o.OnStop = func(context.Context) error { return errHub }
	s := NewServer(o)
	require.NoError(t, s.Start(t.Context()))
	require.ErrorIs(t, s.Stop(t.Context()), errHub)
}

// A caller that goes away ends its request's context, and leaves nothing in the log.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	g := newRig()
	began, ended := make(chan struct{}), make(chan struct{})
	g.tx.submit = func(ctx context.Context, _ *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		close(began)
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	g.options.Observe = func(_, _ string, status int, _ time.Duration) {
		if status != 499 {
			t.Errorf("status %d", status)
		}
		close(ended)
	}
	s, c := startServer(t, serverOptions(g.handler(t)))
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/", bytes.NewReader([]byte(someTransaction)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	go func() {
		<-began
		leave()
	}()
	_, err = c.Do(req) //nolint:bodyclose // there is no answer
	require.ErrorIs(t, err, context.Canceled)
	<-ended
	require.Empty(t, g.log.String())
}

// A body that trickles in does not hold its handler for longer than the request may take.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.options.RequestTimeout = 50 * time.Millisecond
	s, _ := startServer(t, serverOptions(g.handler(t)))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "408")
	require.Empty(t, g.log.String())
}

// What net/http has to say is in the node's log.
func TestServerLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := logrus.New()
	l.SetOutput(&out)
	slog.NewLogLogger(slogTo{logrus.NewEntry(l)}, slog.LevelWarn).Print("http: Accept error: too many open files")
	require.Contains(t, out.String(), "too many open files")
}

// The handler, the server and the client together.
func TestClientAndServer(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.query = func(_ context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) { return q.Method, nil }
	s, _ := startServer(t, serverOptions(g.handler(t)))
	c := client.New(s.URL())
	defer c.Close()

	tx, replay, err := c.Submit(t.Context(), &client.Invocation{ID: "ns:a/1", From: "alice", To: "assets", Options: map[string]any{"x": 1}})
	require.NoError(t, err)
	require.False(t, replay)
	require.Equal(t, "ns:a/1", tx.ID)
	result, err := c.Query(t.Context(), &client.Invocation{Method: "read"})
	require.NoError(t, err)
	require.JSONEq(t, `"read"`, string(result))
	_, err = c.Transaction(t.Context(), "ns:a/1", true)
	require.True(t, client.IsNotFound(err))
	_, err = c.Transactions(t.Context(), apitypes.TransactionFilter{Limit: 501})
	require.EqualError(t, err, `PY10006: query parameter limit is "501": give a number from 1 to 500`)

	stream, err := c.Stream(t.Context(), "0/default")
	require.NoError(t, err)
	require.Equal(t, "0/default", *stream.Name)
	require.NoError(t, c.SuspendStream(t.Context(), "s"))
	require.NoError(t, c.DeleteListener(t.Context(), "s", "l"))
}
