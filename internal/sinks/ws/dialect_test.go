package ws_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestBatchFrame(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	c := r.dial()
	c.say(`{"type":"LISTEN","topic":"s"}`) // the old synonym
	r.wait(s)
	done := r.send(t.Context(), s, 3_000_000_001, 1)
	frame := `{"batchNumber":3000000001,"events":[{"n":3000000001}]}`
	require.Equal(t, []byte(frame), []byte(c.next().raw), "the number stands in front")
	c.say(`{"type":"error","topic":"s","message":"disk full"}`) // FireFly's refusal names no batch
	require.ErrorContains(t, result(t, done), "disk full")
	done = r.send(t.Context(), s, 3_000_000_001, 2)
	require.JSONEq(t, `{"batchNumber":3000000001,"attempt":2,"events":[{"n":3000000001}]}`, c.next().raw)
	c.ack(3_000_000_001)
	require.NoError(t, result(t, done))
}

func TestLargeBatchesArriveWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	c := r.dial()
	c.listen("s", 1)
	r.wait(s)
	for _, size := range []int{65_000, 66_000, 131_000, 132_000, 5 << 20} {
		done := make(chan error, 1)
		body := `["` + strings.Repeat("x", size) + `"]`
		s.Send(t.Context(), &sink.Batch{Number: int64(size), Body: []byte(body)}, func(err error) { done <- err })
		m := c.next()
		require.Len(t, m.Events, len(body))
		c.ack(m.BatchNumber)
		require.NoError(t, result(t, done))
	}
}

func TestWrongMessagesAreAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Find: streams("elsewhere")})
	s := r.open("s")
	c := r.dial()
	for message, part := range map[string]string{
		`{"type":"bogus","stream":"s"}`:        `type "bogus" is not understood`,
		`{}`:                                   `type "" is not understood`,
		`{"type":"listen"}`:                    "stream is missing",
		`{"type":"listen","stream":"nowhere"}`: `there is no stream "nowhere"`,
		`{"type":"listen","stream":"s","window":-1}`:     "window is -1",
		`{"type":"listen","stream":"s","window":100000}`: "window is 100000",
		`{"type":"unlisten","stream":"s"}`:               "does not listen",
		`{"type":"ack","stream":"s","batchNumber":1}`:    "does not listen",
		`{"type":"ack","stream":"s","batchNumber":"x"}`:  "not understood",
		`not json`: "not understood",
		`[1,2]`:    "not understood",
	} {
		c.say(message)
		c.refused(part)
	}
	require.NoError(t, c.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"listen","stream":"s"}`)))
	c.refused("binary")

	c.say(`{"type":"listen","stream":"elsewhere"}`)
	c.say(`{"type":"ack","stream":"elsewhere","batchNumber":1}`)
	c.refused("nothing in flight")
	c.listen("s", 1)
	r.wait(s)
	c.say(`{"type":"nack","stream":"s"}`)
	c.refused("nothing in flight")
	c.say(`{"type":"ack","stream":"s"}`)
	c.refused("batchNumber is missing")
	done := r.send(t.Context(), s, 5, 1)
	require.Equal(t, int64(5), c.next().BatchNumber)
	c.ack(4)
	c.refused("batch 4 of stream \"s\" is not in flight to this connection")
	c.say(`{"type":"nack","stream":"s","batchNumber":6}`)
	c.refused("batch 6")
	pending(t, done)
	c.ack(5)
	require.NoError(t, result(t, done))
	c.ack(5)
	c.refused("batch 5")
}

func TestWhatAClientSaysDoesNotComeBackAtLength(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Find: func(context.Context, string) (sink.Stream, string, error) {
		t.Error("a name that cannot be is not looked up")
		return sink.Stream{}, "", nil
	}})
	long := strings.Repeat("7", 500_000)
	c := r.dial()
	for message, part := range map[string]string{
		`{"type":"` + long + `"}`:                                       "type",
		`{"type":"listen","stream":"` + long + `"}`:                     "may have 256",
		`{"type":"ack","stream":"s","batchNumber":` + long + `}`:        "not understood",
		`{"type":"ack","stream":"s","batchNumber":-1e400}`:              "not understood",
		`{"type":"nack","stream":"s","batchNumber":-5}`:                 "does not listen",
		`{"type":"listen","stream":"s","window":` + long + `}`:          "not understood",
		`{"type":"` + strings.Repeat("\u00fc", 50_000) + `"}`:           "type",
		strings.Repeat("[", 500_000):                                    "not understood",
		`{"type":"ack","stream":"s","batchNumber":9223372036854775807}`: "does not listen",
	} {
		c.say(message)
		m := c.next()
		require.Equal(t, "error", m.Type)
		require.Less(t, len(m.raw), 4<<10)
		require.Contains(t, m.Message, part)
	}
	s := r.open("s")
	c.listen("s", 1)
	r.wait(s)
	done := r.send(t.Context(), s, 1, 1)
	c.next()
	c.say(`{"type":"nack","stream":"s","message":"` + long + `"}`)
	err := result(t, done)
	require.ErrorContains(t, err, "refused by the client: 777")
	require.Less(t, len(err.Error()), 2<<10, "it is kept in the stream's status")
}

func TestTopicsOfAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Find: anyStream})
	c := r.dial()
	for i := range 1000 {
		c.listen("s"+strconv.Itoa(i), 1)
	}
	c.listen("s1", 5) // again is nothing new
	c.listen("one more", 1)
	c.refused("limit")
}

func TestTooLargeAMessageEndsTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{ReadLimit: 1000})
	c := r.dial()
	c.say(strings.Repeat(" ", 1001))
	_, _, err := c.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseMessageTooBig), "%v", err)
}

func TestRepliesGoToThoseWhoAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	asked, other := r.dial(), r.dial()
	asked.say(`{"type":"listenreplies"}`)
	asked.say(`{"type":"x"}`)
	asked.refused("not understood") // so listenreplies has been handled
	other.say(`{"type":"x"}`)
	other.refused("not understood")
	r.server.Reply([]byte(`{"headers":{"requestId":"1"}}`))
	require.JSONEq(t, `{"headers":{"requestId":"1"}}`, asked.next().raw)
	other.say(`{"type":"y"}`)
	other.refused(`"y"`)
}

// wantReplies asks for replies and waits until that is known.
func (c *client) wantReplies() {
	c.t.Helper()
	c.say(`{"type":"listenreplies"}`)
	c.say(`{"type":"x"}`)
	c.refused("not understood")
}

func TestAReaderOfRepliesThatSleepsIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	require.False(t, r.server.WantsReplies())
	c, other, s := r.dial(), r.dial(), r.open("s")
	c.wantReplies()
	require.True(t, r.server.WantsReplies())
	other.listen("s", 1)
	r.wait(s)
	reply := []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	began := time.Now()
	for range 64 { // far beyond what may wait and what the sockets take
		r.server.Reply(reply)
	}
	require.Less(t, time.Since(began), patience, "Reply never blocks")
	done := r.send(t.Context(), s, 1, 1)
	require.Equal(t, int64(1), other.next().BatchNumber, "others notice nothing")
	other.ack(1)
	require.NoError(t, result(t, done))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			require.True(t, websocket.IsCloseError(err, websocket.CloseTryAgainLater), "%v", err)
			break
		}
	}
	require.Eventually(t, func() bool { return !r.server.WantsReplies() }, patience, tick)
}

// What is on its way to the client counts as waiting, too: else twice the limit would be kept.
func TestRepliesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	c := r.dial()
	require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(64<<10))
	c.wantReplies()
	c.listen("s", 1)
	r.wait(s)
	// A batch that the sockets cannot take in holds up the writer, so that it finds the replies all at once.
	done := make(chan error, 1)
	s.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 1, Body: []byte(`"` + strings.Repeat("x", 32<<20) + `"`)}, func(err error) { done <- err })
	reply := []byte(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	sent := 0
	for ; sent < 16; sent++ {
		r.server.Reply(reply)
	}
	require.Equal(t, int64(1), c.next().BatchNumber)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(6*patience))) // tens of megabytes, with the race detector
	_, _, err := c.ReadMessage()
	require.NoError(t, err, "the writer has begun with the replies")
	for ; r.server.WantsReplies(); sent++ {
		r.server.Reply(reply)
	}
	require.Less(t, sent, 16+10, "16 MiB wait, and a few more are in the sockets")
	require.ErrorIs(t, result(t, done), sink.ErrNobody)
}

func TestRepliesAreSharedByAllWhoReadThem(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{PingInterval: time.Hour}) // one of them answers no ping, and this may take its time
	one, two, none := r.dial(), r.dial(), r.dial()
	one.wantReplies()
	two.wantReplies()
	const n, size = 200, 1 << 18 // far more than may wait at once
	reply := []byte(`{"type":"` + strings.Repeat("x", size) + `"}`)
	for range n {
		r.server.Reply(reply)
		require.Len(t, one.next().Type, size)
		require.Len(t, two.next().Type, size)
	}
	none.say(`{"type":"y"}`)
	none.refused(`"y"`)
}

func TestASilentPeerIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{PingInterval: 2 * time.Second})
	s := r.open("s")
	deaf := r.dial()
	deaf.listen("s", 1)
	r.wait(s)
	done := r.send(t.Context(), s, 1, 1)
	// It does not read, so it answers no ping.
	require.ErrorIs(t, result(t, done), sink.ErrNobody)
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Origins: []string{"https://app.example.com"}})
	for origin, allowed := range map[string]bool{
		"":                                       true,
		"https://app.example.com":                true,
		"https://evil.example":                   false,
		"http" + strings.TrimPrefix(r.url, "ws"): true,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, resp, err := websocket.DefaultDialer.Dial(r.url, header) //nolint:bodyclose // the dialer has read it
		if !allowed {
			require.Error(t, err, origin)
			require.Equal(t, http.StatusForbidden, resp.StatusCode)
			continue
		}
		require.NoError(t, err, origin)
		require.NoError(t, conn.Close())
	}
}

func TestStopEndsConnectionsThatDoNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	for range 3 {
		r.dial().listen("s", 1)
	}
	r.wait(s)
	s.Send(t.Context(), &sink.Batch{Number: 1, Body: []byte(`["` + strings.Repeat("x", 64<<20) + `"]`)}, func(error) {})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, r.server.Stop(ctx))
	_, resp, err := websocket.DefaultDialer.Dial(r.url, nil) //nolint:bodyclose // as above
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}
