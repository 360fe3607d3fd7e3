package amazon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"=\"g-\" + .data.group","attributes":{"kind":"fixed","owner":"=.data.owner // \"\"","n":"=1+1"}`)
		b := batch(1, "a")
		b.Events = append(b.Events, event("1-1", `{"id":"1-1","data":{"group":"b","owner":"ann"}}`))
		require.NoError(t, send(t, s, whole(b)))
		kept := r.aws.Messages(target)
		require.Len(t, kept, 2)
		for i, m := range kept {
			e := &b.Events[i]
			want := map[string]string{
				broker.HeaderID: e.DedupID(), broker.HeaderEvent: e.ID, broker.HeaderStream: "orders", broker.HeaderListener: "l",
				broker.HeaderType: "application/json", "kind": "fixed", "n": "2",
			}
			if i == 1 {
				want["owner"] = "ann"
			}
			require.Equal(t, want, m.Attributes)
			require.Equal(t, string(e.JSON), m.Body)
			require.Equal(t, []string{"g-a", "g-b"}[i], m.Group)
			require.Equal(t, e.DedupID(), m.DedupID)
		}
	})
}

func TestCloudEventsInBatches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, `"perMessage":"batch","format":"cloudevents","groupId":"tenant"`)
		require.NoError(t, send(t, s, batch(1, "a", "b")))
		kept := r.aws.Messages(target)
		require.Len(t, kept, 1)
		require.Contains(t, kept[0].Body, `[{"specversion":"1.0"`)
		require.Equal(t, "tenant", kept[0].Group, "a standard target takes groups too")
		require.Empty(t, kept[0].DedupID)
		require.Equal(t, "application/cloudevents-batch+json", kept[0].Attributes[broker.HeaderType])
	})
}

// Where no order is kept, an event may be in no group.
func TestNoGroup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, `"groupId":"=.data.group"`)
		require.NoError(t, send(t, s, batch(1, "a", "")))
		kept := r.aws.Messages(target)
		require.Len(t, kept, 2)
		require.ElementsMatch(t, []string{"a", ""}, []string{kept[0].Group, kept[1].Group})
		require.True(t, sink.IsPermanent(send(t, s, batch(2, "a b"))))
	})
}

// Who sends batches in one message is told what makes them smaller.
func TestABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", map[string]string{"MaximumMessageSize": "1024"})
		s := r.open(target, `"perMessage":"batch"`)
		err := send(t, s, batch(1, strings.Repeat("a", 600), strings.Repeat("b", 600)))
		require.True(t, sink.IsPermanent(err))
		require.ErrorContains(t, err, r.name+" takes 1024 at most; it is a batch of 2 events (perMessage): give the stream a smaller batchSize, or each event its own message")
		require.NoError(t, send(t, s, batch(2, "a", "b")))
	})
}

// What an expression gives that cannot be a group is the fault of the event.
func TestBadGroups(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"=.data.group"`)
		for group, want := range map[string]string{
			"": "is empty", "a b": `is "a b"`, "ä": `is "ä"`, strings.Repeat("x", 129): "has 129 characters",
		} {
			b := batch(1, "fine", group, "behind")
			got := failed(t, b, send(t, s, b))
			require.Len(t, got, 2)
			require.True(t, sink.IsPermanent(got[1]))
			require.ErrorContains(t, got[1], "groupId: what the expression gives for this event "+want)
			require.Equal(t, broker.ErrWaits, got[2])
		}
		b := batch(1, "fine")
		b.Events = append(b.Events, event("none", `{"id":"none"}`))
		require.ErrorContains(t, failed(t, b, send(t, s, whole(b)))[1], "groupId: the expression gives null for this event")
		require.Len(t, r.aws.Messages(target), 1)
	})
}

// Sizes count body and attributes, in a message and in a call.
func TestSizes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		const limit = 20_000
		target := r.create(r.aws, "events", map[string]string{"MaximumMessageSize": fmt.Sprint(limit)})
		s := r.open(target, `"attributes":{"pad":"`+strings.Repeat("p", 1000)+`"}`)
		sized := func(n int) *sink.Batch {
			b := batch(1, "small")
			b.Events = append(b.Events, event("large", `{"id":"`+strings.Repeat("x", n)+`"}`))
			return whole(b)
		}
		// the size of all but the text of the large event
		require.NoError(t, send(t, s, sized(10)))
		kept := r.aws.Messages(target)
		rest := -10 + len(kept[1].Body)
		for name, value := range kept[1].Attributes {
			rest += len(name) + len("String") + len(value)
		}
		require.NoError(t, send(t, s, sized(limit-rest)))
		b := sized(limit - rest + 1)
		got := failed(t, b, send(t, s, b))
		require.Len(t, got, 1)
		require.True(t, sink.IsPermanent(got[1]))
		require.EqualError(t, got[1], fmt.Sprintf("the message has %d bytes with its attributes, and %s takes %d at most", limit+1, r.name, limit))
	})
}

// A call has no more bytes than are taken in one.
func TestLargeMessagesGoInCallsOfTheirOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		b := &sink.Batch{Number: 1}
		for i := range 12 {
			b.Events = append(b.Events, event(fmt.Sprint(i), `{"id":"`+strings.Repeat("x", 200_000)+`"}`))
		}
		require.NoError(t, send(t, s, whole(b)))
		require.Len(t, r.aws.Messages(target), 12)
		require.Len(t, r.aws.Calls(r.send), map[string]int{"SQS": 3, "SNS": 12}[r.name])
	})
}

// A target that does not say what it takes is asked to take what it may be able to.
func TestUnknownLimits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", map[string]string{"MaximumMessageSize": "100000"})
		b := &sink.Batch{Number: 1, Events: []sink.Event{event("0", `{"id":"`+strings.Repeat("x", 99_000)+`"}`), event("1", `{"id":"`+strings.Repeat("x", 100_001)+`"}`)}}
		r.aws.On(onlySend(r))
		got := failed(t, b, send(t, r.open(target, ""), whole(b)))
		require.Len(t, got, 1)
		require.True(t, sink.IsRefused(got[1]), "%v", got[1])
		require.Len(t, r.aws.Messages(target), 1)
	})
}

// What JSON may hold and AWS may not is written as escapes, which is the same text.
func TestCharacters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, `"attributes":{"text":"=.data"}`)
		b := &sink.Batch{Number: 1, Events: []sink.Event{event("1", "{\"id\":\"\uFFFE\uFFFFä\",\"data\":\"ä\"}"), event("2", "{\"id\":\"\xff\",\"data\":\"b\"}")}}
		require.NoError(t, send(t, s, whole(b)))
		require.Equal(t, []string{`{"id":"\ufffe\uffffä","data":"ä"}`, "{\"id\":\"\uFFFD\",\"data\":\"b\"}"}, r.bodies(target))
		b = &sink.Batch{Number: 2, Events: []sink.Event{event("3", `{"id":"3","data":"\u0000"}`)}}
		err := send(t, s, whole(b))
		require.True(t, sink.IsPermanent(err))
		require.EqualError(t, err, "attributes.text: what the expression gives for this event has the character U+0000, which AWS does not take")
	})
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	r := newRig(t, topics)
	target := r.create(r.aws, "events", nil)
	s := r.open(target, `"subject":"=.data.group"`)
	require.NoError(t, send(t, s, batch(1, "News", "")))
	kept := r.aws.Messages(target)
	require.Equal(t, []string{"News", ""}, []string{kept[0].Subject, kept[1].Subject})
	for group, want := range map[string]string{strings.Repeat("ä", 100): "has 100 characters", "a\nb": "has line breaks"} {
		err := send(t, s, batch(2, group))
		require.True(t, sink.IsPermanent(err))
		require.ErrorContains(t, err, "subject: what the expression gives for this event "+want)
	}
	require.NoError(t, send(t, s, batch(3, strings.Repeat("ä", 99))))
	_, err := r.factory.Validate(r.config(target, `"subject":"a\nb"`))
	require.ErrorContains(t, err, "subject has line breaks")
}
