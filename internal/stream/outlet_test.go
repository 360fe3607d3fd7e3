package stream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// kafkaFactory is a fake of another type than websocket.
type kafkaFactory struct{ fakeFactory }

func (*kafkaFactory) Type() string { return apitypes.StreamKafka }

func outletTo(r *rig) *kafkaFactory {
	f := new(kafkaFactory)
	r.opts.Sinks = []sink.Factory{r.factory, f, new(confidential)}
	return f
}

// withOutlet has dead letters go to a fake.
func withOutlet(s *apitypes.EventStream) {
	s.DeadLetter = json.RawMessage(`{"type":"kafka"}`)
}

// take is the next dead letter that the outlet gets.
func (f *fakeFactory) take(t *testing.T, stream string) (*delivered, *apitypes.DeadLetter) {
	t.Helper()
	select {
	case d := <-f.of(stream).out:
		require.Len(t, d.Events, 1)
		require.Equal(t, "["+string(d.Events[0].JSON)+"]", string(d.Body))
		l := new(apitypes.DeadLetter)
		require.NoError(t, json.Unmarshal(d.Events[0].JSON, l))
		return d, l
	case <-time.After(time.Hour): // of virtual time, mostly
		require.FailNow(t, "no dead letter came")
		return nil, nil
	}
}

// A dead letter is stored, then handed to the outlet, and only then do positions move.
func TestDeadLettersGoToTheOutlet(t *testing.T) {
	t.Parallel()
	var f *kafkaFactory
	r := newRig(t, func(r *rig) { f = outletTo(r) })
	stream := r.stream("s", skips, withOutlet, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
	listener := r.listen("s", "l", "A")
	r.chain.mine("A")
	event := r.live("s")
	event.finish(errNo)
	first, letter := f.take(t, "s")
	require.Len(t, r.letters(stream), 1, "it is stored")
	require.Equal(t, r.letters(stream)[0].ID, letter.ID)
	require.Equal(t, event.Events[0].ID, letter.EventID)
	require.Equal(t, r.letters(stream)[0].Seq, sequenceOf(t, letter))
	require.NotEqual(t, event.Events[0].DedupID(), first.Events[0].DedupID(), "a broker must not take one for the other")
	require.JSONEq(t, string(event.Events[0].JSON), string(letter.Event))
	require.Contains(t, letter.Error, errNo.Error())

	first.finish(errors.New("away"))
	again, _ := f.take(t, "s")
	require.Equal(t, first.Number, again.Number, "a number never names two contents")
	require.Equal(t, 2, again.Attempt)
	require.Contains(t, r.state("s").LastError, "deadLetter: away")
	require.Zero(t, r.state("s").DeadLettered)

	r.restart() // positions have not moved: it comes again
	r.live("s").finish(errNo)
	other, same := f.take(t, "s")
	require.Equal(t, letter.ID, same.ID)
	require.Equal(t, first.Events[0].DedupID(), other.Events[0].DedupID())
	require.NotEqual(t, first.Number, other.Number)
	other.finish(nil)
	r.stored(listener, ffcapi.BlockStart(2).String())
	require.Len(t, r.letters(stream), 1)

	r.chain.mine("A")
	r.live("s").finish(errNo)
	refused, _ := f.take(t, "s")
	refused.finish(sink.Permanent(errors.New("too large")))
	r.stored(listener, ffcapi.BlockStart(3).String())
	require.Len(t, r.letters(stream), 2, "it stays in the store")

	r.ask(stream)
	for range 2 {
		r.live("s").finish(errNo)
	}
	r.eventually(func() bool { return len(r.letters(stream)) == 2 && r.letters(stream)[1].Attempts == 2 })
	require.Empty(t, f.of("s").out, "a replay that fails is no new dead letter")
}

func sequenceOf(t *testing.T, l *apitypes.DeadLetter) int64 {
	t.Helper()
	n, err := strconv.ParseInt(l.Sequence, 10, 64)
	require.NoError(t, err)
	return n
}

// An outlet that may be mistaken is asked again for retryTimeout, one that names a time then, and one that speaks of the event alone is understood.
func TestOutletIsAskedAgain(t *testing.T) {
	t.Parallel()
	var f *kafkaFactory
	var passed atomic.Int64
	began := time.Now()
	r := newRig(t, func(r *rig) {
		f = outletTo(r)
		r.opts.Now = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	})
	retry := ms(100)
	stream := r.stream("s", skips, withOutlet, func(s *apitypes.EventStream) { s.RetryTimeout = &retry })
	listener := r.listen("s", "l", "A")
	next := func() *delivered {
		r.chain.mine("A")
		r.live("s").finish(errNo)
		d, _ := f.take(t, "s")
		return d
	}
	next().finish(errNack)
	for range 3 {
		d, _ := f.take(t, "s")
		passed.Add(int64(retry) / 3)
		d.finish(errNack)
	}
	d, _ := f.take(t, "s")
	passed.Add(int64(retry))
	d.finish(errNack)
	r.stored(listener, ffcapi.BlockStart(2).String())
	require.Empty(t, f.of("s").out)
	next().finish(&sink.RetryAfter{After: time.Millisecond, Err: errTest})
	again, _ := f.take(t, "s")
	again.finish(&sink.Partial{Failed: map[int]error{0: sink.Permanent(errTest)}})
	r.stored(listener, ffcapi.BlockStart(3).String())
	require.Contains(t, r.state("s").LastError, "deadLetter: refused")
	require.Len(t, r.letters(stream), 2)
}

// What cannot be opened is nil, whatever its factory makes of nothing.
func TestASinkThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, new(broken)} })
	_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("s"), Type: ptr("kafka")})
	require.NoError(t, err)
	require.Equal(t, "failed", r.state("s").State)
	_, err = r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("t"), DeadLetter: json.RawMessage(`{"type":"kafka"}`)})
	require.NoError(t, err)
	require.Equal(t, "deadLetter: cannot be opened", r.state("t").LastError)
}

// broken is a factory that opens nothing.
type broken struct{ kafkaFactory }

func (*broken) Open(context.Context, sink.Stream, json.RawMessage) (sink.Sink, error) {
	var nothing *fakeSink
	return nothing, errors.New("cannot be opened")
}
