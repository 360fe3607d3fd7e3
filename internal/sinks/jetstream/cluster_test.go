package jetstream_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// cluster starts three servers that know each other, and returns their addresses.
func cluster(t *testing.T) (address string) {
	t.Helper()
	const size = 3
	var ports []int
	var routes []*url.URL
	for range size {
		port := freePort(t)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var urls []string
	for i := range size {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		require.True(t, s.ReadyForConnections(patience))
		urls = append(urls, "nats://"+s.Addr().String())
	}
	return strings.Join(urls, ",")
}

// createIn makes a stream as soon as the servers have found each other.
func createIn(t *testing.T, c js.JetStream, cfg js.StreamConfig) (stream js.Stream) {
	t.Helper()
	patiently(t, func(ctx context.Context) (err error) { stream, err = c.CreateStream(ctx, cfg); return err })
	return stream
}

// held is what a stream has, as soon as its leader, who may be new, knows all that was acknowledged.
func held(t *testing.T, s js.Stream, events int) (ids []string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if ids = stored(t, s); len(firsts(ids)) >= events {
			break
		}
	}
	return ids
}

// In a cluster another server takes the lead of the stream again and again while messages come: nothing is lost, nothing changes places.
func TestLeadersStepDown(t *testing.T) {
	t.Parallel()
	address := cluster(t)
	c := client(t, address)
	nc, err := nats.Connect(address, nats.MaxReconnects(-1), nats.Timeout(patience))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	for i, set := range []struct {
		replicas int
		atomic   bool
		events   int // of a batch
	}{{3, false, 10}, {3, true, 200}, {1, false, 200}} {
		name := fmt.Sprintf("EVENTS%d", i)
		stream := createIn(t, c, js.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Replicas: set.replicas, AllowAtomicPublish: set.atomic})
		s := open(t, factory(t, nil), address, fmt.Sprintf(`"stream":%q,"subject":%q,"requestTimeout":"400ms"`, name, name+".x"))
		var downs, delivered atomic.Int64
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			const often = 150 * time.Millisecond
			before := int64(0)
			for pause := often; ; {
				select {
				case <-over:
					return
				case <-time.After(pause):
				}
				now := delivered.Load()
				if pause *= 2; now > before { // else the machine is too slow for so many leaders
					pause = often
				}
				before = now
				if m, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil, time.Second); err == nil && strings.Contains(string(m.Data), `"success":true`) {
					downs.Add(1)
				}
			}
		}()
		var all []*sink.Batch
		for n := int64(0); n < 5 || set.replicas > 1 && downs.Load() < 3; n++ {
			all = append(all, batch(n, set.events))
			deliver(t, s, all[n])
			delivered.Add(1)
		}
		close(over)
		<-ended
		got := held(t, stream, len(names(all...)))
		require.Equal(t, names(all...), firsts(got), name)
		require.Less(t, len(got), 2*len(firsts(got)), "repetitions are rare")
		if set.replicas == 1 {
			require.True(t, warned(s, "has one replica"))
		} else {
			require.Empty(t, s.(sink.Advising).Warnings())
		}
	}
}

// A group that has messages which the stream has already, or one that is too large, goes one by one.
func TestGroupsThatAreRefused(t *testing.T) {
	t.Parallel()
	address := cluster(t)
	c := client(t, address)
	stream := createIn(t, c, js.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, Replicas: 3, AllowAtomicPublish: true, MaxMsgSize: 2000})
	s := open(t, factory(t, nil), address, `"requestTimeout":"2s"`)
	troubles := 0 // servers that do not know of the stream yet, and other leaders
	holds := func(want []string) {
		t.Helper()
		got := held(t, stream, len(want))
		if troubles > 0 { // what had no answer may be there twice
			got = firsts(got)
		}
		require.Equal(t, want, got)
	}
	one := batch(1, 12)
	troubles += deliver(t, s, &sink.Batch{Events: one.Events[:4]})
	troubles += deliver(t, s, one)
	holds(names(one))

	two := batch(2, 5)
	two.Events[2].JSON = []byte(`{"data":"` + strings.Repeat("x", 3000) + `"}`)
	failed := failures(t, two, send(t, s, two))
	for end := time.Now().Add(patience); !sink.IsRefused(failed[2]) && time.Now().Before(end); failed = failures(t, two, send(t, s, two)) {
		troubles++
		require.False(t, sink.IsRefused(failed[0]), "%v", failed[0])
		<-time.After(20 * time.Millisecond)
	}
	require.Len(t, failed, 3)
	require.ErrorContains(t, failed[2], "message size exceeds maximum allowed")
	require.True(t, sink.IsPermanent(failed[2]))
	require.False(t, sink.IsRefused(failed[3]))
	holds(append(names(one), "e2-0", "e2-1"))

	many := batch(3, 1200)
	troubles += deliver(t, s, many)
	holds(slices.Concat(names(one), []string{"e2-0", "e2-1"}, names(many)))
}
