package ws_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestAStreamIsListenedToByNameOrID(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	c := r.dial()
	c.say(`{"type":"listen","stream":"id-s"}`)
	r.wait(s)
	for n, name := range map[int64]string{1: "s", 2: "id-s"} {
		done := r.send(t.Context(), s, n, 1)
		c.next()
		c.say(`{"type":"nack","stream":"` + name + `"}`)
		require.True(t, sink.IsRefused(result(t, done)))
	}
	c.say(`{"type":"unlisten","stream":"s"}`)
	c.say(`{"type":"unlisten","stream":"id-s"}`)
	c.refused("does not listen")
}

// A name may be another stream's tomorrow: who listens by it hears of its end, who listens by id goes on.
func TestARenamedStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.openAs("1", "old", "")
	byName, byID := r.dial(), r.dial()
	byName.listen("old", 1)
	byName.settled()
	byID.listen("1", 3)
	byID.settled()
	require.NoError(t, s.Close(t.Context()))
	other := r.openAs("2", "old", "") // takes the name before the first is open again
	byName.refused(`stream "old" was renamed`)
	byName.ack(1)
	byName.refused("does not listen")
	s = r.openAs("1", "new", "")
	require.Equal(t, 3, s.(sink.Windowed).Window())
	byName.listen("new", 1)
	byName.listen("old", 1)
	r.wait(other)
	done := r.send(t.Context(), other, 1, 1)
	require.Equal(t, int64(1), byName.next().BatchNumber)
	byName.say(`{"type":"ack","stream":"old","batchNumber":1}`)
	require.NoError(t, result(t, done))

	require.NoError(t, s.Close(t.Context()))
	s = r.openAs("1", "newer", "")
	byName.refused(`stream "new" was renamed`)
	require.Equal(t, 3, s.(sink.Windowed).Window())
}

func TestStreamsThatCannotBeListenedTo(t *testing.T) {
	t.Parallel()
	var kind, failing atomic.Value
	kind.Store("webhook")
	failing.Store(false)
	r := newRig(t, ws.Options{AckTimeout: 20 * time.Millisecond, Find: func(_ context.Context, name string) (sink.Stream, string, error) {
		if failing.Load() == true {
			return sink.Stream{}, "", errors.New("no connection")
		}
		return sink.Stream{ID: "1", Name: "s"}, kind.Load().(string), nil
	}})
	c := r.dial()
	c.listen("s", 1)
	c.refused("of type webhook")
	kind.Store("websocket")
	c.listen("x", 1)
	c.refused(`there is no stream "x"`) // it is called otherwise now
	c.say(`{"type":"listen","stream":"a\u0000b"}`)
	c.refused("control characters")
	c.listen("s", 1)
	c.settled()
	kind.Store("webhook")
	c.refused("is of type webhook now")
	kind.Store("websocket")
	c.listen("s", 1)
	c.settled()
	s := r.openAs("1", "s", "")
	r.wait(s)
	kind.Store("")
	require.NoError(t, s.Close(t.Context()))
	c.refused(`stream "s" was deleted`)
	c.say(`{"type":"unlisten","stream":"s"}`)
	c.refused("does not listen")

	failing.Store(true)
	c.listen("s", 1)
	_, _, err := c.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseTryAgainLater), "a client that is closed comes again: %v", err)
}

// A client must learn that it hears nothing of a stream without reading the words.
func TestWhoDoesNotListenIsTold(t *testing.T) {
	t.Parallel()
	var kind atomic.Value
	kind.Store("websocket")
	r := newRig(t, ws.Options{AckTimeout: 20 * time.Millisecond, MaxTopics: 1, Find: func(_ context.Context, name string) (sink.Stream, string, error) {
		if name != "s" && name != "1" {
			return sink.Stream{}, "", nil
		}
		return sink.Stream{ID: "1", Name: "s"}, kind.Load().(string), nil
	}})
	c := r.dial()
	long := strings.Repeat("x", 257)
	for name, part := range map[string]string{"x": "there is no stream", long: "may have 256", "a\\u0001": "control characters"} {
		c.listen(name, 1)
		c.unlistened(strings.ReplaceAll(name, "\\u0001", "\x01"), part)
	}
	c.listen("s", 2000)
	c.unlistened("s", "window is 2000")
	c.listen("s", 1)
	c.settled()
	for message, part := range map[string]string{
		`{"type":"listen","stream":"s","window":2000}`: "window is 2000",
		`{"type":"listen","stream":"s","acks":true}`:   "unlisten first",
		`{"type":"ack","stream":"s","batchNumber":1}`:  "nothing in flight",
	} {
		c.say(message)
		m := c.next()
		require.Contains(t, m.Message, part)
		require.False(t, m.Unlistened, "it listens still: %s", m.raw)
	}
	c.listen("s", 2) // again is nothing new
	c.listen("y", 1)
	c.unlistened("y", "which is the limit")

	kind.Store("webhook")
	c.unlistened("s", "is of type webhook now")
	c.listen("s", 1)
	c.unlistened("s", "is of type webhook")
	kind.Store("websocket")
	c.listen("s", 1)
	c.settled()
	s := r.openAs("1", "s", "")
	require.NoError(t, s.Close(t.Context()))
	r.openAs("1", "new", "")
	c.unlistened("s", "was renamed")
}
