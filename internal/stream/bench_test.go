package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func benchEvent() *ffcapi.Event {
	at := time.Unix(1_700_000_000, 123456000)
	return &ffcapi.Event{
		Cursor:    ffcapi.Cursor{Block: 123456, Tx: 17, Log: 3},
		BlockHash: "0x5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d",
		TxHash:    "0x1a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1e",
		Name:      "Transfer", Address: "assets", Timestamp: &at,
		Data: json.RawMessage(`{"from":"0x1111111111111111111111111111111111111111","to":"0x2222222222222222222222222222222222222222","value":"1000001","ts":"0"}`),
	}
}

func BenchmarkEncode(b *testing.B) {
	enc := newEncoder("devledger", "", ffcapi.Instant)
	ev := benchEvent()
	end := tail(&store.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11"}, &store.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "listener"})
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = enc.common(buf[:0], ev, ev.Timestamp)
		buf = append(buf, end...)
	}
	b.SetBytes(int64(len(buf)))
}

// pageChain gives out the same pages over and over, as fast as they are taken.
type pageChain struct {
	fakeChain
	events []ffcapi.Event // of one block
	head   uint64
}

func (c *pageChain) SafeAt(string, int) (ffcapi.BlockRef, bool, <-chan struct{}) {
	return ffcapi.BlockRef{Number: c.head, Hash: "0xhead"}, true, nil
}

func (c *pageChain) Canonical(string, uint64) (string, bool) { return "", false }
func (c *pageChain) Time(string, uint64) (time.Time, bool)   { return time.Time{}, false }
func (c *pageChain) Failed(string) error                     { return nil }

func (c *pageChain) Ledger(context.Context, string) (*ffcapi.Ledger, error) {
	return &ffcapi.Ledger{Finality: ffcapi.Instant}, nil
}

func (c *pageChain) Listener(_ context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	return &ffcapi.Listener{Key: string(spec.Filters[0]), Signature: "E"}, nil
}

func (c *pageChain) Events(_ context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		matches := make([][]int, len(c.events))
		for i := range matches {
			matches[i] = []int{i % len(q.Listeners)}
		}
		page := make([]ffcapi.Event, len(c.events))
		copy(page, c.events)
		for n := q.From.Block; n <= q.Upto.Number; n++ {
			for i := range page {
				page[i].Cursor = ffcapi.Cursor{Block: n, Tx: uint64(i)}
				page[i].Matches = matches[i]
			}
			if !yield(&ffcapi.EventPage{Events: page, Next: ffcapi.BlockStart(n + 1), Through: ffcapi.BlockRef{Number: n, Hash: "0xhead"}}, nil) {
				return
			}
		}
	}
}

// nullFactory makes sinks that take everything at once and count.
type nullFactory struct {
	fakeFactory
	want int
	done chan struct{}
}

func (f *nullFactory) Open(context.Context, sink.Stream, json.RawMessage) (sink.Sink, error) {
	return &nullSink{f: f}, nil
}

type nullSink struct {
	f    *nullFactory
	seen int
}

func (s *nullSink) Send(_ context.Context, b *sink.Batch, done func(error)) {
	s.seen += len(b.Events)
	reached := s.seen == s.f.want
	done(nil)
	if reached {
		close(s.f.done)
	}
}

func (s *nullSink) Close(context.Context) error { return nil }

// BenchmarkEngine reads, encodes, batches, delivers and acknowledges; one operation is one event.
func BenchmarkEngine(b *testing.B) {
	for _, listeners := range []int{1, 100, 1000} {
		for _, batch := range []int{50, 500} {
			b.Run(fmt.Sprintf("listeners=%d/batch=%d", listeners, batch), func(b *testing.B) { benchEngine(b, listeners, batch, apitypes.Listener{}) })
		}
	}
}

// BenchmarkPrograms is BenchmarkEngine with programs that let all events pass.
func BenchmarkPrograms(b *testing.B) {
	where, transform := ptr(`.signature == "Transfer" and (.data.value | tonumber) > 1000`), ptr(`.data | {from, to, amount: .value}`)
	for name, l := range map[string]apitypes.Listener{
		"none": {}, "where": {Where: where}, "transform": {Transform: transform}, "both": {Where: where, Transform: transform},
	} {
		b.Run(name, func(b *testing.B) { benchEngine(b, 1, 500, l) })
	}
}

func benchEngine(b *testing.B, listeners, batch int, like apitypes.Listener) {
	e := newEngine(b, listeners, batch, b.N, like)
	b.ReportAllocs()
	b.ResetTimer()
	e.deliver(b)
	b.StopTimer()
	b.ReportMetric(float64(e.sink.want)/b.Elapsed().Seconds(), "events/s")
	require.NoError(b, e.m.Stop(context.Background()))
}

// engine is a manager with one stream that waits to deliver.
type engine struct {
	m    *Manager
	sink *nullFactory
}

// newEngine prepares the delivery of at least so many events, shared out between listeners.
func newEngine(tb testing.TB, listeners, batch, events int, like apitypes.Listener) *engine {
	tb.Helper()
	const perPage = 500
	pages := events/perPage + 1
	c := &pageChain{head: uint64(pages - 1)}
	for range perPage {
		c.events = append(c.events, *benchEvent())
	}
	e := &engine{sink: &nullFactory{want: pages * perPage, done: make(chan struct{})}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	var err error
	e.m, err = New(Options{
		Connector: c, ConnectorName: "devledger", Store: newFakeStore(), Chain: c, Sinks: []sink.Factory{e.sink},
		Fence: func() store.Fence { return store.Fence{} }, Log: logrus.NewEntry(log),
	})
	require.NoError(tb, err)
	require.NoError(tb, e.m.Start(tb.Context()))
	_, err = e.m.CreateStream(tb.Context(), &apitypes.EventStream{Name: ptr("s"), BatchSize: ptr(uint64(batch)), Suspended: ptr(true)})
	require.NoError(tb, err)
	for i := range listeners {
		_, err = e.m.CreateListener(tb.Context(), "s", &apitypes.Listener{
			Name: ptr("l" + strconv.Itoa(i)), Filters: filters("E"), Where: like.Where, Transform: like.Transform,
		})
		require.NoError(tb, err)
	}
	return e
}

func (e *engine) deliver(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, e.m.ResumeStream(tb.Context(), "s"))
	<-e.sink.done
}

// TestAllocationsPerEvent: delivering an event must not become a matter of the garbage collector. What a run allocates to begin with is in it,
// too. It does not run beside others, whose allocations would count.
func TestAllocationsPerEvent(t *testing.T) { //nolint:paralleltest // see above
	const events = 50_000
	for _, batch := range []int{50, 500} {
		e := newEngine(t, 1, batch, events, apitypes.Listener{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e.deliver(t)
		runtime.ReadMemStats(&after)
		require.NoError(t, e.m.Stop(context.Background()))
		require.Less(t, float64(after.Mallocs-before.Mallocs)/events, 1.0)
	}
}

// BenchmarkChanges reads, encodes, filters, delivers and acknowledges status changes of the past; one operation is one change, which
// every listener but the first filters out by a label.
func BenchmarkChanges(b *testing.B) {
	for _, listeners := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("listeners=%d", listeners), func(b *testing.B) { benchChanges(b, listeners) })
	}
}

func benchChanges(b *testing.B, listeners int) {
	log := newFakeLog()
	log.addN(1, b.N)
	f := &nullFactory{want: b.N, done: make(chan struct{})}
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	c := &pageChain{}
	m, err := New(Options{
		Connector: c, ConnectorName: "devledger", Store: newFakeStore(), Chain: c, Sinks: []sink.Factory{f}, Changes: log,
		Fence: func() store.Fence { return store.Fence{} }, Log: logrus.NewEntry(logger),
	})
	require.NoError(b, err)
	require.NoError(b, m.Start(b.Context()))
	_, err = m.CreateStream(b.Context(), &apitypes.EventStream{Name: ptr("s"), BatchSize: ptr(uint64(500)), Suspended: ptr(true)})
	require.NoError(b, err)
	for i := range listeners {
		body := &apitypes.Listener{Type: ptr(apitypes.ListenerTransactions), FromBlock: ptr(apitypes.BlockNumber("earliest"))}
		if i > 0 {
			body.Filters = []json.RawMessage{json.RawMessage(`{"label.objectId":"` + strconv.Itoa(i) + `"}`)}
		}
		_, err = m.CreateListener(b.Context(), "s", body)
		require.NoError(b, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	require.NoError(b, m.ResumeStream(b.Context(), "s"))
	<-f.done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	require.NoError(b, m.Stop(context.Background()))
}
