package stream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	patience = time.Minute
	tick     = time.Millisecond
)

// rig is a manager over a fake chain, a fake store and fake sinks.
type rig struct {
	t       testing.TB
	chain   *fakeChain
	store   *fakeStore
	factory *fakeFactory
	opts    Options
	m       *Manager
}

func newRig(t testing.TB, change ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, chain: newFakeChain(), store: newFakeStore(), factory: &fakeFactory{}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	r.opts = Options{
		Connector: r.chain, ConnectorName: "fake", Store: r.store, Chain: r.chain, Sinks: []sink.Factory{r.factory},
		Fence: func() store.Fence { return store.Fence{} }, Log: logrus.NewEntry(log),
		CheckpointInterval: time.Hour,
	}
	for _, c := range change {
		c(r)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	m, err := New(r.opts)
	require.NoError(r.t, err)
	require.NoError(r.t, m.Start(context.Background()))
	r.m = m
}

func (r *rig) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(r.t, r.m.Stop(ctx))
}

// restart ends the process, as it were, and starts it again.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

func ptr[T any](v T) *T { return &v }

// stream creates a stream with small batches.
func (r *rig) stream(name string, change ...func(*apitypes.EventStream)) string {
	r.t.Helper()
	body := &apitypes.EventStream{Name: &name, BatchSize: ptr(uint64(2))}
	for _, c := range change {
		c(body)
	}
	s, err := r.m.CreateStream(r.t.Context(), body)
	require.NoError(r.t, err)
	return s.ID.String()
}

func filters(names ...string) []json.RawMessage {
	var list []json.RawMessage
	for _, n := range names {
		raw, err := json.Marshal(n)
		if err != nil {
			panic(err)
		}
		list = append(list, raw)
	}
	return list
}

// listen adds a listener, from the first block on.
func (r *rig) listen(stream, name string, events ...string) string {
	r.t.Helper()
	l, err := r.m.CreateListener(r.t.Context(), stream, &apitypes.Listener{
		Name: &name, Filters: filters(events...), FromBlock: ptr(apitypes.BlockNumber("earliest")),
	})
	require.NoError(r.t, err)
	return l.ID.String()
}

// next is the next batch at the sink.
func (r *rig) next(stream string) *delivered {
	r.t.Helper()
	select {
	case d := <-r.factory.of(stream).out:
		return d
	case <-time.After(patience):
		st, err := r.m.Stream(r.t.Context(), stream)
		require.NoError(r.t, err)
		require.FailNow(r.t, "no batch came", "%+v", st.StreamState)
		return nil
	}
}

// live is the next batch that is not void.
func (r *rig) live(stream string) *delivered {
	r.t.Helper()
	for {
		if d := r.next(stream); d.ctx.Err() == nil {
			return d
		}
	}
}

// quiet checks that no batch is at the sink.
func (r *rig) quiet(stream string) {
	r.t.Helper()
	select {
	case d := <-r.factory.of(stream).out:
		require.FailNow(r.t, "unexpected batch", "%d: %s", d.Number, d.Body)
	default:
	}
}

// ids are the positions of a batch's events, as far as they differ in these tests: block/tx.
func ids(t testing.TB, b *sink.Batch) []string {
	t.Helper()
	var events []apitypes.Event
	require.NoError(t, json.Unmarshal(b.Body, &events), "%s", b.Body)
	require.Len(t, events, len(b.Events))
	var list []string
	for i, e := range events {
		require.Equal(t, e.ID, b.Events[i].ID)
		require.Equal(t, e.ListenerID, b.Events[i].Listener.ID)
		require.JSONEq(t, string(mustIndex(t, b.Body, i)), string(b.Events[i].JSON))
		list = append(list, e.BlockNumber+"/"+e.TransactionIndex)
	}
	return list
}

func mustIndex(t testing.TB, body []byte, i int) json.RawMessage {
	t.Helper()
	var list []json.RawMessage
	require.NoError(t, json.Unmarshal(body, &list))
	return list[i]
}

func (r *rig) state(stream string) *apitypes.StreamStatus {
	r.t.Helper()
	s, err := r.m.Stream(r.t.Context(), stream)
	require.NoError(r.t, err)
	return s.StreamState
}

func (r *rig) eventually(cond func() bool) {
	r.t.Helper()
	require.Eventually(r.t, cond, patience, tick)
}

// stored waits until the checkpoint of a listener is at block/tx.
func (r *rig) stored(listener, at string) {
	r.t.Helper()
	var last string
	require.Eventually(r.t, func() bool {
		cp, ok := r.store.checkpoint(listener)
		last = cp.Cursor.String()
		return ok && last == at
	}, patience, tick, "checkpoint should be %s", at)
}

// undone checks that a listener's events from the one at a position on do not count as done. A checkpoint before it may be stored or not: how far
// a listener has come without events is stored when its stream stops.
func (r *rig) undone(listener, at string) {
	r.t.Helper()
	cp, _ := r.store.checkpoint(listener)
	require.LessOrEqual(r.t, cp.Cursor.String(), at)
}

var errTest = errors.New("refused")

const fftime0 = fftypes.FFDuration(0)

func ms(n int) fftypes.FFDuration { return fftypes.FFDuration(time.Duration(n) * time.Millisecond) }

// suspended makes a stream that does not run yet.
func suspended(s *apitypes.EventStream) { s.Suspended = ptr(true) }

// listenFrom adds a listener that starts at a block.
func (r *rig) listenFrom(stream, from string, events ...string) string {
	r.t.Helper()
	l, err := r.m.CreateListener(r.t.Context(), stream, &apitypes.Listener{Filters: filters(events...), FromBlock: ptr(apitypes.BlockNumber(from))})
	require.NoError(r.t, err)
	return l.ID.String()
}

// memory is what all streams hold.
func (r *rig) memory() int64 { return r.m.budget.inUse() }

// caughtUp waits until everything up to the safe head is read and acknowledged.
func (r *rig) caughtUp(stream string) {
	r.t.Helper()
	r.eventually(func() bool {
		st := r.state(stream)
		return st.LagBlocks != nil && *st.LagBlocks == 0
	})
}

// holding is what is counted in the budget for a stream.
func (d *delivery) holding() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}
