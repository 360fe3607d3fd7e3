package jetstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/jetstream"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	patience = 2 * time.Minute
	window   = 100 * time.Millisecond // of duplicates, the shortest there is
)

var theStream = sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "orders"}

// factory makes a factory that may connect to this machine, with secrets that are called env:NATS_….
func factory(t testing.TB, vars map[string]string) *jetstream.Factory {
	t.Helper()
	env, err := broker.NewEnv(broker.Config{AllowPrivateIPs: true}, references(t, vars))
	require.NoError(t, err)
	f, err := jetstream.New(env)
	require.NoError(t, err)
	return f
}

func references(t testing.TB, vars map[string]string) *secret.Resolver {
	t.Helper()
	r, err := secret.New(secret.Options{Allow: []string{"env:NATS_*"}, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	require.NoError(t, err)
	return r
}

// config is a configuration for the stream EVENTS, with further fields.
func config(url, fields string) json.RawMessage {
	all := map[string]any{"url": url, "stream": "EVENTS", "subject": "events.all"}
	if err := json.Unmarshal([]byte("{"+fields+"}"), &all); err != nil {
		panic(err)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return raw
}

// unhurried lets a sink wait as long as the machine needs, unless fields say for how long it waits.
func unhurried(fields string) string {
	if strings.Contains(fields, "requestTimeout") {
		return fields
	}
	return strings.TrimSuffix(`"requestTimeout":"1m",`+fields, ",")
}

// open makes a sink, which is closed at the end of the test.
func open(t testing.TB, f *jetstream.Factory, url, fields string) sink.Sink {
	t.Helper()
	cfg, err := f.Validate(config(url, unhurried(fields)))
	require.NoError(t, err)
	s, err := f.Open(t.Context(), theStream, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s
}

// serve starts a server with JetStream.
func serve(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, AuthTimeout: patience.Seconds(),
	}
	if change != nil {
		change(o)
	}
	return start(t, o)
}

func start(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(patience))
	return s
}

// client connects a client of the test.
func client(t testing.TB, url string, options ...nats.Option) js.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, append(options, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.Timeout(patience))...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	c, err := js.New(nc, js.WithDefaultTimeout(patience))
	require.NoError(t, err)
	return c
}

// create makes the stream EVENTS for the subjects events.>.
func create(t testing.TB, c js.JetStream, change func(*js.StreamConfig)) js.Stream {
	t.Helper()
	cfg := js.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, Duplicates: time.Hour}
	if change != nil {
		change(&cfg)
	}
	s, err := c.CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	return s
}

// batch makes a batch of events e<number>-<index>.
func batch(number int64, events int, more ...string) *sink.Batch {
	b := &sink.Batch{Number: number, Attempt: 1, Body: []byte{'['}}
	l := &sink.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "l", Stream: theStream.ID, Replay: "r1"}
	for i := range events {
		id := fmt.Sprintf("e%d-%d", number, i)
		one := fmt.Sprintf(`{"id":%q,"signature":"Created(%d)"%s}`, id, i, strings.Join(more, ""))
		if i > 0 {
			b.Body = append(b.Body, ',')
		}
		b.Body = append(b.Body, one...)
		b.Events = append(b.Events, sink.Event{ID: id, Listener: l, Block: uint64(number), JSON: []byte(one)})
	}
	b.Body = append(b.Body, ']')
	return b
}

// names are the ids of the events of batches.
func names(batches ...*sink.Batch) (all []string) {
	for _, b := range batches {
		for i := range b.Events {
			all = append(all, b.Events[i].ID)
		}
	}
	return all
}

func send(t testing.TB, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	return sendWith(t.Context(), t, s, b)
}

func sendWith(ctx context.Context, t testing.TB, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	result := make(chan error, 1)
	go s.Send(ctx, b, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
		return nil
	}
}

// deliver sends a batch as the engine does, until it is delivered. failures is how often it was not.
func deliver(t testing.TB, s sink.Sink, b *sink.Batch) (failures int) {
	t.Helper()
	end := time.Now().Add(patience)
	for left := b; ; failures++ {
		err := send(t, s, left)
		require.False(t, sink.IsRefused(err), "%v", err)
		if left = rest(t, left, err); left == nil {
			return failures
		}
		require.True(t, time.Now().Before(end), "the batch is not delivered: %v", err)
		<-time.After(20 * time.Millisecond)
	}
}

// told sends until the error has the server's words in it, which may come later than a short requestTimeout ends.
func told(t testing.TB, s sink.Sink, b *sink.Batch, words string) (err error) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		err = send(t, s, b)
		if err == nil || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(words)) || !strings.Contains(err.Error(), " within ") {
			break
		}
	}
	return err
}

// rest is what has to come again; nil for nothing.
func rest(t testing.TB, b *sink.Batch, err error) *sink.Batch {
	t.Helper()
	failed := failures(t, b, err)
	if err == nil {
		return nil
	}
	first := len(b.Events)
	for i := range failed {
		first = min(first, i)
	}
	require.Len(t, failed, len(b.Events)-first, "what stands behind a failed event comes again, too")
	left := *b
	left.Events = b.Events[first:]
	return &left
}

// failures are the errors by event.
func failures(t testing.TB, b *sink.Batch, err error) map[int]error {
	t.Helper()
	var p *sink.Partial
	if ok := asPartial(err, &p); ok {
		return p.Failed
	}
	all := make(map[int]error)
	for i := range b.Events {
		all[i] = err
	}
	return all
}

// stored are the ids of the events that the stream has, in its order.
func stored(t testing.TB, s js.Stream) (ids []string) {
	t.Helper()
	var info *js.StreamInfo
	patiently(t, func(ctx context.Context) (err error) { info, err = s.Info(ctx); return err })
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && seq > 0; seq++ {
		var m *js.RawStreamMsg
		patiently(t, func(ctx context.Context) (err error) {
			if m, err = s.GetMsg(ctx, seq); errors.Is(err, js.ErrMsgNotFound) { // it was deleted
				return nil
			}
			return err
		})
		if m != nil && m.Header.Get("pyralis-event-id") != "" {
			ids = append(ids, m.Header.Get("pyralis-event-id"))
		}
	}
	return ids
}

// patiently asks until there is an answer: while a stream has no leader, there is none.
func patiently(t testing.TB, ask func(ctx context.Context) error) {
	t.Helper()
	const longest = 20 * time.Second
	var err error
	wait := time.Second
	for end := time.Now().Add(patience); time.Now().Before(end); wait = min(2*wait, longest) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		err = ask(ctx)
		cancel()
		if err == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	require.NoError(t, err)
}

// firsts leaves out what was there before.
func firsts(ids []string) (all []string) {
	known := make(map[string]bool)
	for _, id := range ids {
		if !known[id] {
			all = append(all, id)
		}
		known[id] = true
	}
	return all
}

// urlOf is the address of a server.
func urlOf(s *server.Server) string { return "nats://" + s.Addr().String() }

func warned(s sink.Sink, text string) bool {
	return slices.ContainsFunc(s.(sink.Advising).Warnings(), func(w string) bool { return strings.Contains(w, text) })
}

func asPartial(err error, to **sink.Partial) bool { return errors.As(err, to) }

// given are the ports that freePort has chosen.
var given sync.Map

// freePort is a port that nobody listens on. It is none of those that systems choose by themselves, so that nobody has it while its server is away.
func freePort(t testing.TB) int {
	t.Helper()
	const first, last, tries = 12_000, 32_000, 1000
	for range tries {
		port := first + rand.IntN(last-first)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.FailNow(t, "there is no free port")
	return 0
}
