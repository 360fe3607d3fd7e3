package confirm_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/store"
)

// unready is a store that does not take a first position until it is opened.
type unready struct {
	*ledgers

	meanwhile func(ctx context.Context) error // what a write does until then
	opened    chan struct{}
	tries     atomic.Int64
}

func (u *unready) UseLedger(ctx context.Context, f store.Fence, s store.LedgerState) (*store.LedgerState, error) {
	u.tries.Add(1)
	select {
	case <-u.opened:
		return u.ledgers.UseLedger(ctx, f, s)
	default:
		return nil, u.meanwhile(ctx)
	}
}

// TestReadyWaitsForTheStore: a position is chosen at once, and nothing may be submitted before it is stored.
func TestReadyWaitsForTheStore(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(context.Context) error{
		"does not answer": func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		},
		"unavailable": func(context.Context) error { return store.ErrUnavailable },
		"full":        func(context.Context) error { return store.ErrFull },
		"refuses":     func(context.Context) error { return errors.New("database is confused") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedgers()
				u := &unready{ledgers: l, meanwhile: meanwhile, opened: make(chan struct{})}
				b := start(t, newChain(ffcapi.Instant, 10), l, func(o *confirm.Options) { o.Store = u })
				ready := make(chan error, 1)
				go func() { ready <- b.Ready(t.Context(), "") }()
				for range 3 {
					settle(time.Minute)
					require.Empty(t, ready, "no position is stored")
					require.Zero(t, l.position())
					b.c.grow(1)
				}
				require.Greater(t, u.tries.Load(), int64(1), "it is tried again")
				require.NoError(t, b.Failed(""))

				close(u.opened)
				require.NoError(t, <-ready)
				at := l.position()
				require.False(t, at.IsZero())
				l.track("a")
				ref := b.c.mine("a")
				settle(time.Second)
				require.Less(t, at.Number, ref.Number)
				require.Equal(t, ref, l.outcome("a").Block)
			})
		})
	}
}
