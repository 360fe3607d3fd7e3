package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
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
