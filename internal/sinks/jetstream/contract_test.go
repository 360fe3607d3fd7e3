package jetstream_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	fixture := func(t *testing.T, fields string) sinktest.Fixture {
		const largest = 8 << 20
		s := serve(t, func(o *server.Options) {
			o.JetStream, o.MaxPayload = false, largest
			o.Users = []*server.User{{Username: "u", Password: "canary-password"}}
		})
		p := newPretender(t, s)
		return sinktest.Fixture{
			Factory: factory(t, nil), Config: config(p.front.url(), unhurried(`"perMessage":"batch","username":"u","password":"canary-password"`+fields)),
			Refuses: true, Secrets: []string{"canary-password"},
			Bad: []json.RawMessage{
				nil, json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`{"url":7}`), config("http://x", ""), config(p.front.url(), `"stream":"a b"`),
			},
			Receive: func(*testing.T, sink.Stream) sinktest.Receiver { return &receiver{p} },
		}
	}
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		f := fixture(t, "")
		f.Impatient = func(t *testing.T) sinktest.Fixture { return fixture(t, `,"requestTimeout":"1s"`) }
		return f
	})
}

// pretender is a client that answers as JetStream does, but when it is told to.
type pretender struct {
	front *relay
	came  chan *nats.Msg
}

func newPretender(t *testing.T, s *server.Server) *pretender {
	t.Helper()
	p := &pretender{front: newRelay(t, s.Addr().String()), came: make(chan *nats.Msg, 100)}
	nc, err := nats.Connect(urlOf(s), nats.UserInfo("u", "canary-password"), nats.Timeout(patience))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("$JS.API.STREAM.INFO.EVENTS", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"config":{"name":"EVENTS","subjects":["events.>"],"num_replicas":1,"duplicate_window":120000000000}}`))
	})
	require.NoError(t, err)
	_, err = nc.ChanSubscribe("events.>", p.came)
	require.NoError(t, err)
	require.NoError(t, nc.FlushTimeout(patience))
	return p
}

type receiver struct{ *pretender }

func (r *receiver) Next(ctx context.Context) (*sinktest.Delivery, error) {
	select {
	case m := <-r.came:
		say := func(text string) func() { return func() { _ = m.Respond([]byte(text)) } }
		return &sinktest.Delivery{
			Events: m.Data, Ack: say(`{"stream":"EVENTS","seq":1}`),
			Nack: say(`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"EVENTS","seq":0}`),
		}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *receiver) Leave() { r.front.cut() }
