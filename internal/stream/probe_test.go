package stream

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// reachable is a factory whose receiver can be tried.
type reachable struct {
	fakeFactory
	tried []string // configurations
	err   error
}

func (*reachable) Type() string { return apitypes.StreamKafka }

func (*reachable) Validate(cfg json.RawMessage) (json.RawMessage, error) { return cfg, nil }

func (f *reachable) Probe(_ context.Context, s sink.Stream, cfg json.RawMessage) error {
	f.tried = append(f.tried, s.Name+" "+string(cfg))
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
