package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// BenchmarkSink writes batches of 500 events of about 500 bytes, by turns with the sink and with a bare client that writes the same messages, each batch
// acknowledged before the next one. The brokers check and store what they get. The metric ratio is how fast the sink is, the bare client being 1, in the
// median of the turns, since other programs disturb some of them.
func BenchmarkSink(b *testing.B) {
	for name, fields := range map[string]string{
		"one partition": `"partition":"0"`, "by key": `"key":"=.key"`, "one partition, lz4": `"partition":"0","compression":"lz4"`,
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, fields) })
	}
}

func benchmark(b *testing.B, fields string) {
	const turn = 20 // batches before it is the other's turn
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
		s.Send(b.Context(), batches[n%turn], func(err error) { require.NoError(b, err) })
	}
	theirs := func(n int) {
		all := make([]*kgo.Record, len(records[n%turn]))
		for i, r := range records[n%turn] {
			again := r
			all[i] = &again
		}
		require.NoError(b, bare.ProduceSync(b.Context(), all...).FirstErr())
	}
	ours(0)
	theirs(0)
	var took [2]time.Duration
	var ratios []float64
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		most := min(turn, b.N-done)
		var now [2]time.Duration
		for i := range now {
			i = (i + len(ratios)) % 2 // neither is always the first
			began := time.Now()
			for n := range most {
				[...]func(int){ours, theirs}[i](n)
			}
			now[i] = time.Since(began)
			took[i] += now[i]
		}
		ratios = append(ratios, now[1].Seconds()/now[0].Seconds())
		done += most
		c.ApplyRetention()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(500*float64(b.N)/took[0].Seconds(), "events/s")
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
			r := kgo.Record{Value: e.JSON, Headers: []kgo.RecordHeader{
				{Key: "pyralis-message-id", Value: []byte(e.DedupID())}, {Key: "pyralis-event-id", Value: []byte(e.ID)}, {Key: "pyralis-stream", Value: []byte("orders")},
				{Key: "pyralis-listener", Value: []byte("assets")}, {Key: "content-type", Value: []byte("application/json")},
			}}
			if strings.Contains(fields, "key") {
				r.Key = []byte(shown.Key)
			}
			records = append(records, r)
		}
		all = append(all, records)
	}
	return client, all
}
