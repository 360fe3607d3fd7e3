package ws_test

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// BenchmarkDelivery sends batches through a real socket to one client that acknowledges each; one operation is one batch.
func BenchmarkDelivery(b *testing.B) {
	for _, size := range []int{50, 500} {
		for _, window := range []int{1, 8} {
			b.Run(fmt.Sprintf("events=%d/window=%d", size, window), func(b *testing.B) { benchDelivery(b, size, window) })
		}
	}
}

func benchDelivery(b *testing.B, size, window int) {
	r := newRig(b, ws.Options{})
	s := r.open("s")
	c := r.dial()
	c.listen("s", window)
	r.wait(s)
	go func() {
		for {
			_, raw, err := c.ReadMessage()
			if err != nil {
				return
			}
			number := raw[len(`{"batchNumber":`):bytes.IndexByte(raw, ',')]
			ack := append(append([]byte(`{"type":"ack","stream":"s","batchNumber":`), number...), '}')
			if c.WriteMessage(websocket.TextMessage, ack) != nil {
				return
			}
		}
	}()
	body := []byte{'['}
	for i := range size {
		body = append(body, `{"id":"devledger::000000123456/000017/`+strconv.Itoa(i)+`","data":"`...)
		body = append(append(body, bytes.Repeat([]byte{'x'}, 400)...), `"},`...)
	}
	body[len(body)-1] = ']'
	free := make(chan struct{}, window)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for n := int64(1); b.Loop(); n++ {
		free <- struct{}{}
		s.Send(b.Context(), &sink.Batch{Number: n, Attempt: 1, Body: body}, func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-free
		})
	}
	for range window {
		free <- struct{}{}
	}
	b.StopTimer()
	require.NoError(b, c.Close())
}
