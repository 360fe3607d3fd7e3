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
