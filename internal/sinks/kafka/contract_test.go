package kafka_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		f := fixture(t, "")
		f.Impatient = func(t *testing.T) sinktest.Fixture { return fixture(t, `,"requestTimeout":"2s"`) }
		return f
	})
}

func fixture(t *testing.T, fields string) sinktest.Fixture {
	t.Helper()
	const size = `"maxMessageSize":8000000`
	brokers := &asking{came: make(map[string]chan *asked), gone: make(map[string]bool), ended: make(chan struct{})}
	c, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.SeedTopics(1, ledger), kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "canary-1"),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "8000000"}),
		kfake.SleepOutOfOrder()) // in order, kfake has two goroutines for one request if that comes at the end of another one on its connection
	require.NoError(t, err)
	brokers.cluster = c
	c.ControlKey(kmsg.Produce.Int16(), brokers.produce)
	t.Cleanup(func() {
		close(brokers.ended)
		require.Eventually(t, func() bool { return brokers.waiting.Load() == 0 }, patience, time.Millisecond) // kfake cannot close while some wake up
		c.Close()
	})
	return sinktest.Fixture{
		Factory: factory(t, nil), Refuses: true, Secrets: []string{"canary-1"},
		Config: config(c, `"sasl":{"mechanism":"PLAIN","username":"app","password":"canary-1"},"perMessage":"batch",`+size+fields),
		Bad: []json.RawMessage{
			nil, json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`{"brokers":[]}`), json.RawMessage(`{"brokers":["h:1"]}`),
			config(c, `"topic":"/"`), config(c, `"key":".id"`), config(c, `"acks":1`), config(c, `"compression":"best"`),
		},
		Receive: func(_ *testing.T, s sink.Stream) sinktest.Receiver {
			brokers.away(s.ID, new(false))
			return &receiver{came: brokers.of(s.ID), leave: func() { brokers.away(s.ID, new(true)) }}
		},
	}
}

// asking are brokers that ask a receiver what to answer.
type asking struct {
	cluster *kfake.Cluster
	ended   chan struct{}
	waiting atomic.Int64

	mu   sync.Mutex
	came map[string]chan *asked // guarded by mu; by key, which is the stream
	gone map[string]bool        // guarded by mu; no connection with something of that key is served
}

// asked is a produce request that has no answer yet. An answer 0 accepts it, and -1 breaks the connection.
type asked struct {
	body   []byte
	answer chan int16
}

const broken = -1

func (a *asking) of(key string) chan *asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.came[key] == nil {
		a.came[key] = make(chan *asked)
	}
	return a.came[key]
}

// away says whether what comes of a stream is not served, and changes it if now is not nil.
func (a *asking) away(key string, now *bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now != nil {
		a.gone[key] = *now
	}
	return a.gone[key]
}

func (a *asking) produce(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // as kfake wants it
	a.cluster.KeepControl()
	produce, _ := req.(*kmsg.ProduceRequest)
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(produce.Topics[0].Partitions[0].Records); err != nil {
		return nil, err, true
	}
	records, err := kfake.BatchRecords(batch)
	if err != nil {
		return nil, err, true
	}
	one := &asked{body: records[0].Value, answer: make(chan int16, 2)}
	key := string(records[0].Key)
	came := a.of(key)
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	select {
	case <-a.ended:
		return nil, context.Canceled, true
	default:
	}
	if a.away(key, nil) {
		return nil, context.Canceled, true
	}
	var code atomic.Int32
	a.cluster.SleepControl(func() {
		select {
		case came <- one:
		case <-a.ended:
			return
		}
		select {
		case c := <-one.answer:
			code.Store(int32(c))
		case <-a.ended:
		}
	})
	switch code.Load() {
	case 0:
		return nil, nil, false
	case broken:
		return nil, context.Canceled, true
	}
	answer, _ := produce.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range produce.Topics {
		of := kmsg.NewProduceResponseTopic()
		of.Topic, of.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, int16(code.Load())
			of.Partitions = append(of.Partitions, part)
		}
		answer.Topics = append(answer.Topics, of)
	}
	return answer, nil, true
}

type receiver struct {
	came  chan *asked
	leave func()

	mu    sync.Mutex
	taken []*asked // guarded by mu
}

func (r *receiver) Next(ctx context.Context) (*sinktest.Delivery, error) {
	select {
	case one := <-r.came:
		r.mu.Lock()
		r.taken = append(r.taken, one)
		r.mu.Unlock()
		say := func(code int16) func() {
			return func() {
				select {
				case one.answer <- code:
				default: // there is one answer already
				}
			}
		}
		return &sinktest.Delivery{Events: one.body, Ack: say(0), Nack: say(kerr.MessageTooLarge.Code)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *receiver) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave()
	for _, one := range r.taken {
		select {
		case one.answer <- broken:
		default:
		}
	}
}
