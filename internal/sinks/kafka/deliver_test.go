package kafka_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pyralis-io/pyralis/internal/sinks/kafka"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Without a key everything is in one partition, in order, each message with its id.
func TestDelivers(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"headers":{"kind":"=.key","who":"us"}`))
	first, second := batch(1, 5), batch(2, 3)
	require.NoError(t, send(t, s, first))
	require.NoError(t, send(t, s, second))
	require.Equal(t, numbered(first, second), ids(t, c, ledger))
	for _, records := range stored(t, c, ledger) {
		if len(records) == 0 {
			continue
		}
		require.Len(t, records, 8)
		for i, r := range records {
			require.Equal(t, theStream.ID, string(r.Key))
			b, at := first, i
			if i >= 5 {
				b, at = second, i-5
			}
			require.Equal(t, string(b.Events[at].JSON), string(r.Value))
			require.Equal(t, []kgo.RecordHeader{
				{Key: "pyralis-message-id", Value: []byte(b.Events[at].DedupID())}, {Key: "pyralis-event-id", Value: []byte(b.Events[at].ID)},
				{Key: "pyralis-stream", Value: []byte("orders")}, {Key: "pyralis-listener", Value: []byte("assets")},
				{Key: "content-type", Value: []byte("application/json")}, {Key: "kind", Value: fmt.Appendf(nil, "k%d", at%3)}, {Key: "who", Value: []byte("us")},
			}, r.Headers)
		}
	}
}

// The messages of a key are in one partition, in order, where any client of Kafka would put them.
func TestKeys(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"key":"=.key"`))
	for n := range int64(4) {
		require.NoError(t, send(t, s, batch(n, 9)))
	}
	seen := make(map[string][]string)
	where := kgo.StickyKeyPartitioner(nil).ForTopic(ledger)
	for partition, records := range stored(t, c, ledger) {
		for _, r := range records {
			require.Equal(t, partition, where.Partition(r, 3))
			seen[string(r.Key)] = append(seen[string(r.Key)], id(t, r))
		}
	}
	require.Len(t, seen, 3)
	for key, got := range seen {
		var want []string
		for n := range 4 {
			for i := range 9 {
				if key == fmt.Sprintf("k%d", i%3) {
					want = append(want, fmt.Sprintf("%d-%d", n, i))
				}
			}
		}
		require.Equal(t, want, got)
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"partition":"=.key[1:]","key":"=.id"`))
	require.NoError(t, send(t, s, batch(1, 6)))
	for p, records := range stored(t, c, ledger) {
		require.Len(t, records, 2)
		require.Equal(t, fmt.Sprintf("1-%d", p), string(records[0].Key))
	}
	s = open(t, factory(t, nil), config(c, `"partition":"2"`))
	require.NoError(t, send(t, s, batch(2, 2)))
	last := stored(t, c, ledger)[2]
	require.Equal(t, "2-1", id(t, last[len(last)-1]))
	require.Nil(t, last[len(last)-1].Key)
}

// A partition that is not there is the fault of the event, or of the configuration.
func TestPartitionOutOfRange(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"partition":"=.p"`))
	bad := batchOf(1, 4, func(i int) string { return fmt.Sprintf(`"p":%d`, []int{0, 1, 3, 2}[i]) })
	failed := partial(t, send(t, s, bad), 2, 3)
	require.True(t, sink.IsPermanent(failed[2]))
	require.EqualError(t, failed[2], "partition: is 3, and the topic ledger has 3, counted from 0")
	require.False(t, sink.IsRefused(failed[3]))
	require.Equal(t, []string{"1-0", "1-1"}, ids(t, c, ledger))
	failed = partial(t, send(t, s, batchOf(2, 2, func(int) string { return `"p":"x"` })), 0, 1)
	require.ErrorContains(t, failed[0], `partition: what the expression gives for this event is "x", and a partition is a whole number from 0`)

	s = open(t, factory(t, nil), config(c, `"partition":"7"`))
	err := send(t, s, batch(3, 2))
	require.EqualError(t, err, "partition: is 7, and the topic ledger has 3, counted from 0")
	require.False(t, sink.IsRefused(err), "no event can help it")
}

// widen gives the topic more partitions.
func widen(t *testing.T, c *kfake.Cluster, partitions int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DisableClientMetrics())
	require.NoError(t, err)
	defer client.Close()
	answers, err := kadm.NewClient(client).UpdatePartitions(t.Context(), partitions, ledger)
	require.NoError(t, err)
	require.NoError(t, answers.Error())
}

// Partitions that a topic gets while a sink works are used as soon as the sink looks at the topic again: for an event that names one of them, and after trouble.
func TestPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"partition":"=.p"`))
	named := func(n int64, partition int) *sink.Batch {
		return batchOf(n, 2, func(i int) string { return fmt.Sprintf(`"p":%d`, i*partition) })
	}
	keyed := open(t, factory(t, nil), config(c, `"key":"=.id"`))
	require.NoError(t, send(t, s, named(1, 2)))
	require.NoError(t, send(t, keyed, batch(2, 3)))

	widen(t, c, 40)
	deliver(t, s, named(3, 37))
	require.Equal(t, "3-1", id(t, stored(t, c, ledger)[37][0]))

	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation, Count: -1})
	require.Error(t, send(t, keyed, batch(4, 50)))
	f.Remove()
	require.NoError(t, send(t, keyed, batch(4, 50)))
	where, beyond := kgo.StickyKeyPartitioner(nil).ForTopic(ledger), 0
	for partition, records := range stored(t, c, ledger) {
		for _, r := range records {
			if strings.HasPrefix(string(r.Key), "4-") {
				require.Equal(t, partition, where.Partition(r, 40))
				beyond = max(beyond, partition)
			}
		}
	}
	require.Greater(t, beyond, 2)
}

// partial are the failures of a batch, which are those with the given indexes.
func partial(t *testing.T, err error, indexes ...int) map[int]error {
	t.Helper()
	var p *sink.Partial
	require.ErrorAs(t, err, &p)
	var failed []int
	for i := range p.Failed {
		failed = append(failed, i)
	}
	slices.Sort(failed)
	require.Equal(t, indexes, failed, "%v", err)
	return p.Failed
}

// What is too large is found before anything behind it is sent.
func TestTooLargeForTheSetting(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"key":"=.key","maxMessageSize":2000`))
	b := batchOf(1, 4, func(i int) string {
		return fmt.Sprintf(`"key":"k","text":"%s"`, strings.Repeat("x", []int{10, 1000, 1900, 10}[i]))
	})
	failed := partial(t, send(t, s, b), 2, 3)
	require.True(t, sink.IsPermanent(failed[2]))
	require.ErrorContains(t, failed[2], "the message has up to 2")
	require.ErrorContains(t, failed[2], "(value 1932, key 1, headers ")
	require.ErrorContains(t, failed[2], "maxMessageSize is 2000")
	require.False(t, sink.IsRefused(failed[3]))
	require.Equal(t, []string{"1-0", "1-1"}, ids(t, c, ledger))
}

// A topic that is deleted and created again, by somebody or by the sink, is written to again.
func TestTopicIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, bySink := range map[string]bool{"by somebody": false, "by the sink": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := cluster(t)
			fields := `"key":"=.id"`
			if bySink {
				fields += `,"createTopic":{"partitions":3}`
			}
			s := open(t, factory(t, nil), config(c, fields))
			deliver(t, s, batch(1, 3))
			client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DisableClientMetrics())
			require.NoError(t, err)
			defer client.Close()
			admin := kadm.NewClient(client)
			_, err = admin.DeleteTopic(t.Context(), ledger)
			require.NoError(t, err)
			if !bySink {
				_, err = admin.CreateTopic(t.Context(), 3, 1, nil, ledger)
				require.NoError(t, err)
				kafka.Refresh(s)
			}
			deliver(t, s, batch(2, 3))
			deliver(t, s, batch(3, 3))
			got := ids(t, c, ledger)
			slices.Sort(got)
			require.Equal(t, []string{"2-0", "2-1", "2-2", "3-0", "3-1", "3-2"}, slices.Compact(got))
		})
	}
}

// Who sends batches in one message is told what makes them smaller, whoever finds them too large.
func TestABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for words, fields := range map[string]string{
		"maxMessageSize is 2000": `"topic":"small","maxMessageSize":2000`,
		"MESSAGE_TOO_LARGE":      `"topic":"small"`,
	} {
		s := open(t, factory(t, nil), config(limited(t, "4000"), fields+`,"perMessage":"batch"`))
		err := send(t, s, batchOf(1, 3, func(int) string { return `"text":"` + strings.Repeat("x", 2000) + `"` }))
		require.True(t, sink.IsPermanent(err), "%v", err)
		require.ErrorContains(t, err, words)
		require.ErrorContains(t, err, "; it is a batch of 3 events (perMessage): give the stream a smaller batchSize")
	}
}

// limited is a topic that takes record batches of so many bytes.
func limited(t *testing.T, bytes string) *kfake.Cluster {
	t.Helper()
	c, _ := cluster(t)
	require.NoError(t, c.CreateTopic("small", 2, map[string]string{"max.message.bytes": bytes}))
	return c
}

// What only the broker knows to be too large is found as well: it alone is at fault, and nothing of its partition is sent behind it.
func TestTooLargeForTheTopic(t *testing.T) {
	t.Parallel()
	for _, at := range []int{0, 1, 6, 19} {
		c := limited(t, "4000")
		s := open(t, factory(t, nil), config(c, `"topic":"small","partition":"=.p"`))
		require.NoError(t, send(t, s, batchOf(1, 1, func(int) string { return `"p":0` })))
		b := batchOf(2, 20, func(i int) string {
			if i == at {
				return `"p":0,"text":"` + strings.Repeat("x", 5000) + `"`
			}
			return fmt.Sprintf(`"p":%d`, i%2)
		})
		b.Events[at].JSON = []byte(strings.Replace(string(b.Events[at].JSON), `"p":1`, `"p":0`, 1))
		var p *sink.Partial
		require.ErrorAs(t, send(t, s, b), &p)
		first := []string{"1-0"}
		var second []string
		for i := range 20 {
			_, failed := p.Failed[i]
			inFirst := i == at || i%2 == 0
			require.Equal(t, inFirst && i >= at, failed, "%d of %d", i, at)
			if !inFirst {
				second = append(second, b.Events[i].ID)
			} else if i < at {
				first = append(first, b.Events[i].ID)
			}
			require.Equal(t, i == at, sink.IsRefused(p.Failed[i]), "%d of %d: %v", i, at, p.Failed[i])
		}
		require.True(t, sink.IsPermanent(p.Failed[at]))
		require.ErrorContains(t, p.Failed[at], "topic small, partition 0: MESSAGE_TOO_LARGE")
		require.ErrorContains(t, p.Failed[at], "value 50")
		require.Equal(t, append(first, second...), ids(t, c, "small"))
	}
}

// Messages that are too large only together are sent apart.
func TestTooLargeTogether(t *testing.T) {
	t.Parallel()
	c := limited(t, "3000")
	s := open(t, factory(t, nil), config(c, `"topic":"small"`))
	first, second := batch(1, 1), batch(2, 50)
	require.NoError(t, send(t, s, first))
	require.NoError(t, send(t, s, second))
	require.Equal(t, numbered(first, second), ids(t, c, "small"))
	require.Contains(t, strings.Join(s.(sink.Advising).Warnings(), "\n"), "max.message.bytes is 3000, and maxMessageSize is 1048588")
}

func TestNothingToSend(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"key":"=.nothing"`))
	err := send(t, s, batch(1, 1))
	require.True(t, sink.IsPermanent(err))
	require.EqualError(t, err, "key: the expression gives null for this event, and a text is needed")
	var p *sink.Partial
	require.NotErrorAs(t, err, &p, "a batch of one has no parts")
}

// A whole batch goes in one message.
func TestBatches(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	s := open(t, factory(t, nil), config(c, `"perMessage":"batch","key":"=.[0].id","format":"cloudevents","compression":"zstd"`))
	require.NoError(t, send(t, s, batch(1, 5)))
	all := slices.Concat(stored(t, c, ledger)...)
	require.Len(t, all, 1)
	require.Equal(t, "1-0", string(all[0].Key))
	require.Contains(t, all[0].Headers, kgo.RecordHeader{Key: "content-type", Value: []byte("application/cloudevents-batch+json")})
}

func TestCompression(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		c, _ := cluster(t)
		s := open(t, factory(t, nil), config(c, `"compression":"`+codec+`"`))
		b := batch(1, 100)
		require.NoError(t, send(t, s, b), codec)
		require.Equal(t, numbered(b), ids(t, c, ledger), codec)
	}
}
