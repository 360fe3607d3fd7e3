package confirm_test

import (
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
)

// panicky is a chain over whose calls the connector panics the first time each, and Blocks once more after a block.
type panicky struct {
	*chain
	mu   sync.Mutex
	seen map[string]bool
}

func (p *panicky) first(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seen[call] {
		p.seen[call] = true
		panic(call)
	}
}

func (p *panicky) Ledger(ctx context.Context, name string) (*ffcapi.Ledger, error) {
	p.first("Ledger")
	return p.chain.Ledger(ctx, name)
}

func (p *panicky) Block(ctx context.Context, ledger string, number uint64) (*ffcapi.Block, error) {
	p.first("Block")
	return p.chain.Block(ctx, ledger, number)
}

func (p *panicky) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	p.first("Receipt")
	return p.chain.Receipt(ctx, q)
}

func (p *panicky) Blocks(ctx context.Context, ledger string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	p.first("Blocks")
	return func(yield func(*ffcapi.Block, error) bool) {
		for b, err := range p.chain.Blocks(ctx, ledger, after) {
			if !yield(b, err) {
				return
			}
			p.first("in Blocks")
		}
	}
}

// A connector that panics delays the following of its ledger, and nothing else.
func TestConnectorThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 30)
		c.noOutcomes = true
		p := &panicky{chain: c, seen: map[string]bool{}}
		b := start(t, c, newLedgers(), func(o *confirm.Options) { o.Connector, o.Required = p, 3 })
		b.ready()
		b.s.track("a")
		ref := c.mine("a")
		c.grow(3)
		settle(time.Minute)
		require.Equal(t, ref, b.s.outcome("a").Block)
		require.True(t, b.s.outcome("a").Final)
		require.Len(t, p.seen, 5, "all of them panicked")
	})
}
