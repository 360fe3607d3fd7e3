package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// hanging is a receiver that tells when it has a request, and never answers.
func hanging(t *testing.T) (url string, came chan struct{}) {
	t.Helper()
	came = make(chan struct{}, 10)
	return raw(t, func(conn net.Conn) {
		came <- struct{}{}
		_, _ = bufio.NewReader(conn).ReadByte()
	}), came
}

// Neither the end of a batch nor that of the sink waits for a receiver.
func TestStopDoesNotWaitForTheReceiver(t *testing.T) {
	t.Parallel()
	url, came := hanging(t)
	s := hook(t, factory(t, nil), url, `"requestTimeout":"10m"`)

	void := errors.New("void")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go s.Send(ctx, batch(1, 1, 1), func(err error) { result <- err })
	<-came
	cancel(void)
	require.ErrorIs(t, <-result, void)

	go s.Send(t.Context(), batch(2, 1, 1), func(err error) { result <- err })
	<-came
	second := make(chan error, 1)
	go s.Send(t.Context(), batch(3, 1, 1), func(err error) { second <- err }) // waits its turn
	closing, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	require.NoError(t, s.Close(closing))
	require.ErrorIs(t, <-result, sink.ErrClosed)
	require.ErrorIs(t, <-second, sink.ErrClosed)
	require.ErrorIs(t, send(t, s, batch(4, 1, 1)), sink.ErrClosed)
	require.Empty(t, came, "what waited was not sent")
}

// counting are secrets that count how often one is asked for.
type counting struct {
	webhook.Secrets

	asked atomic.Int64
}

func (c *counting) Resolve(ctx context.Context, ref string) (string, error) {
	c.asked.Add(1)
	return c.Secrets.Resolve(ctx, ref)
}

// A closed sink does not even begin. It is asked many times, since its end may reach a batch too late to hide that.
func TestClosedSinkBeginsNothing(t *testing.T) {
	t.Parallel()
	vault := &counting{Secrets: secrets(t, map[string]string{"HOOK_TOKEN": "t1"}, "env:HOOK_*")}
	url, got := recorder(t)
	s := hook(t, factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = vault }), url, `"headers":{"X":"env:HOOK_TOKEN"}`)
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	<-got
	require.NoError(t, s.Close(t.Context()))
	vault.asked.Store(0)
	b := batch(2, 1, 1)
	for range 1000 {
		require.ErrorIs(t, send(t, s, b), sink.ErrClosed)
	}
	require.Zero(t, vault.asked.Load())
	require.Empty(t, got)
}

// The end of a sink closes the connections under its deliveries, and yet is what they tell.
func TestCloseIsWhatEndsADelivery(t *testing.T) {
	t.Parallel()
	url, came := hanging(t)
	f := factory(t, nil)
	result := make(chan error, 1)
	for range 500 {
		s := hook(t, f, url, `"requestTimeout":"10m"`)
		go s.Send(t.Context(), batch(1, 1, 1), func(err error) { result <- err })
		<-came
		require.NoError(t, s.Close(t.Context()))
		require.ErrorIs(t, <-result, sink.ErrClosed)
	}
}

// A closed sink leaves no connection behind, not even one that has only just been used.
func TestCloseEndsTheConnections(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 100)
	server, authority := serveTLS(t, record(make(chan request, 100)), func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				ended <- struct{}{}
			}
		}
	})
	f := factory(t, func(c *webhook.Config, _ *webhook.Options) { c.TLS.CAFile = authority })
	for range 20 {
		s := hook(t, f, server.URL, "")
		require.NoError(t, send(t, s, batch(1, 1, 1)))
		require.NoError(t, s.Close(t.Context()))
		select {
		case <-ended:
		case <-time.After(patience):
			require.FailNow(t, "the connection is still there")
		}
	}
}

// upgrading is a receiver that answers by changing the protocol, which hands over the connection, and never says anything on it.
func upgrading(t *testing.T) (url string, came chan struct{}) {
	t.Helper()
	came = make(chan struct{}, 10)
	return raw(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		came <- struct{}{}
		_, _ = bufio.NewReader(conn).ReadByte() // until the other side gives up
	}), came
}

// An answer that hands over the connection instead of ending is a failure like others, and holds up neither the stream nor its end.
func TestSwitchOfProtocolsIsNoAnswer(t *testing.T) {
	t.Parallel()
	url, came := upgrading(t)
	s := hook(t, factory(t, nil), url, `"requestTimeout":"10m"`)
	for n := range int64(3) {
		err := send(t, s, batch(n, 1, 1))
		require.EqualError(t, err, url+": it answered 101 Switching Protocols")
		require.False(t, sink.IsRefused(err))
		<-came
	}
	closing, done := context.WithTimeout(t.Context(), patience)
	defer done()
	require.NoError(t, s.Close(closing))
}
