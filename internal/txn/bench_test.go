package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// trivial is a connector that costs nothing.
type trivial struct {
	*fake
	n    atomic.Uint64
	sent atomic.Uint64
}

func (c *trivial) Prepare(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
	return &ffcapi.Prepared{Payload: make([]byte, 200), Hash: fmt.Sprintf("0x%064x", c.n.Add(1))}, nil
}

func (c *trivial) Submit(_ context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	c.sent.Add(1)
	return &ffcapi.Submitted{Hash: sub.Prepared.Hash}, nil
}

func (c *trivial) Events(context.Context, *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return nil
}

type trivialSequenced struct{ *trivial }

func (trivialSequenced) NextNonce(context.Context, string, string) (pending, latest uint64, err error) {
	return 0, 0, nil
}

func (trivialSequenced) Cancel(context.Context, string, string, uint64) (*ffcapi.Prepared, error) {
	return nil, ffcapi.Errorf(ffcapi.Unsupported, "not here")
}

func body(i uint64, signer string) *apitypes.Submission {
	id := fmt.Sprintf("bench-%020d", i)
	return &apitypes.Submission{
		ID: id, Type: apitypes.SendTransaction, From: signer, To: "assets", Method: json.RawMessage(`"create"`),
		Params: []json.RawMessage{json.RawMessage(`"asset"`), json.RawMessage(`{"value":12345}`)},
		Raw:    fmt.Appendf(nil, `{"headers":{"id":%q,"type":"SendTransaction"},"from":%q,"to":"assets","method":"create","params":["asset",{"value":12345}]}`, id, signer),
	}
}

// BenchmarkSubmit is the way of a request from the REST handler's hands to its durable row, fifty at a time. "held" keeps the
// sending back, so that it is the accepting alone; "sent" goes on until everything that was accepted was sent.
func BenchmarkSubmit(b *testing.B) {
	for _, seq := range []bool{true, false} {
		for _, held := range []bool{true, false} {
			b.Run(fmt.Sprintf("sequenced=%t/held=%t", seq, held), func(b *testing.B) { benchmarkSubmit(b, seq, held) })
		}
	}
}

func benchmarkSubmit(b *testing.B, seq, held bool) {
	c := &trivial{fake: newFake()}
	release := make(chan struct{})
	r := newRig(b, setup{stopped: true, opts: func(o *txn.Options) {
		o.Connector = c
		if seq {
			o.Connector = trivialSequenced{c}
		}
		if held {
			o.Store = slowToOpen{o.Store, release}
		}
	}})
	r.start()
	var n atomic.Uint64
	b.SetParallelism(25) // times two processors
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if _, _, err := r.Submit(b.Context(), body(i, fmt.Sprintf("signer%d", i%10))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	accepted := b.Elapsed()
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepts/s")
	if !held {
		require.Eventually(b, func() bool { return c.sent.Load() == uint64(b.N) }, wait, tick)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
	}
	b.StopTimer()
	close(release)
}

// slowToOpen holds the load back, and with it everything that is sent.
type slowToOpen struct {
	store.Store
	release chan struct{}
}

func (s slowToOpen) Open(ctx context.Context, after int64, limit int) ([]*store.Tx, error) {
	select {
	case <-s.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.Open(ctx, after, limit)
}

// BenchmarkLoad is a restart with a hundred thousand transactions that wait for their blocks.
func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	place := sqlstoretest.NewPlace(b, sqlstoretest.SQLite)
	st := place.Open(b)
	fill(b, st, n)
	require.NoError(b, st.Close())
	for b.Loop() {
		open := place.Open(b)
		before := heap()
		m, err := txn.New(txn.Options{
			Connector: sequenced{newFake()}, Store: open, Fence: open.Fence, Policy: stubborn{}, Chain: newView(b, open), Log: quiet(), MaxPending: n + 1,
		})
		require.NoError(b, err)
		require.NoError(b, m.Start(b.Context()))
		require.Eventually(b, func() bool { return txn.Loaded(m) == n }, wait, tick)
		b.ReportMetric(float64(heap()-before)/n, "B/tx")
		require.NoError(b, m.Stop(b.Context()))
		require.NoError(b, open.Close())
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fill stores transactions that a node took.
func fill(b *testing.B, st *sqlstore.Store, n int) {
	b.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 200 {
		wg.Go(func() {
			for i := range next {
				tx := store.Tx{ID: fmt.Sprintf("fill-%020d", i), Sub: store.SubTracking, From: fmt.Sprintf("s%d", i%100)}
				if _, err := st.Accept(b.Context(), st.Fence(), &store.NewTx{
					Tx: tx, Request: []byte(`{}`), Attempt: store.Attempt{Hash: tx.ID}, Payload: store.Payload{Prepared: []byte("p")}, Sequenced: true,
				}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// BenchmarkSubmitBatch is BenchmarkSubmit, held, with a thousand requests at a time. One op is one request.
func BenchmarkSubmitBatch(b *testing.B) {
	c := &trivial{fake: newFake()}
	release := make(chan struct{})
	r := newRig(b, setup{stopped: true, opts: func(o *txn.Options) {
		o.Connector, o.Store = trivialSequenced{c}, slowToOpen{o.Store, release}
	}})
	r.start()
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		subs := make([]*apitypes.Submission, min(b.N-done, apitypes.MaxBatch))
		for i := range subs {
			subs[i] = body(uint64(done+i), fmt.Sprintf("signer%d", i%10))
		}
		for _, a := range r.SubmitBatch(b.Context(), subs) {
			require.NoError(b, a.Err)
		}
		done += len(subs)
	}
	b.StopTimer()
	close(release)
}
