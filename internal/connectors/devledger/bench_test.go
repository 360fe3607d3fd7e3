package devledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

// BenchmarkSyntheticEvents reads a million made-up events into pages, for sets of listeners that share them out.
func BenchmarkSyntheticEvents(b *testing.B) {
	cfg := devledger.DefaultConfig()
	cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 5010, EventBlocks: 5000, EventsPerBlock: 200}
	c, err := devledger.New(cfg, devledger.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	led, err := c.Ledger(b.Context(), "")
	require.NoError(b, err)
	for _, listeners := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("listeners=%d", listeners), func(b *testing.B) {
			q := &ffcapi.EventQuery{Upto: led.Head, Max: 500}
			for i := range listeners {
				filter := fmt.Sprintf(`{"event":"E","mod":%d,"rem":%d}`, listeners, i)
				l, err := c.Listener(b.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}, FromBlock: "0"})
				require.NoError(b, err)
				q.Listeners = append(q.Listeners, l)
			}
			b.ReportAllocs()
			events := 0
			for b.Loop() {
				for page, err := range c.Events(context.Background(), q) {
					if err != nil {
						b.Fatal(err)
					}
					events += len(page.Events)
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSubmit takes a transaction from Prepare into the pool of a ledger in memory, which makes blocks meanwhile.
func BenchmarkSubmit(b *testing.B) {
	cfg := devledger.DefaultConfig()
	cfg.Durable = false
	c, err := devledger.New(cfg, devledger.Options{})
	require.NoError(b, err)
	require.NoError(b, c.Start(b.Context()))
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	b.ReportAllocs()
	var nonce uint64
	for b.Loop() {
		req := request("ann", "create", fmt.Sprintf("%q", fmt.Sprint("a", nonce)), `{"color":"blue","size":5,"appraisedValue":100}`)
		p, err := c.Prepare(context.Background(), req)
		if err != nil {
			b.Fatal(err)
		}
		n := nonce
		if _, err := c.Submit(context.Background(), &ffcapi.Submission{Prepared: p, From: "ann", To: "assets", Nonce: &n}); err != nil {
			b.Fatal(err)
		}
		nonce++
	}
}
