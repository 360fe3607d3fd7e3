//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

const kafkaTopic = "events"

// wires are the connections of a cluster, which can be cut.
type wires struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
	slow  time.Time  // answers wait until then; guarded by mu
}

func (w *wires) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &wireListener{l, w}, err
}

func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wires) slowUntil(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slow = t
}

type wireListener struct {
	net.Listener
	wires *wires
}

func (l *wireListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.wires.mu.Lock()
	defer l.wires.mu.Unlock()
	l.wires.conns = append(l.wires.conns, c)
	return &wire{c, l.wires}, nil
}

type wire struct {
	net.Conn
	wires *wires
}

func (c *wire) Write(b []byte) (int, error) {
	c.wires.mu.Lock()
	wait := time.Until(c.wires.slow)
	c.wires.mu.Unlock()
	<-time.After(wait)
	return c.Conn.Write(b)
}

// kafka is a cluster of three brokers in this process, over TCP.
func (r *eventRun) kafka() *someBroker {
	w := new(wires)
	ports := []int{server.FreePort(r.t), server.FreePort(r.t), server.FreePort(r.t)} // by node
	c, err := kfake.NewCluster(kfake.NumBrokers(len(ports)), kfake.Ports(ports...), kfake.SeedTopics(6, kafkaTopic), kfake.ListenFn(w.listen))
	require.NoError(r.t, err)
	r.t.Cleanup(c.Close)
	cfg, err := json.Marshal(map[string]any{"brokers": c.ListenAddrs(), "topic": kafkaTopic, "key": byKey, "requestTimeout": "3s"})
	require.NoError(r.t, err)
	produce := []kmsg.Key{kmsg.Produce}
	return &someBroker{
		name: "kafka", stream: apitypes.EventStream{Type: ptr(apitypes.StreamKafka), Kafka: cfg},
		fault: func(rnd *rand.Rand) {
			refuse := func(e *kerr.Error) {
				f := c.Fault(kfake.Fault{Keys: produce, Topic: kafkaTopic, Err: e, Count: 1 + rnd.IntN(20)})
				server.Pause(r.t, span(rnd, time.Second))
				f.Remove()
			}
			switch rnd.IntN(7) {
			case 0:
				w.cut()
			case 1:
				c.ShufflePartitionLeaders()
			case 2: // answers come late, after the time for one batch now and then
				w.slowUntil(time.Now().Add(span(rnd, 5*time.Second)))
				server.Pause(r.t, time.Second)
			case 3: // answers are lost
				w.slowUntil(time.Now().Add(300 * time.Millisecond))
				server.Pause(r.t, span(rnd, 300*time.Millisecond))
				w.cut()
			case 4:
				refuse(kerr.NotEnoughReplicasAfterAppend)
			case 5:
				refuse(kerr.RequestTimedOut)
			case 6: // a broker is away
				node := int32(rnd.IntN(3))
				require.NoError(r.t, c.RemoveNode(node))
				w.cut()
				server.Pause(r.t, span(rnd, time.Second))
				_, _, err := c.AddNode(node, ports[node])
				require.NoError(r.t, err)
			}
		},
		held: func() (all []held) {
			for _, p := range c.PartitionInfos(kafkaTopic) {
				from := map[string]map[int32]kgo.Offset{kafkaTopic: {p.Partition: kgo.NewOffset().AtStart()}}
				reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(from), kgo.DisableClientMetrics())
				require.NoError(r.t, err)
				for last := int64(-1); last < p.HighWatermark-1; {
					fetched := reader.PollFetches(within(r.t))
					require.NoError(r.t, fetched.Err())
					fetched.EachRecord(func(rec *kgo.Record) {
						last = rec.Offset
						all = append(all, held{id: recordHeader(rec, "pyralis-message-id"), key: string(rec.Key), body: rec.Value})
					})
				}
				reader.Close()
			}
			return all
		},
	}
}

func recordHeader(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return fmt.Sprintf("no header %s", name)
}
