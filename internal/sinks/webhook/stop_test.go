package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
