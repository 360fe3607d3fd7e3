package ws_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// FuzzDialect says whatever comes to the server, a message a line, on a connection that has a batch. Each is answered, or ends the
// connection; nothing that is said touches the batch of another connection.
func FuzzDialect(f *testing.F) {
	for _, seed := range []string{
		`{"type":"listen","stream":"s"}` + "\n" + `{"type":"unlisten","stream":"s"}` + "\n" + `{"type":"listen","topic":"s","window":5,"acks":true}`,
		`{"type":"ack","stream":"s","batchNumber":1}` + "\n" + `{"type":"ack","stream":"other","batchNumber":2}`,
		`{"type":"nack","stream":"s","batchNumber":1,"message":"no","reply":true}` + "\n" + `{"type":"error","stream":"s"}`,
		`{"type":"listenreplies"}` + "\n" + `{"type":"ack","stream":"id-other"}` + "\n" + `{"type":"nack","stream":"other"}`,
		`{"type":"ack","stream":"s","batchNumber":-9223372036854775808}` + "\n[[[[" + "\n\"\\ud800\"", "\xff\xfe",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	r := newRig(f, ws.Options{Find: streams("elsewhere")})
	var other [3]chan error
	s := make([]sink.Sink, 3)
	for i, mode := range []string{"load_balance", "broadcast", "parallel"} {
		name := "other-" + mode
		s[i] = r.openAs("id-"+name, name, mode)
		c := r.dial()
		c.say(`{"type":"listen","stream":"` + name + `","acks":true}`)
		r.wait(s[i])
		other[i] = r.send(f.Context(), s[i], 2, 1)
		c.next()
	}
	server, url := r.server, r.url
	f.Fuzz(func(t *testing.T, said string, binary bool) {
		r := &rig{t: t, server: server, url: url}
		for i, mode := range []string{"load_balance", "broadcast", "parallel"} {
			mine := r.openAs("id-s", "s", mode)
			c := r.dial()
			c.listen("s", 1)
			r.wait(mine)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			mine.Send(ctx, &sink.Batch{Number: 1, Attempt: 1, Body: []byte("[]")}, func(err error) { done <- err })
			kind := websocket.TextMessage
			if binary {
				kind = websocket.BinaryMessage
			}
			for line := range strings.SplitSeq(strings.ReplaceAll(said, `"other"`, `"other-`+mode+`"`), "\n") {
				if c.WriteMessage(kind, []byte(line)) != nil {
					break
				}
			}
			_ = c.WriteMessage(websocket.TextMessage, []byte(`{"type":"settled?"}`))
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			for {
				_, raw, err := c.ReadMessage()
				if err != nil {
					require.False(t, isTimeout(err), "the server does not answer")
					break
				}
				if bytes.Contains(raw, []byte(`\"settled?\"`)) {
					break
				}
			}
			pending(t, other[i])
			cancel()
			<-done
			require.NoError(t, c.Close())
			require.NoError(t, mine.Close(t.Context()))
		}
	})
}
