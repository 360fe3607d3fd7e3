package client_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// A batch whose handling was broken off by the end of Run is not refused: nothing is wrong with it, and it may not be set aside for that.
func TestConsumerThatEndsRefusesNothing(t *testing.T) {
	t.Parallel()
	for range 20 { // else the connection may be gone first
		h := newHub(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		c := &client.Consumer{URL: h.url, Stream: "s", Handle: func(ctx context.Context, _ *client.Batch) error {
			cancel()
			return ctx.Err()
		}}
		go func() { ended <- c.Run(ctx) }()
		p := h.accept(0)
		p.send(`{"batchNumber":1,"events":[]}`)
		var m apitypes.ClientMessage
		require.Error(t, p.conn.ReadJSON(&m), "the connection just ends")
		require.ErrorIs(t, result(t, ended), context.Canceled)
	}
}

// A consumer that does not listen any more, or never did, must not wait for ever on a connection where nothing comes.
func TestConsumerListensAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reports := make(chan error, 10)
	handling, busy := make(chan struct{}), make(chan struct{})
	var seen []int64
	ended, _ := run(t, &client.Consumer{
		URL: h.url, Stream: "s", Window: 2, Disconnected: func(err error) { reports <- err },
		Refused: func(m string) { t.Errorf("refused: %s", m) },
		Handle: func(_ context.Context, b *client.Batch) error {
			if seen = append(seen, b.Number); b.Number == 1 {
				close(busy)
				<-handling
			}
			if b.Number == 7 {
				return client.ErrStop
			}
			return nil
		},
	})
	p := h.accept(2)
	p.send(`{"type":"error","message":"there is no stream","stream":"s","unlistened":true}`)
	err := <-reports
	require.ErrorIs(t, err, client.ErrUnlistened)
	require.ErrorContains(t, err, "there is no stream")

	p = h.accept(2)
	p.send(`{"batchNumber":1,"events":[]}`, `{"batchNumber":2,"events":[]}`)
	<-busy
	p.send(`{"type":"error","message":"was renamed","stream":"s","unlistened":true}`)
	_, _, err = p.conn.ReadMessage()
	require.Error(t, err, "what it had is for others")
	close(handling)
	err = <-reports
	require.ErrorIs(t, err, client.ErrUnlistened)
	require.ErrorContains(t, err, "was renamed")

	p = h.accept(2)
	p.send(`{"batchNumber":7,"events":[]}`)
	p.expect("ack", 7)
	p.leaves()
	require.NoError(t, result(t, ended))
	require.Equal(t, []int64{1, 7}, seen)
}
