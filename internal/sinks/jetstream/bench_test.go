package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	benchBatch = 500 // events
	benchEvent = 500 // bytes
	benchTurn  = 10  // batches that one of both sends before it is the other's turn
)

// BenchmarkPublish sends the same messages through the sink and through a bare client, in turns, to a server in a process of its own (or to
// that of TEST_NATS_URL). The client publishes asynchronously and waits for the acknowledgements at the end of its turn only, while the sink has
// those of each batch before it begins the next. What is reported as sink/bare is the quotient of their speeds.
func BenchmarkPublish(b *testing.B) {
	address := os.Getenv("TEST_NATS_URL")
	if address == "" {
		c := newChild(b)
		c.start()
		address = c.url()
	}
	c := client(b, address)
	name := fmt.Sprintf("BENCH%d", time.Now().UnixNano())
	_, err := c.CreateStream(b.Context(), js.StreamConfig{Name: name, Subjects: []string{name + ".>"}, MaxBytes: 256 << 20})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.DeleteStream(context.WithoutCancel(b.Context()), name)) })
	s := open(b, factory(b, nil), address, fmt.Sprintf(`"stream":%q,"subject":%q`, name, name+".sink"))
	number := int64(0)
	next := func() *sink.Batch {
		number++
		return batch(number, benchBatch, `,"data":"`+strings.Repeat("x", benchEvent-len(`{"id":"e00-000","signature":"Created(000)","data":""}`))+`"`)
	}
	require.NoError(b, send(b, s, next()))
	var ours, bare time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		for range benchTurn {
			require.NoError(b, send(b, s, next()))
		}
		ours += time.Since(began)
		began = time.Now()
		var futures []js.PubAckFuture
		for range benchTurn {
			futures = append(futures, publishBare(b, c, name, next())...)
		}
		await(b, futures)
		bare += time.Since(began)
	}
	events := float64(b.N * benchTurn * benchBatch)
	b.ReportMetric(events/ours.Seconds(), "sink-events/s")
	b.ReportMetric(events/bare.Seconds(), "bare-events/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "sink/bare")
}

// publishBare does what a program does that uses the client by itself.
func publishBare(b *testing.B, c js.JetStream, stream string, events *sink.Batch) []js.PubAckFuture {
	b.Helper()
	futures := make([]js.PubAckFuture, 0, len(events.Events))
	for i := range events.Events {
		e := &events.Events[i]
		id := e.DedupID()
		m := &nats.Msg{Subject: stream + ".bare", Data: e.JSON, Header: nats.Header{
			"pyralis-message-id": {id}, "pyralis-event-id": {e.ID}, "pyralis-stream": {"orders"}, "pyralis-listener": {"l"}, "content-type": {"application/json"},
			"Nats-Msg-Id": {id}, "Nats-Expected-Stream": {stream},
		}}
		f, err := c.PublishMsgAsync(m)
		require.NoError(b, err)
		futures = append(futures, f)
	}
	return futures
}

func await(b *testing.B, futures []js.PubAckFuture) {
	b.Helper()
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			require.NoError(b, err)
		}
	}
}

// child is a server in a process of its own.
type child struct {
	t    testing.TB
	dir  string
	port int
	cmd  *exec.Cmd
}

func newChild(t testing.TB) *child {
	t.Helper()
	c := &child{t: t, dir: t.TempDir(), port: freePort(t)}
	t.Cleanup(c.kill)
	return c
}

func (c *child) url() string { return "nats://127.0.0.1:" + strconv.Itoa(c.port) }

// start starts the server and waits until it answers.
func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childStore+"="+c.dir, childPort+"="+strconv.Itoa(c.port))
	require.NoError(c.t, c.cmd.Start())
	require.Eventually(c.t, func() bool {
		nc, err := nats.Connect(c.url())
		if err != nil {
			return false
		}
		defer nc.Close()
		j, err := js.New(nc)
		if err != nil {
			return false
		}
		_, err = j.AccountInfo(c.t.Context())
		return err == nil
	}, patience, 10*time.Millisecond)
}

// kill ends the server as kill -9 does.
func (c *child) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}
