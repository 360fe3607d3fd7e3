package stream

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// confidential is a factory whose configuration holds a secret.
type confidential struct{ fakeFactory }

type confidentialConfig struct {
	Target string `json:"target"`
	Secret string `json:"secret"`
}

func (*confidential) Type() string { return apitypes.StreamWebhook }

func (*confidential) read(raw json.RawMessage) (c confidentialConfig) {
	if err := json.Unmarshal(raw, &c); err != nil {
		panic(err)
	}
	return c
}

func (*confidential) write(c confidentialConfig) json.RawMessage {
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return raw
}

func (f *confidential) Validate(raw json.RawMessage) (json.RawMessage, error) {
	c := f.read(raw)
	if c.Secret == apitypes.Masked {
		return nil, apitypes.Invalidf("secret", "give it", "is a mask")
	}
	return f.write(c), nil
}

func (f *confidential) Mask(raw json.RawMessage) json.RawMessage {
	c := f.read(raw)
	c.Secret = apitypes.Masked
	return f.write(c)
}

func (f *confidential) Keep(raw, stored json.RawMessage) (json.RawMessage, error) {
	c, old := f.read(raw), f.read(stored)
	if c.Secret == apitypes.Masked {
		if c.Target != old.Target {
			return nil, apitypes.Invalidf("secret", "give it again", "is for another target")
		}
		c.Secret = old.Secret
	}
	return f.write(c), nil
}

// The secrets of a sink are stored, and shown to nobody.
func TestSecretsAreMaskedAndKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, new(confidential)} })
	create := &apitypes.EventStream{Name: ptr("s"), Type: ptr("webhook"), Webhook: json.RawMessage(`{"target":"a","secret":"canary"}`)}
	const masked = `{"target":"a","secret":"********"}`
	made, err := r.m.CreateStream(t.Context(), create)
	require.NoError(t, err)
	require.JSONEq(t, masked, string(made.Webhook))
	stored := func() string {
		def, err := r.store.Stream(t.Context(), made.ID.String())
		require.NoError(t, err)
		return string(def.Sink)
	}
	shown := func() []json.RawMessage {
		one, err := r.m.Stream(t.Context(), "s")
		require.NoError(t, err)
		all, err := r.m.Streams(t.Context(), 10, "")
		require.NoError(t, err)
		return []json.RawMessage{one.Webhook, all[0].Webhook}
	}
	for _, body := range shown() {
		require.JSONEq(t, masked, string(body))
	}
	for _, change := range []*apitypes.EventStream{{Webhook: shown()[0]}, {BatchSize: ptr(uint64(7))}, {Webhook: shown()[0], Type: ptr("Webhook"), Name: ptr("s")}} {
		changed, err := r.m.UpdateStream(t.Context(), "s", change)
		require.NoError(t, err)
		require.JSONEq(t, masked, string(changed.Webhook))
		require.JSONEq(t, `{"target":"a","secret":"canary"}`, stored())
	}
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Webhook: json.RawMessage(`{"target":"b","secret":"********"}`)})
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "webhook.secret", inv.Field)
	require.JSONEq(t, `{"target":"a","secret":"canary"}`, stored())
	_, err = r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("t"), Type: ptr("webhook"), Webhook: shown()[0]})
	require.ErrorContains(t, err, "webhook.secret is a mask", "a mask stands for nothing in a new stream")

	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Type: ptr("websocket")})
	require.NoError(t, err)
	require.NotContains(t, stored(), "canary")
	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Type: ptr("webhook"), Webhook: json.RawMessage(masked)})
	require.ErrorContains(t, err, "webhook.secret is a mask", "the secret is gone with the type")

	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Type: ptr("webhook"), Webhook: create.Webhook})
	require.NoError(t, err)
	r.opts.Sinks = r.opts.Sinks[:1]
	r.restart()
	for _, body := range shown() {
		require.Empty(t, body, "a binary without the sink does not know what is secret")
	}
}
