package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// What the stream has is what was sent, with all that a consumer needs.
func TestMessages(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	s := open(t, factory(t, nil), urlOf(server), `"subject":"=\"events.\" + (.signature | split(\"(\")[0])"`)
	b := batch(1, 2)
	require.NoError(t, send(t, s, b))
	for i := range b.Events {
		m, err := stream.GetMsg(t.Context(), uint64(i+1))
		require.NoError(t, err)
		require.Equal(t, "events.Created", m.Subject)
		require.Equal(t, string(b.Events[i].JSON), string(m.Data))
		for name, want := range map[string]string{
			"pyralis-message-id": b.Events[i].DedupID(), "pyralis-event-id": b.Events[i].ID, "pyralis-stream": "orders", "pyralis-listener": "l",
			"content-type": "application/json", "Nats-Msg-Id": b.Events[i].DedupID(), "Nats-Expected-Stream": "EVENTS",
		} {
			require.Equal(t, []string{want}, m.Header[name], name)
		}
	}
	whole := open(t, factory(t, nil), urlOf(server), `"perMessage":"batch","format":"cloudevents"`)
	require.NoError(t, send(t, whole, b))
	m, err := stream.GetMsg(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, []string{"application/cloudevents-batch+json"}, m.Header["content-type"])
	require.Equal(t, byte('['), m.Data[0])
}

// What comes again is dropped by the stream, and counts as delivered.
func TestRepetitionsAreDropped(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	s := open(t, factory(t, nil), urlOf(server), "")
	one, two := batch(1, 700), batch(2, 3)
	for _, b := range []*sink.Batch{one, one, two, one, two} {
		require.NoError(t, send(t, s, b))
	}
	require.Equal(t, names(one, two), stored(t, stream))
	// A batch of which the stream has every other message.
	mixed := batch(3, 40)
	for i := 0; i < len(mixed.Events); i += 2 {
		require.NoError(t, send(t, s, &sink.Batch{Events: mixed.Events[i : i+1]}))
	}
	require.NoError(t, send(t, s, mixed))
	require.ElementsMatch(t, names(one, two, mixed), stored(t, stream))
}

// Others may publish to the stream at the same time: it takes longer, and nothing else.
func TestOthersPublishToo(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	c := client(t, urlOf(server))
	stream := create(t, c, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	var published atomic.Int64
	go func() {
		n := 0
		for ctx.Err() == nil {
			if _, err := c.Publish(context.WithoutCancel(ctx), "events.other", []byte("x"), js.WithMsgID(fmt.Sprint("other", n))); err == nil {
				n++
				published.Add(1)
			}
		}
		ended <- n
	}()
	s := open(t, factory(t, nil), urlOf(server), "")
	var all []*sink.Batch
	for n := int64(0); n < 5 || published.Load() == 0; n++ {
		all = append(all, batch(n, 100))
		require.NoError(t, send(t, s, all[n]))
	}
	stop()
	require.NotZero(t, <-ended)
	require.Equal(t, names(all...), stored(t, stream))
}

// A message that gets lost on the way keeps back those behind it: here a server's answer and what it answers are far apart.
func TestNothingIsStoredBehindAGap(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	front := newRelay(t, server.Addr().String())
	s := open(t, factory(t, nil), front.url(), "")
	require.NoError(t, send(t, s, batch(1, 1)))
	// The event e2-3 is sent to a subject that nobody listens to, as if the server had dropped it.
	var lost atomic.Bool
	front.set(func(p []byte) bool {
		const subject = "HPUB events.all "
		if at := bytes.Index(p, []byte("e2-3\r\n")); at >= 0 {
			if from := bytes.LastIndex(p[:at], []byte(subject)); from >= 0 {
				lost.Store(true)
				copy(p[from:], "HPUB nobody.all ")
			}
		}
		return true
	}, nil)
	two := batch(2, 10)
	err := send(t, s, two)
	require.True(t, lost.Load())
	require.ErrorContains(t, err, "no responders")
	require.False(t, sink.IsRefused(err))
	require.Equal(t, names(batch(1, 1), batch(2, 3)), stored(t, stream), "what is behind the gap is not there")
	left := rest(t, two, err)
	require.Len(t, left.Events, 7)
	front.set(nil, nil)
	require.NoError(t, send(t, s, left))
	require.Equal(t, names(batch(1, 1), two), stored(t, stream))
}

// A connection that breaks anywhere in a batch, with answers lost or messages cut in two, leads to repetitions that the stream drops.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	front := newRelay(t, server.Addr().String())
	s := open(t, factory(t, nil), front.url(), `"requestTimeout":"1s"`)
	var all []*sink.Batch
	for n := range int64(24) {
		b := batch(n, 30)
		all = append(all, b)
		if n%3 != 0 {
			left := int(n) * 600
			countdown := func(p []byte) bool { left -= len(p); return left > 0 }
			if n%3 == 1 {
				front.set(countdown, nil)
			} else {
				front.set(nil, countdown)
			}
			_ = send(t, s, b)
			front.set(nil, nil)
			front.cut()
		}
		deliver(t, s, b)
	}
	require.Equal(t, names(all...), stored(t, stream))
	require.Greater(t, front.connections(), 8)
}

// A void batch ends at once; what the server has of it stays in order with what comes then.
func TestVoidBatches(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	s := open(t, factory(t, nil), urlOf(server), "")
	var all []*sink.Batch
	for n := range int64(20) {
		b := batch(n, 100)
		all = append(all, b)
		ctx, cancel := context.WithCancel(t.Context())
		began := make(chan struct{})
		go func() {
			<-began
			for range n * 1000 { // a while that differs
				_ = ctx.Err()
			}
			cancel()
		}()
		close(began)
		_ = sendWith(ctx, t, s, b)
		deliver(t, s, b)
	}
	require.Equal(t, names(all...), stored(t, stream))
}

// With a duplicate window shorter than an outage the stream has repetitions, and yet each message for the first time in order.
func TestShortDuplicateWindow(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), func(c *js.StreamConfig) { c.Duplicates = window })
	s := open(t, factory(t, nil), urlOf(server), "")
	one, two := batch(1, 20), batch(2, 20)
	require.NoError(t, send(t, s, one))
	require.True(t, warned(s, "remembers message ids for 100ms only"))
	require.Eventually(t, func() bool {
		require.NoError(t, send(t, s, one))
		return len(stored(t, stream)) > len(one.Events)
	}, patience, 2*window)
	require.NoError(t, send(t, s, two))
	require.Equal(t, names(one, two), firsts(stored(t, stream)))
}

// Messages of any size are in flight together up to a bound.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	s := open(t, factory(t, nil), urlOf(server), `"format":"`+apitypes.FormatCloudEvents+`"`)
	const size = 300_000
	b := batch(1, 40, `,"data":"`, string(bytes.Repeat([]byte("x"), size)), `"`)
	require.NoError(t, send(t, s, b))
	require.Equal(t, names(b), stored(t, stream))
}

// The expressions that the manual recommends.
func TestSubjectsOfTheManual(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	stream := create(t, client(t, urlOf(server)), nil)
	f := factory(t, nil)
	seq := uint64(0)
	for expression, want := range map[string]string{
		`=.blockNumber | "events.block." + .`:             "events.block.7",
		`="events." + (.address | gsub("[. ]"; "_"))`:     "events.my_channel/assets",
		`="events." + .signature`:                         "events.Created",
		`="events.car." + (.data.id | values | tostring)`: "events.car.17",
		`="events." + .listenerName`:                      "events.l",
	} {
		manual, err := os.ReadFile("../../../jetstream.md")
		require.NoError(t, err)
		require.Contains(t, string(manual), "`"+strings.ReplaceAll(expression, "|", `\|`)+"`")
		s := open(t, f, urlOf(server), `"subject":`+text(expression))
		seq++
		b := batch(int64(seq), 1)
		b.Events[0].JSON = []byte(`{"blockNumber":"7","address":"my.channel/assets","signature":"Created","data":{"id":17},"listenerName":"l"}`)
		require.NoError(t, send(t, s, b))
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		require.Equal(t, want, m.Subject)
	}
}
