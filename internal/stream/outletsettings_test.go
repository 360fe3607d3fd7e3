package stream

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestOutletSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { outletTo(r) })
	r.stream("s")
	patch := func(deadLetter string) (string, error) {
		s, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(deadLetter)})
		if err != nil {
			return "", err
		}
		shown, err := r.m.Stream(t.Context(), "s")
		require.NoError(t, err)
		require.Equal(t, string(s.DeadLetter), string(shown.DeadLetter))
		return string(shown.DeadLetter), nil
	}
	for _, c := range []struct{ given, want string }{
		{`{"type":"Webhook","webhook":{"target":"a","secret":"canary"}}`, `{"type":"webhook","webhook":{"target":"a","secret":"********"}}`},
		{`{"webhook":{"target":"a","secret":"********"}}`, `{"type":"webhook","webhook":{"target":"a","secret":"********"}}`},
		{`{}`, `{"type":"webhook","webhook":{"target":"a","secret":"********"}}`},
		{``, `{"type":"webhook","webhook":{"target":"a","secret":"********"}}`},
		{`{"type":"kafka","kafka":{}}`, `{"kafka":{"distributionMode":"load_balance"},"type":"kafka"}`},
		{`null`, ``},
	} {
		got, err := patch(c.given)
		require.NoError(t, err, c.given)
		require.Equal(t, c.want, got, c.given)
	}
	for given, field := range map[string]string{
		`7`: "deadLetter", `{}`: "deadLetter.type", `{"type":7}`: "deadLetter.type", `{"type":"websocket"}`: "deadLetter.type", `{"type":"pigeon"}`: "deadLetter.type",
		`{"type":"kafka","webhook":{}}`: "deadLetter.webhook", `{"type":"webhook","webhook":{"target":"a","secret":"********"}}`: "deadLetter.webhook.secret",
	} {
		_, err := patch(given)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, given)
		require.Equal(t, field, inv.Field, given)
		require.NotEmpty(t, inv.Fix)
	}
}

// A change opens those sinks again that it concerns, and no others.
func TestAChangeReopensWhatItConcerns(t *testing.T) {
	t.Parallel()
	main, outlet, other := new(confidential), new(kafkaFactory), new(reachable)
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, main, outlet, &jetStreamFactory{other}} })
	r.stream("s", withOutlet, func(s *apitypes.EventStream) { s.Type, s.Webhook = ptr("webhook"), json.RawMessage(`{"target":"a"}`) })
	patch := func(body *apitypes.EventStream) error {
		_, err := r.m.UpdateStream(t.Context(), "s", body)
		return err
	}
	first, second := main.of("s"), outlet.of("s")
	require.NoError(t, patch(&apitypes.EventStream{BatchSize: ptr(uint64(3))}))
	require.NoError(t, patch(&apitypes.EventStream{Webhook: json.RawMessage(`{"target":"b"}`)}))
	require.True(t, first.isClosed())
	require.False(t, second.isClosed())
	require.Same(t, second, outlet.of("s"))

	first = main.of("s")
	toOther := &apitypes.EventStream{DeadLetter: json.RawMessage(`{"type":"jetstream","jetstream":{}}`)}
	r.store.setFault(func(call string) error {
		if call == "UpdateStream" {
			return store.ErrUnavailable
		}
		return nil
	})
	require.ErrorIs(t, patch(toOther), store.ErrUnavailable)
	require.True(t, second.isClosed())
	second = outlet.of("s")
	require.False(t, second.isClosed(), "it is open again")
	r.store.setFault(nil)
	require.NoError(t, patch(toOther))
	require.True(t, second.isClosed())
	require.False(t, other.of("s").isClosed())
	require.NoError(t, patch(&apitypes.EventStream{DeadLetter: json.RawMessage(`null`)}))
	require.True(t, other.of("s").isClosed())
	require.NoError(t, patch(&apitypes.EventStream{DeadLetter: json.RawMessage(`{"type":"kafka"}`)}))
	require.False(t, first.isClosed())
	require.Same(t, first, main.of("s"), "all of that is nothing to the main sink")

	second = outlet.of("s")
	require.NoError(t, patch(&apitypes.EventStream{Name: ptr("renamed")}))
	require.True(t, first.isClosed())
	require.True(t, second.isClosed())
	first, second = main.of("renamed"), outlet.of("renamed")
	r.stop()
	require.True(t, first.isClosed())
	require.True(t, second.isClosed())
}

// jetStreamFactory is a fake of yet another type.
type jetStreamFactory struct{ *reachable }

func (*jetStreamFactory) Type() string { return apitypes.StreamJetStream }

// A stream whose outlet cannot be opened does not run, and leaves nothing open. It runs again when it is told to do without.
func TestAnOutletThatCannotBeOpenedTakesTheMainSinkAlong(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, new(broken)} })
	r.stream("s")
	r.listen("s", "l", "A")
	before := r.factory.of("s")
	patch := func(deadLetter string) {
		_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(deadLetter)})
		require.NoError(t, err)
	}
	patch(`{"type":"kafka"}`)
	require.Equal(t, stateFailed, r.state("s").State)
	require.True(t, before.isClosed())
	patch(`null`)
	require.NotSame(t, before, r.factory.of("s"))
	r.chain.mine("A")
	r.live("s").finish(nil)
}

// A secret of the outlet stays with the target that it was given for, and the main sink lends it none.
func TestSecretsOfTheOutlet(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { outletTo(r) })
	id := r.stream("s", func(s *apitypes.EventStream) {
		s.Type, s.Webhook = ptr("webhook"), json.RawMessage(`{"target":"main","secret":"sparrow"}`)
	})
	patch := func(deadLetter string) error {
		_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(deadLetter)})
		return err
	}
	stored := func() string {
		def, err := r.store.Stream(t.Context(), id)
		require.NoError(t, err)
		return string(def.DeadLetter.Config)
	}
	refused := func(deadLetter string) {
		var inv *apitypes.Invalid
		require.ErrorAs(t, patch(deadLetter), &inv)
		require.Equal(t, "deadLetter.webhook.secret", inv.Field)
	}
	const canary = `{"target":"a","secret":"canary"}`
	refused(`{"type":"webhook","webhook":{"target":"main","secret":"********"}}`)
	require.NoError(t, patch(`{"type":"webhook","webhook":`+canary+`}`))
	for _, same := range []string{`{"webhook":{"target":"a","secret":"********"}}`, `{"type":"webhook"}`, `{}`, ``} {
		require.NoError(t, patch(same))
		require.JSONEq(t, canary, stored(), same)
	}
	_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Webhook: json.RawMessage(`{"target":"main","secret":"********"}`), BatchSize: ptr(uint64(4))})
	require.NoError(t, err)
	require.JSONEq(t, canary, stored(), "a change of the main sink is nothing to it")
	refused(`{"webhook":{"target":"b","secret":"********"}}`)
	require.JSONEq(t, canary, stored(), "what was refused changes nothing")
	require.NoError(t, patch(`{"webhook":{"target":"b"}}`))
	require.JSONEq(t, `{"target":"b","secret":""}`, stored())

	require.NoError(t, patch(`{"webhook":`+canary+`}`))
	require.NoError(t, patch(`{"type":"kafka"}`))
	require.NotContains(t, stored(), "canary")
	refused(`{"type":"webhook","webhook":{"target":"a","secret":"********"}}`)
	require.NoError(t, patch(`{"type":"webhook","webhook":`+canary+`}`))
	require.NoError(t, patch(`null`))
	refused(`{"type":"webhook","webhook":{"target":"a","secret":"********"}}`)
	r.restart()
	def, err := r.store.Stream(t.Context(), id)
	require.NoError(t, err)
	require.Nil(t, def.DeadLetter)
	require.Contains(t, string(def.Sink), "sparrow")
}
