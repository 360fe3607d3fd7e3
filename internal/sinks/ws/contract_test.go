package ws_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"load_balance", "broadcast", "parallel"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				r := newRig(t, ws.Options{})
				return sinktest.Fixture{
					Factory: r.server, Refuses: true, Config: json.RawMessage(`{"distributionMode":"` + mode + `"}`),
					Bad: []json.RawMessage{
						json.RawMessage(`{"distributionMode":"bogus"}`), json.RawMessage(`{"workloadDistribution":"bogus"}`),
						json.RawMessage(`{"unknown":1}`), json.RawMessage(`[]`), json.RawMessage(`{"distributionMode":7}`),
					},
					Receive: func(t *testing.T, s sink.Stream) sinktest.Receiver {
						c := r.dial()
						c.say(`{"type":"listen","acks":true,"stream":"` + s.Name + `"}`)
						return &receiver{client: c, stream: s.Name}
					},
				}
			})
		})
	}
}

type receiver struct {
	*client
	stream string
}

func (r *receiver) Next(context.Context) (*sinktest.Delivery, error) {
	m := r.next()
	for m.Type == "error" { // of an acknowledgement that came too late
		m = r.next()
	}
	answer := func(kind string) func() {
		return func() {
			raw, err := json.Marshal(map[string]any{"type": kind, "stream": r.stream, "batchNumber": m.BatchNumber})
			if err != nil {
				panic(err)
			}
			r.say(string(raw))
		}
	}
	return &sinktest.Delivery{Events: m.Events, Ack: answer("ack"), Nack: answer("nack")}, nil
}

func (r *receiver) Leave() { _ = r.Close() }
