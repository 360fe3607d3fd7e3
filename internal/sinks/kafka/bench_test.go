package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// BenchmarkSink writes batches of 500 events of about 500 bytes, by turns with the sink and with a bare client that writes the same messages, each acknowledged
// before the next one. The brokers check and store what they get. The metric ratio is how fast the sink is, the bare client being 1, in the median of
// some turns, since other programs disturb a part of them. The bare client makes the headers of its messages of the events, as the sink has to, and
// is told their keys; ratio-ready is to a client that is given its messages, which no program is.
func BenchmarkSink(b *testing.B) {
	for name, fields := range map[string]string{
		"one partition": `"partition":"0"`, "by key": `"key":"=.key"`, "one partition, lz4": `"partition":"0","compression":"lz4"`,
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, fields) })
	}
}

func benchmark(b *testing.B, fields string) {
	const turn = 10 // batches before it is the other's turn
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(b, err)
	defer c.Close()
	require.NoError(b, c.CreateTopic(ledger, 3, map[string]string{"retention.bytes": "1"})) // so that memory does not grow from turn to turn
	batches := make([]*sink.Batch, turn)
	for n := range batches {
		batches[n] = batchOf(int64(n), 500, func(i int) string {
			return fmt.Sprintf(`"key":"k%d","text":"%s"`, i%30, strings.Repeat("some text, ", 40))
		})
	}
	f, err := newFactory()
	require.NoError(b, err)
	cfg, err := f.Validate(config(c, fields))
	require.NoError(b, err)
	s, err := f.Open(b.Context(), theStream, cfg)
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close(context.Background())) }()
	bare, records := bareClient(b, c, fields, batches)
	defer bare.Close()

	ours := func(n int) {
		s.Send(b.Context(), batches[n], func(err error) { require.NoError(b, err) })
	}
	write := func(all []*kgo.Record) { require.NoError(b, bare.ProduceSync(b.Context(), all...).FirstErr()) }
	theirs := func(n int) {
		all := make([]*kgo.Record, len(records[n]))
		for i := range all {
			made := bareRecord(&batches[n].Events[i], records[n][i].Key)
			all[i] = &made
		}
		write(all)
	}
	ready := func(n int) {
		all := make([]*kgo.Record, len(records[n]))
		for i, r := range records[n] {
			all[i] = &r
		}
		write(all)
	}
	writers := [...]func(int){ours, theirs, ready}
	for _, write := range writers {
		write(0)
	}
	var took time.Duration // by the sink
	var ratios, readies []float64
	b.ReportAllocs()
	b.ResetTimer()
	done := 0
	for done < b.N {
		var now [len(writers)]time.Duration
		for _, i := range [...]int{0, 1, 2, 2, 1, 0} { // none is always the first, and each pays for its own garbage
			c.ApplyRetention()
			runtime.GC()
			began := time.Now()
			for n := range turn {
				writers[i](n)
			}
			now[i] += time.Since(began)
		}
		took += now[0]
		ratios = append(ratios, now[1].Seconds()/now[0].Seconds())
		readies = append(readies, now[2].Seconds()/now[0].Seconds())
		done += 2 * turn
	}
	slices.Sort(ratios)
	slices.Sort(readies)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(readies[len(readies)/2], "ratio-ready")
	b.ReportMetric(500*float64(done)/took.Seconds(), "events/s")
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
}

// bareClient is a client with the settings of the sink, and what the sink makes of batches.
func bareClient(b *testing.B, c *kfake.Cluster, fields string, batches []*sink.Batch) (*kgo.Client, [][]kgo.Record) {
	b.Helper()
	o := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(ledger), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RequiredAcks(kgo.AllISRAcks())}
	if strings.Contains(fields, "lz4") {
		o = append(o, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	}
	if strings.Contains(fields, "partition") {
		o = append(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	client, err := kgo.NewClient(o...)
	require.NoError(b, err)
	var all [][]kgo.Record
	for _, batch := range batches {
		var records []kgo.Record
		for i := range batch.Events {
			e := &batch.Events[i]
			var shown struct{ Key string }
			require.NoError(b, json.Unmarshal(e.JSON, &shown))
			var key []byte
			if strings.Contains(fields, "key") {
				key = []byte(shown.Key)
			}
			records = append(records, bareRecord(e, key))
		}
		all = append(all, records)
	}
	return client, all
}

func bareRecord(e *sink.Event, key []byte) kgo.Record {
	return kgo.Record{Key: key, Value: e.JSON, Headers: []kgo.RecordHeader{
		{Key: "pyralis-message-id", Value: []byte(e.DedupID())}, {Key: "pyralis-event-id", Value: []byte(e.ID)}, {Key: "pyralis-stream", Value: []byte("orders")},
		{Key: "pyralis-listener", Value: []byte("assets")}, {Key: "content-type", Value: []byte("application/json")},
	}}
}
