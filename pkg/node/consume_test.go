package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// reader is a consumer that refuses its third batch, once, with more behind it on their way.
type reader struct {
	mu      sync.Mutex
	ids     []string // of the events it took, in order
	batches int
	refused bool
}

func (r *reader) take(b *client.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.batches++; r.batches == 3 && !r.refused {
		r.refused = true
		return errors.New("not now")
	}
	for _, raw := range b.Events {
		e, err := client.Decode(raw)
		if err != nil {
			return err
		}
		r.ids = append(r.ids, e.(*apitypes.Event).ID)
	}
	return nil
}

// A consumer of a broadcast that is busy while the stream is changed keeps its connection, or it would miss what is delivered meanwhile.
func TestABusyConsumerMissesNothing(t *testing.T) {
	t.Parallel()
	const events, window = 12, 4
	n := start(t, config(t))
	c := api(t, n)
	name, from, size := "s", apitypes.BlockNumber(apitypes.FromBlockEarliest), uint64(1)
	cfg, err := json.Marshal(apitypes.WebSocketConfig{DistributionMode: apitypes.Broadcast})
	require.NoError(t, err)
	_, err = c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, BatchSize: &size, WebSocket: cfg})
	require.NoError(t, err)
	var connected, running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	consume := func(handle func(b *client.Batch) error) {
		connected.Add(1)
		running.Go(func() {
			consumer := client.Consumer{
				URL: n.URL(), Stream: name, Window: window, Connected: connected.Done,
				Disconnected: func(err error) { t.Errorf("disconnected: %v", err); cancel() },
				Handle:       func(_ context.Context, b *client.Batch) error { return handle(b) },
			}
			switch err := consumer.Run(ctx); {
			case err == nil: // it has all of them
				cancel()
			case !errors.Is(err, context.Canceled):
				t.Error(err)
			}
		})
	}
	runs := make(chan struct{}, 1000)
	newest := int64(0)
	consume(func(b *client.Batch) error {
		if newest = max(newest, b.Number); b.Number == newest && b.Number%1_000_000_000 == window {
			runs <- struct{}{}
		}
		return nil
	})
	release := make(chan struct{})
	ids := make(map[string]bool)
	consume(func(b *client.Batch) error {
		<-release
		for _, raw := range b.Events {
			e, err := client.Decode(raw)
			if err != nil {
				return err
			}
			ids[e.(*apitypes.Event).ID] = true
		}
		if len(ids) == events {
			return client.ErrStop
		}
		return nil
	})
	connected.Wait()
	_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{
		Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets","event":"AssetCreated"}`)},
	})
	require.NoError(t, err)
	list := make([]*client.Invocation, events)
	for i := range list {
		list[i] = &client.Invocation{From: "alice", To: "assets", Method: "create", Params: []any{fmt.Sprintf("car-%d", i), i}}
	}
	_, err = c.SubmitBatch(t.Context(), list)
	require.NoError(t, err)
	filled := func() { // until all that the busy one may be sent is sent
		select {
		case <-runs:
		case <-ctx.Done():
			require.FailNow(t, "a consumer has ended")
		}
	}
	for i := range uint64(3) {
		filled()
		timeout := 1000 + i
		_, err = c.UpdateStream(t.Context(), name, &apitypes.EventStream{BatchTimeoutMS: &timeout})
		require.NoError(t, err)
	}
	filled()
	close(release)
	running.Wait()
}

// Two consumers with a window each, both of which refuse a batch: no event is lost, whatever the distribution mode, and nobody but those of a
// parallel stream sees one before one that is older.
func TestConsumersInEveryMode(t *testing.T) {
	t.Parallel()
	const events = 60
	for _, mode := range []string{apitypes.LoadBalance, apitypes.Broadcast, apitypes.Parallel} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			n := start(t, config(t))
			c := api(t, n)
			name, from, size := "s", apitypes.BlockNumber(apitypes.FromBlockEarliest), uint64(2)
			cfg, err := json.Marshal(apitypes.WebSocketConfig{DistributionMode: mode})
			require.NoError(t, err)
			_, err = c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, BatchSize: &size, WebSocket: cfg})
			require.NoError(t, err)
			_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{
				Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets","event":"AssetCreated"}`)},
			})
			require.NoError(t, err)

			ctx, cancel := context.WithCancel(t.Context())
			readers := []*reader{{}, {}}
			progress := make(chan struct{}, 1)
			var running, connected sync.WaitGroup
			for i, r := range readers {
				connected.Add(1)
				var once sync.Once
				running.Go(func() {
					consumer := client.Consumer{
						URL: n.URL(), Stream: name, Window: 4,
						Connected: func() { once.Do(connected.Done) },
						Refused:   func(message string) { t.Errorf("consumer %d: %s", i, message) },
						Handle: func(_ context.Context, b *client.Batch) error {
							err := r.take(b)
							select {
							case progress <- struct{}{}:
							default:
							}
							return err
						},
					}
					if err := consumer.Run(ctx); !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
			}
			connected.Wait()
			list := make([]*client.Invocation, events)
			for i := range list {
				list[i] = &client.Invocation{From: "alice", To: "assets", Method: "create", Params: []any{fmt.Sprintf("car-%d", i), i}}
			}
			_, err = c.SubmitBatch(t.Context(), list)
			require.NoError(t, err)
			took := func() (all []string) {
				for _, r := range readers {
					r.mu.Lock()
					all = append(all, r.ids...)
					r.mu.Unlock()
				}
				slices.Sort(all)
				return slices.Compact(all)
			}
			for len(took()) < events {
				select {
				case <-progress:
				case <-t.Context().Done():
					require.FailNow(t, "events are missing")
				}
			}
			cancel()
			running.Wait()
			for i, r := range readers {
				if mode == apitypes.Parallel {
					continue
				}
				require.True(t, slices.IsSorted(r.ids), "consumer %d: %v", i, r.ids)
			}
			t.Logf("%s: %d and %d events, refused %t and %t", mode, len(readers[0].ids), len(readers[1].ids), readers[0].refused, readers[1].refused)
		})
	}
}
