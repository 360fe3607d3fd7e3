package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
)

// What is void is forgotten, however often that happens while a batch is handled: the server counts the window as empty then, and fills it again.
func TestConsumerForgetsWhatIsVoid(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	release := make(chan struct{})
	var seen []int64
	ended, _ := run(t, &client.Consumer{URL: h.url, Stream: "s", Window: 2, Handle: func(_ context.Context, b *client.Batch) error {
		<-release
		if seen = append(seen, b.Number); b.Number == 9 {
			return client.ErrStop
		}
		return nil
	}})
	p := h.accept(2)
	p.send(`{"batchNumber":1,"events":[]}`, `{"batchNumber":2,"events":[]}`, `{"type":"error","message":"of something else"}`)
	for _, frames := range [][3]string{
		{`{"type":"void","stream":"s","batchNumbers":[2]}`, `{"batchNumber":3,"events":[]}`, `{"batchNumber":4,"events":[]}`},
		{`{"type":"void","stream":"s","batchNumbers":[3,4]}`, `{"batchNumber":5,"events":[]}`, `{"batchNumber":6,"events":[]}`},
		{`{"type":"void","stream":"s","batchNumbers":[5,6,7]}`, `{"batchNumber":5,"attempt":2,"events":[]}`, `{"batchNumber":9,"events":[]}`},
	} {
		p.send(frames[:]...)
	}
	p.conn.SetPongHandler(func(string) error { close(release); return nil }) // it has read all that
	require.NoError(t, p.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)))
	p.expect("ack", 1)
	p.expect("ack", 5)
	p.expect("ack", 9)
	p.leaves()
	require.NoError(t, result(t, ended))
	require.Equal(t, []int64{1, 5, 9}, seen)
}
