package amazon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Whatever goes wrong, a FIFO target has each event once, in the order of its group, and a standard one has each at least once, with the same id.
func TestNothingIsLostOrOvertakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		for _, name := range []string{"events.fifo", "events"} {
			target := r.create(r.aws, name, nil)
			var n atomic.Uint64
			r.aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
				if c.Action != r.send {
					return awstest.Fault{}
				}
				dice := rand.New(rand.NewPCG(7, n.Add(1)))
				switch dice.IntN(6) {
				case 0:
					return awstest.Fault{Code: "RequestThrottled", Text: "slow down"}
				case 1:
					return awstest.Fault{Cut: true}
				case 2:
					return awstest.Fault{Lose: true}
				case 3:
					return awstest.Fault{Entries: map[int]awstest.Entry{
						dice.IntN(len(c.Messages)): {Code: "InternalError", Text: "try again"}, dice.IntN(len(c.Messages)): {Code: "ServiceUnavailable"},
					}}
				}
				return awstest.Fault{}
			})
			s := r.open(target, `"groupId":"=.data.group"`)
			want := make(map[string][]string)
			dice := rand.New(rand.NewPCG(1, 2))
			for number := range int64(4) {
				groups := make([]string, 30)
				for i := range groups {
					groups[i] = fmt.Sprintf("g%d", dice.IntN(7))
					want[groups[i]] = append(want[groups[i]], fmt.Sprintf("%d-%d", number, i))
				}
				deliver(t, s, batch(number, groups...))
			}
			got, ids := make(map[string][]string), make(map[string]string)
			for _, m := range r.aws.Messages(target) {
				var e struct{ ID string }
				require.NoError(t, json.Unmarshal([]byte(m.Body), &e))
				id := m.Attributes[broker.HeaderID]
				if _, again := ids[id]; !again {
					got[m.Group] = append(got[m.Group], e.ID)
				} else {
					require.NotContains(t, name, ".fifo", "%s came twice", e.ID)
				}
				require.Contains(t, []string{"", e.ID}, ids[id])
				ids[id] = e.ID
			}
			if name == "events.fifo" {
				require.Equal(t, want, got)
				continue
			}
			require.Len(t, ids, 4*30)
		}
	})
}

// deliver sends a batch as the engine does, until all of it is delivered.
func deliver(t *testing.T, s sink.Sink, b *sink.Batch) {
	t.Helper()
	for range 1000 {
		all := failed(t, b, send(t, s, b))
		if len(all) == 0 {
			return
		}
		again := &sink.Batch{Number: b.Number, Attempt: b.Attempt + 1}
		for i, e := range b.Events {
			if all[i] != nil {
				again.Events = append(again.Events, e)
			}
		}
		b = whole(again)
	}
	require.FailNow(t, "it never gets through")
}

// A call holds one message of a group at most, and ten in all.
func TestCallsOfGroups(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"=.data.group"`)
		groups := []string{"a", "a", "b", "a", "b"}
		for i := range 12 {
			groups = append(groups, fmt.Sprintf("x%d", i))
		}
		require.NoError(t, send(t, s, batch(1, groups...)))
		var sizes []int
		for _, c := range r.aws.Calls(r.send) {
			seen := make(map[string]bool)
			for _, m := range c.Messages {
				require.False(t, seen[m.Group], "two of group %s in one call", m.Group)
				seen[m.Group] = true
			}
			sizes = append(sizes, len(c.Messages))
		}
		require.ElementsMatch(t, []int{10, 4, 2, 1}, sizes)
		require.Len(t, r.aws.Messages(target), len(groups))
	})
}

// What fails holds up what is behind it in its group, and nothing else.
func TestAFailureHoldsUpItsGroup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"=.data.group"`)
		r.fail(awstest.Fault{Entries: map[int]awstest.Entry{0: {Code: "InternalError", Text: "try again"}}})
		b := batch(1, "a", "b", "a", "b", "a")
		got := failed(t, b, send(t, s, b))
		require.Len(t, got, 3)
		require.EqualError(t, got[0], r.name+": InternalError: try again")
		require.False(t, sink.IsRefused(got[0]))
		require.Equal(t, broker.ErrWaits, got[2])
		require.Equal(t, broker.ErrWaits, got[4])
		require.Equal(t, []string{string(b.Events[1].JSON), string(b.Events[3].JSON)}, r.bodies(target))
	})
}

// A FIFO target has a message once whose answer was lost, for as long as it remembers.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"all"`)
		b := batch(1, "a")
		lost := awstest.Fault{Lose: true}
		r.fail(lost, lost) // the call and its repetition
		require.Error(t, send(t, s, b))
		r.aws.Advance(4 * time.Minute) // and the machine may take a while
		require.NoError(t, send(t, s, b))
		require.Len(t, r.aws.Messages(target), 1)

		r.aws.Advance(5 * time.Minute)
		require.NoError(t, send(t, s, b))
		kept := r.aws.Messages(target)
		require.Len(t, kept, 2, "it has forgotten")
		require.Equal(t, kept[0].Attributes[broker.HeaderID], kept[1].Attributes[broker.HeaderID], "its consumer can still tell")
		require.Equal(t, b.Events[0].DedupID(), kept[0].DedupID)
	})
}

// A connection that was kept and is closed meanwhile costs nothing.
func TestABrokenConnectionIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		r.fail(awstest.Fault{Cut: true})
		require.NoError(t, send(t, s, batch(1, "a")))
		r.fail(awstest.Fault{Cut: true}, awstest.Fault{Cut: true})
		err := send(t, s, batch(2, "a"))
		require.ErrorContains(t, err, "EOF")
		require.False(t, sink.IsRefused(err))
		require.Len(t, r.aws.Messages(target), 1)
	})
}

// A batch that is given up is over when done is called: nothing of it is sent behind that.
func TestVoidWithinABatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"all"`)
		ctx, cancel := context.WithCancel(t.Context())
		r.aws.On(func(over context.Context, c *awstest.Call) awstest.Fault {
			if c.Action == r.send && len(r.aws.Calls(r.send)) == 3 {
				cancel()
				<-over.Done()
				return awstest.Fault{Cut: true}
			}
			return awstest.Fault{}
		})
		b := batch(1, "a", "a", "a", "a", "a")
		require.ErrorIs(t, sendWith(ctx, t, s, b), context.Canceled)
		require.Len(t, r.aws.Calls(r.send), 3)
		r.aws.On(nil)
		require.NoError(t, send(t, s, b))
		var want []string
		for _, e := range b.Events {
			want = append(want, string(e.JSON))
		}
		require.Equal(t, want, r.bodies(target), "once each")
	})
}

// Calls of a standard target go at the same time, but not all of them.
func TestCallsAtTheSameTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		var now atomic.Int64
		four := make(chan struct{})
		all := sync.OnceFunc(func() { time.AfterFunc(100*time.Millisecond, func() { close(four) }) }) // a fifth has time to come
		r.aws.On(func(ctx context.Context, c *awstest.Call) awstest.Fault {
			if c.Action != r.send {
				return awstest.Fault{}
			}
			defer now.Add(-1)
			switch n := now.Add(1); {
			case n == 4:
				all()
			case n > 4:
				return awstest.Fault{Code: "TooMany"}
			}
			select {
			case <-four:
			case <-ctx.Done():
			}
			return awstest.Fault{}
		})
		require.NoError(t, send(t, s, batch(1, make([]string, 80)...)))
		require.Len(t, r.aws.Messages(target), 80)
	})
}
