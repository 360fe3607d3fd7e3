package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/kafka"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	patience = 2 * time.Minute
	ledger   = "ledger" // the topic of most tests
)

var theStream = sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "orders"}

// cluster starts brokers, with the topic ledger of three partitions. Its connections can be cut.
func cluster(t *testing.T, o ...kfake.Opt) (*kfake.Cluster, *cutter) {
	t.Helper()
	cut := new(cutter)
	o = append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, ledger), kfake.ListenFn(cut.listen)}, o...)
	c, err := kfake.NewCluster(o...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, cut
}

// cutter breaks connections of brokers to their clients. What a broker has read it still works on.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
	open  int        // guarded by mu; connections that no side has ended
	armed bool       // guarded by mu; the next answer breaks its connection instead
}

func (c *cutter) listen(network, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), network, address)
	return &cutListener{l, c}, err
}

// cut breaks all connections.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cutter) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true
}

func (c *cutter) disarm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.armed
	c.armed = false
	return was
}

type cutListener struct {
	net.Listener

	cutter *cutter
}

func (l *cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.cutter.mu.Lock()
	defer l.cutter.mu.Unlock()
	l.cutter.conns = append(l.cutter.conns, conn)
	l.cutter.open++
	return &cutConn{Conn: conn, cutter: l.cutter}, nil
}

// connected is the number of connections that no side has ended.
func (c *cutter) connected() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

type cutConn struct {
	net.Conn

	cutter *cutter
	once   sync.Once
}

// Close is what a broker does when the client has ended the connection, too.
func (c *cutConn) Close() error {
	c.once.Do(func() {
		c.cutter.mu.Lock()
		defer c.cutter.mu.Unlock()
		c.cutter.open--
	})
	return c.Conn.Close()
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.cutter.disarm() {
		_ = c.Close()
	}
	return c.Conn.Write(b)
}

func secrets(t *testing.T, vars map[string]string) *secret.Resolver {
	t.Helper()
	r, err := secret.New(secret.Options{Allow: []string{"env:KAFKA_*"}, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	require.NoError(t, err)
	return r
}

// factory makes a factory that may connect to this machine.
func factory(t *testing.T, vars map[string]string) *kafka.Factory {
	t.Helper()
	return guarded(t, broker.Config{AllowPrivateIPs: true}, vars)
}

func guarded(t *testing.T, cfg broker.Config, vars map[string]string) *kafka.Factory {
	t.Helper()
	env, err := broker.NewEnv(cfg, secrets(t, vars))
	require.NoError(t, err)
	f, err := kafka.New(env)
	require.NoError(t, err)
	return f
}

// newFactory is factory without references.
func newFactory() (*kafka.Factory, error) {
	refs, err := secret.New(secret.Options{})
	if err != nil {
		return nil, err
	}
	env, err := broker.NewEnv(broker.Config{AllowPrivateIPs: true}, refs)
	if err != nil {
		return nil, err
	}
	return kafka.New(env)
}

// config is a configuration for a cluster, with further fields. A sink waits as long as the machine needs, unless they say for how long it waits.
func config(c *kfake.Cluster, fields string) json.RawMessage {
	if !strings.Contains(fields, `"topic":`) {
		fields = strings.TrimSuffix(`"topic":"`+ledger+`",`+fields, ",")
	}
	if !strings.Contains(fields, `"requestTimeout":`) {
		fields += `,"requestTimeout":"100s"`
	}
	brokers, err := json.Marshal(c.ListenAddrs())
	if err != nil {
		panic(err)
	}
	return json.RawMessage(`{"brokers":` + string(brokers) + `,` + fields + `}`)
}

// open opens a sink, which is closed at the end of the test.
func open(t *testing.T, f *kafka.Factory, cfg json.RawMessage) sink.Sink {
	t.Helper()
	cfg, err := f.Validate(cfg)
	require.NoError(t, err)
	s, err := f.Open(t.Context(), theStream, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s sink.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, s.Close(ctx))
}

// batch makes a batch of events "number-0", "number-1", …, of which the key field is k0, k1, k2, k0, …
func batch(number int64, events int) *sink.Batch {
	return batchOf(number, events, func(i int) string { return fmt.Sprintf(`"key":"k%d"`, i%3) })
}

// batchOf is batch with fields of one's own.
func batchOf(number int64, events int, fields func(i int) string) *sink.Batch {
	b := &sink.Batch{Number: number, Attempt: 1}
	l := &sink.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "assets", Stream: theStream.ID, Replay: "r1"}
	var all []string
	for i := range events {
		id := fmt.Sprintf("%d-%d", number, i)
		one := `{"id":"` + id + `",` + fields(i) + `}`
		all = append(all, one)
		b.Events = append(b.Events, sink.Event{ID: id, Listener: l, Block: uint64(number), JSON: []byte(one)})
	}
	b.Body = []byte("[" + strings.Join(all, ",") + "]")
	return b
}

// send delivers a batch.
func send(t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	return sendWith(t.Context(), t, s, b)
}

// deliver sends a batch until all of it is delivered.
func deliver(t *testing.T, s sink.Sink, b *sink.Batch) {
	t.Helper()
	end := time.Now().Add(patience)
	for err := send(t, s, b); err != nil; err = send(t, s, b) {
		require.False(t, sink.IsRefused(err), "%v", err)
		require.True(t, time.Now().Before(end), "the batch is not delivered: %v", err)
	}
}

func sendWith(ctx context.Context, t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	return wait(t, begin(ctx, s, b))
}

func begin(ctx context.Context, s sink.Sink, b *sink.Batch) chan error {
	result := make(chan error, 1)
	go s.Send(ctx, b, func(err error) { result <- err })
	return result
}

func wait(t *testing.T, result chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
		return nil
	}
}

// stored is everything that a topic holds, partition by partition.
func stored(t *testing.T, c *kfake.Cluster, topic string, o ...kgo.Opt) (all [][]*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range c.PartitionInfos(topic) {
		all = append(all, nil)
		if p.HighWatermark == 0 {
			continue
		}
		from := map[string]map[int32]kgo.Offset{topic: {p.Partition: kgo.NewOffset().AtStart()}}
		client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(from), kgo.DisableClientMetrics(), kgo.FetchMaxWait(100 * time.Millisecond)}, o...)...)
		require.NoError(t, err)
		for last := int64(-1); last < p.HighWatermark-1; {
			fetched := client.PollFetches(ctx)
			require.NoError(t, fetched.Err())
			fetched.EachRecord(func(r *kgo.Record) {
				all[p.Partition] = append(all[p.Partition], r)
				last = r.Offset
			})
		}
		client.Close()
	}
	return all
}

// ids are the ids of all events of a topic, sorted by partition and then as they were taken.
func ids(t *testing.T, c *kfake.Cluster, topic string, o ...kgo.Opt) (all []string) {
	t.Helper()
	for _, records := range stored(t, c, topic, o...) {
		for _, r := range records {
			all = append(all, id(t, r))
		}
	}
	return all
}

func id(t *testing.T, r *kgo.Record) string {
	t.Helper()
	var e struct{ ID string }
	require.NoError(t, json.Unmarshal(r.Value, &e))
	return e.ID
}

// numbered are the ids of the events of batches.
func numbered(batches ...*sink.Batch) (all []string) {
	for _, b := range batches {
		for i := range b.Events {
			all = append(all, b.Events[i].ID)
		}
	}
	return all
}
