package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

var listener = &sink.Listener{ID: "l1", Name: "orders", Stream: "s1", Replay: "0"}

// batch makes a batch of events.
func batch(events ...string) *sink.Batch {
	b := &sink.Batch{Number: 1, Attempt: 1, Body: []byte("[" + strings.Join(events, ",") + "]")}
	for i, e := range events {
		b.Events = append(b.Events, sink.Event{ID: fmt.Sprintf("dev:1/%d", i), Listener: listener, Block: 1, JSON: []byte(e)})
	}
	return b
}

func maker(t *testing.T, texts ...string) *broker.Maker {
	t.Helper()
	m := &broker.Maker{Stream: sink.Stream{ID: "s1", Name: "one"}, PerMessage: apitypes.MessagePerEvent, Format: apitypes.FormatJSON}
	for _, source := range texts {
		text, err := broker.NewText(expr.New(), "key", source, nil)
		require.NoError(t, err)
		m.Texts = append(m.Texts, text)
	}
	return m
}

func TestMessagePerEvent(t *testing.T) {
	t.Parallel()
	b := batch(`{"n":1,"data":{"id":"x"}}`, `{"n":2,"data":{"id":"y"}}`)
	messages, err := maker(t, "fixed", "=.data.id", "=.n").Make(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, messages, 2)
	second := messages[1]
	require.Equal(t, b.Events[1].DedupID(), second.ID)
	require.Equal(t, string(b.Events[1].JSON), string(second.Body))
	require.Equal(t, []string{"fixed", "y", "2"}, second.Texts)
	require.Equal(t, []broker.Header{
		{Name: "pyralis-message-id", Value: second.ID}, {Name: "pyralis-event-id", Value: "dev:1/1"}, {Name: "pyralis-stream", Value: "one"},
		{Name: "pyralis-listener", Value: "orders"}, {Name: "content-type", Value: "application/json"},
	}, second.Header)
	again, err := maker(t).Make(t.Context(), batch(`{"n":1}`, `{"n":3}`))
	require.NoError(t, err)
	require.Equal(t, second.ID, again[1].ID, "the same at each delivery")
}

func TestMessagePerBatch(t *testing.T) {
	t.Parallel()
	b := batch(`{"n":1}`, `{"n":2}`)
	m := maker(t, "=.[0].n")
	m.PerMessage = apitypes.MessagePerBatch
	messages, err := m.Make(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	require.Equal(t, string(b.Body), string(messages[0].Body))
	require.Equal(t, 2, messages[0].Events)
	require.Equal(t, []string{"1"}, messages[0].Texts)
	require.Len(t, messages[0].ID, 64)
	other, err := m.Make(t.Context(), batch(`{"n":1}`))
	require.NoError(t, err)
	require.NotEqual(t, messages[0].ID, other[0].ID)
}

func TestCloudEvents(t *testing.T) {
	t.Parallel()
	type envelope struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          json.RawMessage
	}
	const event = `{"signature":"Changed(string)","timestamp":"2026-01-02T03:04:05Z","data":{"ä":1}}`
	b := batch(event, ` "transformed" `)
	m := maker(t, "=.signature?")
	m.Format = apitypes.FormatCloudEvents
	m.Texts = nil
	messages, err := m.Make(t.Context(), b)
	require.NoError(t, err)
	var got envelope
	require.NoError(t, json.Unmarshal(messages[0].Body, &got))
	require.Equal(t, envelope{
		SpecVersion: "1.0", ID: messages[0].ID, Source: "/eventstreams/s1/listeners/l1", Type: "io.pyralis.event.Changed", Subject: "dev:1/0",
		Time: "2026-01-02T03:04:05Z", DataContentType: "application/json", Data: json.RawMessage(event),
	}, got)
	require.Equal(t, broker.Header{Name: "content-type", Value: "application/cloudevents+json"}, messages[0].Header[4])
	got = envelope{}
	require.NoError(t, json.Unmarshal(messages[1].Body, &got))
	require.Equal(t, "io.pyralis.event", got.Type)
	require.JSONEq(t, `"transformed"`, string(got.Data))
	require.NotContains(t, string(messages[1].Body), `"time"`)

	m.PerMessage = apitypes.MessagePerBatch
	whole, err := m.Make(t.Context(), b)
	require.NoError(t, err)
	var all []envelope
	require.NoError(t, json.Unmarshal(whole[0].Body, &all))
	require.Len(t, all, 2)
	require.Equal(t, messages[0].ID, all[0].ID, "an event has the same id alone and in a batch")
	require.Contains(t, whole[0].Header, broker.Header{Name: "content-type", Value: "application/cloudevents-batch+json"})
}

// Nothing is made of what stands behind an event that cannot become a message.
func TestMessagesEndBeforeABadOne(t *testing.T) {
	t.Parallel()
	for bad, problem := range map[string]string{
		`{"k":null}`:    "key: the expression gives null for this event, and a text is needed",
		`{"k":{}}`:      "key: the expression gives an object for this event, and a text is needed",
		`{"k":["x"]}`:   "key: the expression gives a list for this event, and a text is needed",
		`{"k":"skip"}`:  "key: the expression puts out nothing",
		`{"k":"error"}`: "key: the expression fails: error: no",
	} {
		m := maker(t, `=if .k == "error" then error("no") elif .k == "skip" then empty else .k end`)
		b := batch(`{"k":"a"}`, bad, `{"k":"b"}`)
		messages, err := m.Make(t.Context(), b)
		require.True(t, sink.IsPermanent(err), bad)
		require.EqualError(t, err, problem)
		require.Len(t, messages, 1, bad)
		var p *sink.Partial
		require.ErrorAs(t, m.Outcome(b, messages, broker.Upto(1, 1, nil), err), &p)
		require.Len(t, p.Failed, 2)
		require.Equal(t, err, p.Failed[1])
		require.False(t, sink.IsRefused(p.Failed[2]), "nothing is held against what stands behind")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := maker(t, "=.k").Make(ended, batch(`{"k":1}`))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, sink.IsRefused(err))
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	m := maker(t)
	m.PerMessage = apitypes.MessagePerBatch
	messages, err := m.Make(t.Context(), batch(`{"n":1}`, `{"n":2}`))
	require.NoError(t, err)
	for events, want := range map[int]string{1: "is large", 2: "is large; it is a batch of 2 events (perMessage): give the stream a smaller batchSize, or each event its own message"} {
		messages[0].Events = events
		err := messages[0].TooLarge("is large")
		require.EqualError(t, err, want)
		require.True(t, sink.IsPermanent(err))
	}
}

// slow is an expression that has no time.
type slow struct{}

func (slow) Value(context.Context, []byte) ([]byte, bool, error) {
	return nil, false, fmt.Errorf("the expression %w", expr.ErrTime)
}

// What takes too long today may be quicker tomorrow: the event is not at fault.
func TestNoTime(t *testing.T) {
	t.Parallel()
	_, err := broker.TextOf("key", slow{}).Of(t.Context(), []byte(`{}`))
	require.EqualError(t, err, "key: the expression takes longer than 10s")
	require.False(t, sink.IsRefused(err))
}

func TestText(t *testing.T) {
	t.Parallel()
	short := func(s string) error {
		if len(s) > 4 {
			return errors.New("is too long")
		}
		return nil
	}
	for source, fix := range map[string]string{
		"fiver": "is too long", ".data.id": `write "=.data.id"`, "=": "is no expression", "=.[": "is no expression", "=env.X": "is no expression",
	} {
		_, err := broker.NewText(expr.New(), "topic", source, short)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, source)
		require.Equal(t, "topic", inv.Field)
		require.Contains(t, err.Error(), fix)
	}
	fixed, err := broker.NewText(expr.New(), "topic", "abc", short)
	require.NoError(t, err)
	text, ok := fixed.Fixed()
	require.True(t, ok)
	require.Equal(t, "abc", text)
	made, err := broker.NewText(expr.New(), "topic", "=.a", short)
	require.NoError(t, err)
	_, ok = made.Fixed()
	require.False(t, ok)
	for in, want := range map[string]string{`{"a":"x"}`: "x", `{"a":true}`: "true", `{"a":12}`: "12", `{"a":""}`: ""} {
		got, err := made.Of(t.Context(), []byte(in))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = made.Of(t.Context(), []byte(`{"a":"fiver"}`))
	require.EqualError(t, err, "topic: what the expression gives for this event is too long")
	require.True(t, sink.IsPermanent(err))
}
