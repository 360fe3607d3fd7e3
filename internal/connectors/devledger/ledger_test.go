package devledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

const (
	wait = 10 * time.Second
	tick = time.Millisecond
)

// open starts a ledger and closes it at the end of the test.
func open(t *testing.T, cfg devledger.Config, dir string) devledger.Connector {
	t.Helper()
	c, err := devledger.New(cfg, devledger.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.Start(t.Context()))
	return c
}

func memory() devledger.Config {
	cfg := devledger.DefaultConfig()
	cfg.Durable = false
	return cfg
}

func method(name string) json.RawMessage { return json.RawMessage(`"` + name + `"`) }

func request(from, name string, params ...string) *ffcapi.Request {
	req := &ffcapi.Request{From: from, To: "assets", Method: method(name)}
	for _, p := range params {
		req.Params = append(req.Params, json.RawMessage(p))
	}
	return req
}

// send prepares and submits with the next nonce, if there are nonces, and returns the hash.
func send(t *testing.T, c ffcapi.Connector, req *ffcapi.Request) string {
	t.Helper()
	p, err := c.Prepare(t.Context(), req)
	require.NoError(t, err)
	s, err := c.Submit(t.Context(), submission(t, c, p, req.From))
	require.NoError(t, err)
	return s.Hash
}

func submission(t *testing.T, c ffcapi.Connector, p *ffcapi.Prepared, from string) *ffcapi.Submission {
	t.Helper()
	sub := &ffcapi.Submission{Prepared: p, From: from, To: "assets"}
	if s, ok := c.(ffcapi.Sequencer); ok {
		pending, _, err := s.NextNonce(t.Context(), "", from)
		require.NoError(t, err)
		sub.Nonce = &pending
	}
	return sub
}

func receipt(t *testing.T, c ffcapi.Connector, hash string) *ffcapi.Receipt {
	t.Helper()
	var r *ffcapi.Receipt
	require.Eventually(t, func() bool {
		var err error
		r, err = c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: hash})
		return err == nil
	}, wait, tick)
	return r
}

// read returns all events of one filter up to the head.
func read(t *testing.T, c ffcapi.Connector, filter string, limit int) []ffcapi.Event {
	t.Helper()
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}, FromBlock: "earliest"})
	require.NoError(t, err)
	led, err := c.Ledger(t.Context(), "")
	require.NoError(t, err)
	var out []ffcapi.Event
	q := &ffcapi.EventQuery{Listeners: []*ffcapi.Listener{l}, From: l.Start, Upto: led.Head, Max: limit}
	for page, err := range c.Events(context.WithoutCancel(t.Context()), q) {
		require.NoError(t, err)
		out = append(out, page.Events...)
	}
	return out
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		t.Run(fmt.Sprintf("sequenced=%t", sequenced), func(t *testing.T) {
			t.Parallel()
			cfg := memory()
			cfg.Sequenced = sequenced
			c := open(t, cfg, "")
			receipt(t, c, send(t, c, request("ann", "create", `"a1"`, `{ "color": "blue<" }`)))
			receipt(t, c, send(t, c, request("bob", "update", `"a1"`, `[1, null]`)))
			receipt(t, c, send(t, c, request("ann", "transfer", `"a1"`, `"b\"ob"`)))
			out, err := c.Query(t.Context(), request("", "read", `"a1"`))
			require.NoError(t, err)
			require.JSONEq(t, `{"id":"a1","value":[1,null],"owner":"b\"ob"}`, string(out))
			receipt(t, c, send(t, c, request("ann", "delete", `"a1"`)))
			_, err = c.Query(t.Context(), request("", "read", `"a1"`))
			require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err))

			events := read(t, c, `{"contract":"assets"}`, 1)
			var got []string
			for _, ev := range events {
				got = append(got, ev.Name+" "+string(ev.Data))
				require.True(t, json.Valid(ev.Data))
				require.Equal(t, "assets", ev.Address)
				require.Equal(t, []int{0}, ev.Matches)
			}
			require.Equal(t, []string{
				`AssetCreated {"id":"a1","value":{"color":"blue<"},"owner":"ann"}`,
				`AssetUpdated {"id":"a1","value":[1,null],"owner":"ann"}`,
				`AssetTransferred {"id":"a1","from":"ann","to":"b\"ob"}`,
				`AssetDeleted {"id":"a1"}`,
			}, got)
		})
	}
}
