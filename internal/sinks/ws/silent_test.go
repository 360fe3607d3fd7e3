package ws

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

const impatience = 50 * time.Millisecond

// pass sends a batch and returns which connection got it.
func pass(t *testing.T, o owner, h *recorder, number int64) string {
	t.Helper()
	o.Send(t.Context(), &sink.Batch{Number: number, Attempt: 1}, func(error) {})
	require.NotEmpty(t, h.sent)
	to, _, _ := strings.Cut(h.sent[len(h.sent)-1], "{")
	return to
}

// firstSilent are two connections of which the first has let batch 1 time out. It is for a bubble of synctest.
func firstSilent(t *testing.T, ordered bool) (*lanes, *recorder) {
	t.Helper()
	h := &recorder{}
	o := newLanes(sink.Stream{ID: "id", Name: "s"}, h, impatience, time.Now, ordered)
	o.join(1, listening{window: 1})
	o.join(2, listening{window: 1})
	require.Equal(t, "b", pass(t, o, h, 1))
	<-time.After(impatience)
	o.expire()
	return o, h
}

// Who let a batch time out is passed by while others answer: else each of its turns would cost the timeout.
func TestASilentConnectionSlowsNobody(t *testing.T) {
	t.Parallel()
	for name, ordered := range map[string]bool{"load_balance": true, "parallel": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, h := firstSilent(t, ordered)
				for n := int64(1); n <= 10; n++ {
					require.Equal(t, "c", pass(t, o, h, n))
					require.NoError(t, o.ack(2, n))
				}
				o.leave(2)
				require.Equal(t, "b", pass(t, o, h, 11), "where nobody else is, it is tried again")
				require.NoError(t, o.Close(t.Context()))
			})
		})
	}
}

// Once it answers, however late, it is as good as any other.
func TestALateAnswerEndsTheSilence(t *testing.T) {
	t.Parallel()
	for name, ordered := range map[string]bool{"load_balance": true, "parallel": false} {
		for kind, answer := range map[string]func(o *lanes) error{
			"ack":  func(o *lanes) error { return o.ack(1, 1) },
			"nack": func(o *lanes) error { return o.nack(1, refusal{number: 1}) },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o, h := firstSilent(t, ordered)
					require.Equal(t, "c", pass(t, o, h, 1))
					require.NoError(t, o.ack(2, 1))
					require.ErrorContains(t, o.ack(1, 7), "batch 7", "what it was never sent says nothing")
					require.Equal(t, "c", pass(t, o, h, 2))
					require.NoError(t, o.ack(2, 2))
					require.Error(t, answer(o), "it is too late for the batch")
					require.Equal(t, "b", pass(t, o, h, 3))
					require.NoError(t, o.ack(1, 3))
					require.NoError(t, o.Close(t.Context()))
				})
			})
		}
	}
}

// Who has just come has the whole time for what is in flight, however old that is.
func TestBroadcastWhoJoinsHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		o := newCopies(sink.Stream{ID: "id", Name: "s"}, h, time.Minute, time.Now)
		for _, conn := range []uint64{1, 2} {
			o.join(conn, listening{window: 1, acks: true})
		}
		pass(t, o, h, 1)
		require.NoError(t, o.ack(1, 1))
		<-time.After(59 * time.Second) // of the bubble
		o.join(3, listening{window: 1, acks: true})
		<-time.After(time.Second)
		o.expire()
		require.Equal(t, []uint64{2}, h.cut)
		o.leave(2)
		<-time.After(58 * time.Second)
		o.expire()
		require.Len(t, h.cut, 1)
		<-time.After(time.Second)
		o.expire()
		require.Equal(t, []uint64{2, 3}, h.cut)
		require.NoError(t, o.Close(t.Context()))
	})
}
