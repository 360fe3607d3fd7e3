package kafka_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pyralis-io/pyralis/internal/sinks/kafka"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// absent checks that a batch failed in a way that is held against no event.
func absent(t *testing.T, err error, words string) {
	t.Helper()
	require.ErrorContains(t, err, words)
	require.False(t, sink.IsRefused(err), "%v", err)
	var p *sink.Partial
	if errors.As(err, &p) {
		for _, err := range p.Failed {
			require.False(t, sink.IsRefused(err), "%v", err)
		}
	}
}

// A topic that is not there blocks the stream, in the cluster's words, until it is.
func TestUnknownTopic(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"topic":"later"`))
	b := batch(1, 3)
	absent(t, send(t, s, b), "topic later: UNKNOWN_TOPIC_OR_PARTITION")
	require.NoError(t, c.CreateTopic("later", 1, nil))
	require.NoError(t, send(t, s, b))
	require.Equal(t, numbered(b), ids(t, c, "later"))
}

// What stands before an event whose topic is not there is delivered, and nothing behind it.
func TestUnknownTopicOfAnEvent(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"topic":"=.topic"`))
	b := batchOf(1, 4, func(i int) string { return `"topic":"` + []string{ledger, ledger, "nowhere", ledger}[i] + `"` })
	err := send(t, s, b)
	absent(t, err, "topic nowhere: UNKNOWN_TOPIC_OR_PARTITION")
	partial(t, err, 2, 3)
	require.Equal(t, []string{"1-0", "1-1"}, ids(t, c, ledger))
}

func TestCreateTopic(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t, kfake.NumBrokers(3))
	s := open(t, factory(t, nil), config(c, `"topic":"=.topic","createTopic":{"partitions":4,"replication":2}`))
	b := batchOf(1, 6, func(i int) string { return `"topic":"` + []string{"a", "b", ledger}[i%3] + `"` })
	require.NoError(t, send(t, s, b))
	require.Len(t, c.PartitionInfos("a"), 4)
	require.Len(t, c.PartitionInfos(ledger), 3, "what is there stays as it is")
	require.Equal(t, []string{"1-0", "1-3"}, ids(t, c, "a"))
	require.Equal(t, []string{"1-1", "1-4"}, ids(t, c, "b"))

	s = open(t, factory(t, nil), config(c, `"topic":"c","createTopic":{"replication":9}`))
	absent(t, send(t, s, batch(2, 1)), "topic c cannot be created: INVALID_REPLICATION_FACTOR")
}

// INVALID_RECORD is the broker's opinion of what is in a message: it may change.
func TestInvalidRecord(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: ledger, Err: kerr.InvalidRecord, Count: -1})
	s := open(t, factory(t, nil), config(c, ""))
	b := batch(1, 8)
	failed := partial(t, send(t, s, b), 0, 1, 2, 3, 4, 5, 6, 7)
	require.True(t, sink.IsRefused(failed[0]))
	require.False(t, sink.IsPermanent(failed[0]))
	require.ErrorContains(t, failed[0], "INVALID_RECORD")
	require.False(t, sink.IsRefused(failed[1]), "nobody said anything of it")
	f.Remove()
	require.NoError(t, send(t, s, b))
	require.Equal(t, numbered(b), ids(t, c, ledger))
}

// Errors that are overcome in time are not seen, and others are told in the broker's words. Nothing comes twice or out of order.
func TestErrorsOfTheBroker(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.TopicAuthorizationFailed, kerr.NotLeaderForPartition,
		kerr.PolicyViolation, kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.KafkaStorageError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c, _ := cluster(t)
			s := open(t, factory(t, nil), config(c, `"key":"=.key"`))
			first, second := batch(1, 9), batch(2, 9)
			require.NoError(t, send(t, s, first))
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: ledger, Partitions: []int32{0, 1, 2}, Err: e, Count: -1})
			err := send(t, s, second)
			words := e.Message
			switch e { // the client tries again, and does not tell what for
			case kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.OutOfOrderSequenceNumber:
				words = "not acknowledged in 5 attempts"
			}
			absent(t, err, words)
			f.Remove()
			require.NoError(t, send(t, s, second))
			require.ElementsMatch(t, numbered(first, second), withoutRepetitions(ids(t, c, ledger)))
			inOrder(t, c)
		})
	}
}

func withoutRepetitions(ids []string) (once []string) {
	seen := make(map[string]bool)
	for _, id := range ids {
		if !seen[id] {
			once = append(once, id)
		}
		seen[id] = true
	}
	return once
}

// inOrder checks that the first occurrences of events are in the order of the stream, in each partition.
func inOrder(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	for _, records := range stored(t, c, ledger) {
		var got []string
		for _, r := range records {
			got = append(got, id(t, r))
		}
		last := -1
		for _, one := range withoutRepetitions(got) {
			number, event, _ := strings.Cut(one, "-")
			batch, err := strconv.Atoi(number)
			require.NoError(t, err)
			at, err := strconv.Atoi(event)
			require.NoError(t, err)
			require.Greater(t, batch*1000+at, last, "%v", got)
			last = batch*1000 + at
		}
	}
}

// An answer that is lost is asked for again, and the messages are there once.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	c, cut := cluster(t)
	s := open(t, factory(t, nil), config(c, ""))
	first, second := batch(1, 4), batch(2, 4)
	require.NoError(t, send(t, s, first))
	c.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		cut.arm()
		return nil, nil, false
	})
	require.NoError(t, send(t, s, second))
	require.False(t, cut.disarm(), "the answer was lost")
	require.Equal(t, numbered(first, second), ids(t, c, ledger))
}

// hold keeps the next produce request from being worked on until it is released. held is closed when it is there.
func hold(c *kfake.Cluster) (held chan struct{}, release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	first := true
	c.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		if !first {
			return nil, nil, false
		}
		first = false
		close(held)
		c.SleepControl(func() { <-free })
		return nil, nil, false
	})
	return held, sync.OnceFunc(func() { close(free) })
}

// A batch that became void while the broker had it is not taken behind what was sent after it, on whatever connection.
func TestVoidBatchIsNotTakenLate(t *testing.T) {
	t.Parallel()
	c, cut := cluster(t)
	s := open(t, factory(t, nil), config(c, ""))
	zero, first, second := batch(0, 2), batch(1, 3), batch(2, 2)
	require.NoError(t, send(t, s, zero))
	held, release := hold(c)
	defer release()
	ctx, cancel := context.WithCancelCause(t.Context())
	result := begin(ctx, s, first)
	<-held
	void := errors.New("void")
	cancel(void)
	require.ErrorIs(t, wait(t, result), void)
	cut.cut() // what is sent now comes on another connection
	require.NoError(t, send(t, s, first))
	late := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	release()
	require.NoError(t, send(t, s, second))
	require.Positive(t, late.Hits())
	require.Equal(t, numbered(zero, first, second), ids(t, c, ledger), "what was held is refused as of an older epoch")
}

// A batch that became void, and whose connection lives on, is taken before what is sent after it, or not at all.
func TestVoidBatchOnTheSameConnection(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, ""))
	first, second := batch(1, 3), batch(2, 2)
	require.NoError(t, send(t, s, batch(0, 1)))
	held, release := hold(c)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	result := begin(ctx, s, first)
	<-held
	cancel()
	require.ErrorIs(t, wait(t, result), context.Canceled)
	result = begin(t.Context(), s, first)
	release()
	require.NoError(t, wait(t, result))
	require.NoError(t, send(t, s, second))
	require.ElementsMatch(t, append(numbered(first, second), "0-0"), withoutRepetitions(ids(t, c, ledger)))
	inOrder(t, c)
}

// A broker that does not answer fails the batch in time, and says so.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"requestTimeout":"1s"`))
	deliver(t, s, batch(0, 1))
	free := make(chan struct{})
	c.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-free: // who waits for nothing must not wait: see fixture
		default:
			c.SleepControl(func() { <-free })
		}
		return nil, nil, false
	})
	began := time.Now()
	absent(t, send(t, s, batch(1, 3)), "no answer within 1s")
	require.Less(t, time.Since(began), time.Minute)
	close(free)
	deliver(t, s, batch(1, 3))
	inOrder(t, c)
}

// given are the ports that freePort has returned.
var given sync.Map

// freePort is a port that nobody listens at, another one each time. It is none of those that systems choose by themselves, so that nobody has it while its
// server is away.
func freePort(t *testing.T) int {
	t.Helper()
	const first, last, tries = 12_000, 32_000, 1000
	for range tries {
		port := first + rand.IntN(last-first)
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.FailNow(t, "there is no free port")
	return 0
}

// While the brokers are away nothing is lost, and everything goes on when they are back.
func TestBrokersAreAway(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	o := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(3, ledger), kfake.DataDir(dir), kfake.SyncWrites()}
	c, err := kfake.NewCluster(o...)
	require.NoError(t, err)
	s := open(t, factory(t, nil), config(c, `"key":"=.key"`))
	first, second := batch(1, 9), batch(2, 9)
	require.NoError(t, send(t, s, first))
	c.Close()
	for range 3 {
		absent(t, send(t, s, second), "connection refused")
	}
	c, err = kfake.NewCluster(o...)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, send(t, s, second))
	require.ElementsMatch(t, numbered(first, second), ids(t, c, ledger))
	inOrder(t, c)
}

// The leader of a partition moves again and again, and nobody notices.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t, kfake.NumBrokers(3))
	s := open(t, factory(t, nil), config(c, `"key":"=.key"`))
	var all []*sink.Batch
	for n := range int64(10) {
		for p := range int32(3) {
			require.NoError(t, c.MoveTopicPartition(ledger, p, int32(n+int64(p))%3))
		}
		all = append(all, batch(n, 30))
		require.NoError(t, send(t, s, all[n]))
	}
	require.ElementsMatch(t, numbered(all...), ids(t, c, ledger))
	inOrder(t, c)
}

// Connections that break all the time cost time only.
func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	c, cut := cluster(t, kfake.NumBrokers(3))
	s := open(t, factory(t, nil), config(c, `"key":"=.key"`))
	stop, stopped := make(chan struct{}), make(chan struct{})
	var delivered atomic.Int64
	go func() {
		defer close(stopped)
		const often = 30 * time.Millisecond
		before := int64(0)
		for pause := often; ; {
			select {
			case <-time.After(pause):
				cut.cut()
			case <-stop:
				return
			}
			now := delivered.Load()
			if pause *= 2; now > before || pause > time.Minute { // else the machine is too slow for so many cuts
				pause = often
			}
			before = now
		}
	}()
	var all []*sink.Batch
	for n := range int64(20) {
		all = append(all, batch(n, 60))
		deliver(t, s, all[n])
		delivered.Add(1)
	}
	close(stop)
	<-stopped
	require.ElementsMatch(t, numbered(all...), withoutRepetitions(ids(t, c, ledger)))
	inOrder(t, c)
}

// Close waits for no broker.
func TestCloseDoesNotWait(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"requestTimeout":"10m"`))
	held, release := hold(c)
	defer release()
	result := begin(t.Context(), s, batch(1, 3))
	<-held
	second := begin(t.Context(), s, batch(2, 1))
	shut(t, s)
	require.ErrorIs(t, wait(t, result), sink.ErrClosed)
	require.ErrorIs(t, wait(t, second), sink.ErrClosed)
	require.ErrorIs(t, send(t, s, batch(3, 1)), sink.ErrClosed)
}

// Whose time is over when it closes a sink leaves no connection behind: neither of a sink at rest nor of one that works.
func TestCloseWithoutTimeDisconnects(t *testing.T) {
	t.Parallel()
	c, cut := cluster(t)
	f := factory(t, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	gone := func() bool { return cut.connected() == 0 }
	for n := range int64(20) {
		s := open(t, f, config(c, ""))
		require.NoError(t, send(t, s, batch(n, 1)))
		require.Positive(t, cut.connected())
		require.NoError(t, s.Close(over))
		require.Eventually(t, gone, patience, time.Millisecond)
	}
	s := open(t, f, config(c, `"requestTimeout":"10m"`))
	held, release := hold(c)
	defer release()
	result := begin(t.Context(), s, batch(100, 3))
	<-held
	if err := s.Close(over); err != nil { // else the delivery was quick to end
		require.ErrorIs(t, err, context.Canceled)
	}
	require.ErrorIs(t, wait(t, result), sink.ErrClosed)
	require.Eventually(t, gone, patience, time.Millisecond)
}

// Nothing leaves while a batch is being handed over.
func TestNothingLeavesEarly(t *testing.T) {
	t.Parallel()
	var filling sync.RWMutex
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	conn := kafka.NewConn(here, &filling)
	filling.Lock()
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte("x"))
		written <- err
	}()
	require.NoError(t, there.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	one := make([]byte, 1)
	_, err := there.Read(one)
	require.Error(t, err)
	filling.Unlock()
	require.NoError(t, there.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(there, one)
	require.NoError(t, err)
	require.NoError(t, <-written)
}

// Nothing overtakes the first message of a topic, although the client learns only then where its messages belong.
func TestNothingOvertakesTheFirstMessageOfATopic(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"topic":"=.topic"`))
	const topics, events = 20, 2000
	for n := range topics {
		name := "fresh-" + strconv.Itoa(n)
		require.NoError(t, c.CreateTopic(name, 1, map[string]string{"max.message.bytes": "2000"}))
		err := send(t, s, batchOf(int64(n), events, func(i int) string {
			if i == 0 {
				return `"topic":"` + name + `","text":"` + strings.Repeat("x", 3000) + `"`
			}
			return `"topic":"` + name + `"`
		}))
		var p *sink.Partial
		require.ErrorAs(t, err, &p)
		require.True(t, sink.IsPermanent(p.Failed[0]))
		require.Len(t, p.Failed, events)
		require.Empty(t, ids(t, c, name))
	}
}

// What the client knows of a topic may have become an error since the last batch, which may end in the middle of the next one. What stands behind a record
// that fails for it is not even handed over.
func TestNothingOvertakesWhatHasNoPlace(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t, kfake.SeedTopics(1, "other"))
	s := open(t, factory(t, nil), config(c, `"topic":"=.topic"`))
	topics := []string{"other", ledger, "other", ledger}
	of := func(n int64) *sink.Batch {
		return batchOf(n, len(topics), func(i int) string { return `"topic":"` + topics[i] + `"` })
	}
	require.NoError(t, send(t, s, of(1)))
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: ledger, Err: kerr.TopicAuthorizationFailed, Count: -1, When: func(r kmsg.Request) bool {
		asked, ok := r.(*kmsg.MetadataRequest)
		return ok && !asked.IncludeTopicAuthorizedOperations // which the sink wants to know, and its client does not
	}})
	kafka.Refresh(s)
	require.Eventually(t, func() bool { return kafka.LoadError(s, ledger) != nil }, patience, time.Millisecond)
	err := send(t, s, of(2))
	absent(t, err, "TOPIC_AUTHORIZATION_FAILED")
	failed := partial(t, err, 1, 2, 3)
	for _, i := range []int{2, 3} {
		require.EqualError(t, failed[i], "waits for an event before it")
	}
	require.Equal(t, []string{"1-0", "1-2", "2-0"}, ids(t, c, "other"))

	f.Remove()
	kafka.Refresh(s)
	require.Eventually(t, func() bool { return kafka.LoadError(s, ledger) == nil }, patience, time.Millisecond)
	require.NoError(t, send(t, s, of(3)))
	require.Equal(t, []string{"1-1", "1-3", "3-1", "3-3"}, ids(t, c, ledger))
}

// Every request wants the acknowledgement of all replicas in sync, and names its producer.
func TestAsksAllReplicas(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	seen := make(chan kmsg.RecordBatch, 100)
	c.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if p, ok := r.(*kmsg.ProduceRequest); ok && p.Acks == -1 {
			var b kmsg.RecordBatch
			if b.ReadFrom(p.Topics[0].Partitions[0].Records) == nil {
				seen <- b
			}
		}
		return nil, nil, false
	})
	s := open(t, factory(t, nil), config(c, ""))
	require.NoError(t, send(t, s, batch(1, 1)))
	require.NoError(t, send(t, s, batch(2, 1)))
	first, second := <-seen, <-seen
	require.Equal(t, first.ProducerID, second.ProducerID)
	require.NotEqual(t, int64(-1), first.ProducerID)
	require.Equal(t, first.FirstSequence+1, second.FirstSequence)
}
