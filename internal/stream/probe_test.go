package stream

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// reachable is a factory whose receiver can be tried.
type reachable struct {
	fakeFactory
	tried []string // configurations
	err   error
	held  chan struct{} // not nil: who tries waits until it is closed
}

func (*reachable) Type() string { return apitypes.StreamKafka }

func (*reachable) Validate(cfg json.RawMessage) (json.RawMessage, error) { return cfg, nil }

func (f *reachable) Probe(_ context.Context, s sink.Stream, cfg json.RawMessage) error {
	f.tried = append(f.tried, s.Name+" "+string(cfg))
	if f.held != nil {
		<-f.held
	}
	return f.err
}

func (f *reachable) Open(ctx context.Context, s sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	out, err := f.fakeFactory.Open(ctx, s, cfg)
	return advising{out}, err
}

type advising struct{ sink.Sink }

func (advising) Warnings() []string { return []string{"there is one copy only"} }

// The receiver of a stream that is to run is tried before anything is stored.
func TestReceiverIsTried(t *testing.T) {
	t.Parallel()
	f := new(reachable)
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, f} })
	create := func(name string, suspended bool) error {
		_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Suspended: &suspended, Type: ptr("kafka"), Kafka: json.RawMessage(`{"topic":"a"}`)})
		return err
	}
	var inv *apitypes.Invalid
	f.err = errors.New("no route to host")
	require.ErrorAs(t, create("s", false), &inv)
	require.Equal(t, "kafka", inv.Field)
	require.Contains(t, inv.Problem, "no route to host")
	f.err = apitypes.Invalidf("topic", "create it", "does not exist")
	require.ErrorAs(t, create("s", false), &inv)
	require.Equal(t, "kafka.topic", inv.Field)
	all, err := r.m.Streams(t.Context(), 10, "")
	require.NoError(t, err)
	require.Empty(t, all)

	f.tried = nil
	require.NoError(t, create("asleep", true), "a stream that does not run may wait for its receiver")
	require.Empty(t, f.tried)
	f.err = nil
	require.NoError(t, create("s", false))
	require.Equal(t, []string{`s {"topic":"a"}`}, f.tried)
	require.Equal(t, []string{"there is one copy only"}, r.state("s").Warnings)

	f.tried, f.err = nil, errors.New("away")
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(3)), Kafka: json.RawMessage(`{"topic":"a"}`)})
	require.NoError(t, err, "nothing of the sink changes")
	require.Empty(t, f.tried)
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Kafka: json.RawMessage(`{"topic":"b"}`)})
	require.ErrorAs(t, err, &inv)
	now, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.JSONEq(t, `{"topic":"a"}`, string(now.Kafka), "what was refused changes nothing")
	require.Nil(t, now.Webhook)
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Webhook: json.RawMessage(`{}`)})
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "webhook", inv.Field)
	r.restart()
	require.Equal(t, []string{`s {"topic":"b"}`}, f.tried, "a receiver that is away stops no start")
}

// A name that is taken is refused before anybody is asked, and the store has the last word.
func TestATakenNameIsRefusedBeforeReceiversAreTried(t *testing.T) {
	t.Parallel()
	f := new(reachable)
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, f} })
	r.stream("s")
	r.stream("other")
	kafka := &apitypes.EventStream{Name: ptr("s"), Type: ptr("kafka"), Kafka: json.RawMessage(`{"topic":"a"}`)}
	_, err := r.m.CreateStream(t.Context(), kafka)
	require.ErrorIs(t, err, store.ErrConflict)
	require.EqualError(t, err, `stream name "s" is taken`)
	before := r.factory.of("other")
	_, err = r.m.UpdateStream(t.Context(), "other", kafka)
	require.ErrorIs(t, err, store.ErrConflict)
	require.Empty(t, f.tried)
	require.False(t, before.isClosed(), "nothing is disturbed")

	r.store.setFault(func(call string) error {
		if call == "InsertStream" || call == "UpdateStream" {
			return store.ErrConflict
		}
		return nil
	})
	kafka.Name = ptr("taken meanwhile")
	_, err = r.m.CreateStream(t.Context(), kafka)
	require.ErrorIs(t, err, store.ErrConflict)
	_, err = r.m.UpdateStream(t.Context(), "other", kafka)
	require.ErrorIs(t, err, store.ErrConflict)
	require.Len(t, f.tried, 2)
	require.False(t, r.factory.of("other").isClosed(), "it is open again")
	r.store.setFault(nil)
	r.listen("other", "l", "A")
	r.chain.mine("A")
	r.live("other").finish(nil) // it runs on as it was
}

// While receivers are tried, nobody waits for the stream, and what others change meanwhile stays changed.
func TestNobodyWaitsForReceiversThatAreTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := new(merging)
		r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, f} })
		r.stream("s", func(s *apitypes.EventStream) {
			s.Type, s.Kafka = ptr("kafka"), json.RawMessage(`{"acks":1,"topic":"a"}`)
		})
		patch := func(body *apitypes.EventStream) {
			_, err := r.m.UpdateStream(t.Context(), "s", body)
			require.NoError(t, err)
		}
		f.tried, f.held = nil, make(chan struct{})
		done := make(chan *apitypes.EventStream)
		go func() {
			made, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Kafka: json.RawMessage(`{"topic":"b"}`)})
			require.NoError(t, err)
			done <- made
		}()
		synctest.Wait()
		held := f.held
		f.held = nil
		patch(&apitypes.EventStream{BatchSize: ptr(uint64(7))})
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		patch(&apitypes.EventStream{Name: ptr("renamed")})
		close(held)
		made := <-done
		require.Equal(t, []string{`s {"acks":1,"topic":"b"}`}, f.tried, "nothing of its receiver has changed meanwhile")
		require.JSONEq(t, `{"acks":1,"topic":"b"}`, string(made.Kafka))
		require.Equal(t, uint64(7), *made.BatchSize)
		require.Equal(t, "renamed", *made.Name)
	})
}

// A receiver that has become another one while it was tried is tried as it will be.
func TestReceiversAreTriedAsTheyWillBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := new(merging)
		r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, f} })
		r.stream("s", func(s *apitypes.EventStream) {
			s.DeadLetter = json.RawMessage(`{"type":"kafka","kafka":{"acks":1,"topic":"a"}}`)
		})
		deadLetter := func(cfg string) (string, error) {
			made, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(`{"kafka":` + cfg + `}`)})
			if err != nil {
				return "", err
			}
			return string(made.DeadLetter), nil
		}
		f.tried, f.held = nil, make(chan struct{})
		done := make(chan string)
		go func() {
			made, err := deadLetter(`{"topic":"b"}`)
			require.NoError(t, err)
			done <- made
		}()
		synctest.Wait()
		held := f.held
		f.held = nil
		_, err := deadLetter(`{"acks":2}`)
		require.NoError(t, err)
		close(held)
		require.JSONEq(t, `{"type":"kafka","kafka":{"acks":2,"topic":"b"}}`, <-done)
		require.Equal(t, []string{`s {"acks":1,"topic":"b"}`, `s {"acks":2,"topic":"a"}`, `s {"acks":2,"topic":"b"}`}, f.tried)
		f.err = errors.New("away")
		_, err = deadLetter(`{"acks":3}`)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv)
		require.Equal(t, "deadLetter.kafka", inv.Field)
		_, err = deadLetter(`{"acks":2}`)
		require.NoError(t, err, "that is what it has")
	})
}

// merging is a factory that keeps the fields that a change does not name.
type merging struct{ reachable }

func (*merging) Mask(cfg json.RawMessage) json.RawMessage { return cfg }

func (*merging) Keep(cfg, stored json.RawMessage) (json.RawMessage, error) {
	var all, given map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(stored, &all), json.Unmarshal(cfg, &given)); err != nil {
		return nil, err
	}
	maps.Copy(all, given)
	return json.Marshal(all)
}
