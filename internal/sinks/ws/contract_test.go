package ws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"load_balance", "broadcast", "parallel"} {
		for _, window := range []int{1, 5} {
			t.Run(fmt.Sprintf("%s/window %d", mode, window), func(t *testing.T) {
				t.Parallel()
				sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
					f := fixture(t, mode, window, ws.Options{})
					f.Impatient = func(t *testing.T) sinktest.Fixture {
						return fixture(t, mode, window, ws.Options{AckTimeout: 100 * time.Millisecond})
					}
					return f
				})
			})
		}
	}
}

func fixture(t *testing.T, mode string, window int, opts ws.Options) sinktest.Fixture {
	t.Helper()
	r := newRig(t, opts)
	return sinktest.Fixture{
		Factory: r.server, Refuses: true, Window: window, Config: json.RawMessage(`{"distributionMode":"` + mode + `"}`),
		Bad: []json.RawMessage{
			json.RawMessage(`{"distributionMode":"bogus"}`), json.RawMessage(`{"workloadDistribution":"bogus"}`),
			json.RawMessage(`{"unknown":1}`), json.RawMessage(`[]`), json.RawMessage(`{"distributionMode":7}`),
		},
		Receive: func(t *testing.T, s sink.Stream) sinktest.Receiver {
			t.Helper()
			c := r.dial()
			c.say(fmt.Sprintf(`{"type":"listen","stream":%q,"acks":true,"window":%d}`, s.Name, window))
			return &receiver{client: c, stream: s.Name}
		},
	}
}

type receiver struct {
	*client
	stream string
}

func (r *receiver) Next(ctx context.Context) (*sinktest.Delivery, error) {
	defer context.AfterFunc(ctx, func() { _ = r.Close() })()
	for {
		_, raw, err := r.ReadMessage()
		if err != nil {
			return nil, err
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		if m.Type == "error" { // of an acknowledgement that came too late
			continue
		}
		answer := func(kind string) func() {
			return func() { // an error shows in the next Next
				_ = r.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"stream":%q,"batchNumber":%d}`, kind, r.stream, m.BatchNumber))
			}
		}
		return &sinktest.Delivery{Events: m.Events, Ack: answer("ack"), Nack: answer("nack")}, nil
	}
}

func (r *receiver) Leave() { _ = r.Close() }
