package jetstream_test

import (
	"context"
	"fmt"
	"net/url"
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
	var err error
	for end := time.Now().Add(patience); stream == nil && time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		stream, err = c.CreateStream(ctx, cfg)
		cancel()
	}
	require.NoError(t, err)
	return stream
}

// In a cluster another server takes the lead of the stream again and again while messages come: nothing is lost, nothing changes places.
func TestLeadersStepDown(t *testing.T) {
	t.Parallel()
	address := cluster(t)
	c := client(t, address)
	nc, err := nats.Connect(address, nats.MaxReconnects(-1))
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
		var downs atomic.Int64
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-over:
					return
				case <-time.After(150 * time.Millisecond):
				}
				if m, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil, time.Second); err == nil && strings.Contains(string(m.Data), `"success":true`) {
					downs.Add(1)
				}
			}
		}()
		var all []*sink.Batch
		for n := int64(0); n < 5 || set.replicas > 1 && downs.Load() < 3; n++ {
			all = append(all, batch(n, set.events))
			deliver(t, s, all[n])
		}
		close(over)
		<-ended
		got := stored(t, stream)
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
	s := open(t, factory(t, nil), address, "")
	one := batch(1, 12)
	require.NoError(t, send(t, s, &sink.Batch{Events: one.Events[:4]}))
	require.NoError(t, send(t, s, one))
	require.Equal(t, names(one), stored(t, stream))

	two := batch(2, 5)
	two.Events[2].JSON = []byte(`{"data":"` + strings.Repeat("x", 3000) + `"}`)
	failed := failures(t, two, send(t, s, two))
	require.Len(t, failed, 3)
	require.ErrorContains(t, failed[2], "message size exceeds maximum allowed")
	require.True(t, sink.IsPermanent(failed[2]))
	require.False(t, sink.IsRefused(failed[3]))
	require.Equal(t, append(names(one), "e2-0", "e2-1"), stored(t, stream))

	many := batch(3, 1200)
	require.NoError(t, send(t, s, many))
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(12+2+1200), info.State.Msgs)
}
