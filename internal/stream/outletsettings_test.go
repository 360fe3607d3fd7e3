package stream

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
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
