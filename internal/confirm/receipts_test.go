package confirm_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/store"
)

// mistaken is a node that names another block for a transaction, as often as it is told to.
type mistaken struct {
	*chain

	mu    sync.Mutex
	says  ffcapi.BlockRef
	times int
}

func (m *mistaken) say(block ffcapi.BlockRef, times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.says, m.times = block, times
}

func (m *mistaken) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	r, err := m.chain.Receipt(ctx, q)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && takeOne(&m.times) {
		r.Block = m.says
	}
	return r, err
}

// found returns the blocks of which the store was given outcomes, also such as it had no use for.
func (l *ledgers) found() (blocks []ffcapi.BlockRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.given {
		for _, b := range a.Blocks {
			blocks = append(blocks, b.Block)
		}
	}
	return blocks
}

// TestReceiptOfAnEarlierBlock: the first occurrence counts. Where a later block lists a transaction again, its receipt is an answer and no
// outcome of that block, whether the earlier block is final yet or not.
func TestReceiptOfAnEarlierBlock(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		finality ffcapi.Finality
		between  int
		final    bool
	}{
		"final at once":  {ffcapi.Instant, 0, true},
		"not final yet":  {ffcapi.Confirmations, 1, false},
		"final by depth": {ffcapi.Confirmations, 8, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newChain(tc.finality, 20)
				c.noOutcomes = true
				b := start(t, c, newLedgers(), required(5))
				b.ready()
				b.s.track("a")
				first := c.mine("a")
				synctest.Wait()
				c.grow(tc.between)
				again := c.mine("x", "a!")
				settle(11 * time.Second)
				require.Equal(t, &store.Outcome{Block: first, Success: true, Final: tc.final}, b.s.outcome("a"))
				require.Equal(t, []ffcapi.BlockRef{first}, b.s.found(), "the later block has no outcome")
				require.Equal(t, 2, c.asked, "each time it was listed, once")
				require.Equal(t, again, b.s.position(), "nothing is left to be asked for")
			})
		})
	}
}

// TestReceiptOfAnotherBlock: a receipt is an answer only if it is of the block that lists the transaction, or of an earlier canonical one.
func TestReceiptOfAnotherBlock(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]func(c *chain, at ffcapi.BlockRef) ffcapi.BlockRef{
		"later":                  func(c *chain, at ffcapi.BlockRef) ffcapi.BlockRef { return c.at(int(at.Number) + 2) },
		"earlier, not canonical": func(*chain, ffcapi.BlockRef) ffcapi.BlockRef { return ffcapi.BlockRef{Number: 17, Hash: "elsewhere"} },
		"in its place": func(_ *chain, at ffcapi.BlockRef) ffcapi.BlockRef {
			return ffcapi.BlockRef{Number: at.Number, Hash: "elsewhere"}
		},
		"above all that was seen":    func(*chain, ffcapi.BlockRef) ffcapi.BlockRef { return ffcapi.BlockRef{Number: 900, Hash: "elsewhere"} },
		"below all that is retained": func(*chain, ffcapi.BlockRef) ffcapi.BlockRef { return ffcapi.BlockRef{Number: 3, Hash: "elsewhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newChain(ffcapi.Confirmations, 20)
				c.noOutcomes = true
				c.stuck = map[string]bool{"a": true}
				m := &mistaken{chain: c}
				b := start(t, c, newLedgers(), func(o *confirm.Options) { o.Connector, o.Required = m, 5 })
				b.ready()
				b.s.track("a")
				at := c.mine("a")
				c.grow(3)
				synctest.Wait()
				m.say(says(c, at), 3)
				c.set(func() { c.stuck = nil }) // the blocks above it are known by now
				settle(time.Minute)
				require.Greater(t, c.asked, 4, "it was asked again")
				require.Equal(t, &store.Outcome{Block: at, Success: true}, b.s.outcome("a"))
				require.Equal(t, c.head(), b.s.position())
			})
		})
	}
}

// TestReceiptOfABlockThatIsNoLongerRetained: the first occurrence is so deep that only the node still knows its block. The later one is passed.
func TestReceiptOfABlockThatIsNoLongerRetained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 20)
		c.noOutcomes = true
		m := &mistaken{chain: c}
		b := start(t, c, newLedgers(), func(o *confirm.Options) { o.Connector, o.Required = m, 5 })
		b.ready()
		b.s.track("a")
		m.say(c.at(3), 1000)
		c.mine("a")
		c.grow(3)
		settle(time.Minute)
		require.Equal(t, c.head(), b.s.position())
		require.Empty(t, b.s.found())
		require.Equal(t, 1, c.asked)
	})
}

// TestAReceiptKeepsWhatTheBlockListed: whose nonce was used is said by the block alone, and the outcome is stored with it.
func TestAReceiptKeepsWhatTheBlockListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 20)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), required(5))
		b.ready()
		b.s.track("a")
		nonce := uint64(7)
		c.set(func() { c.add(ffcapi.TxOutcome{Hash: "a", From: "alice", Nonce: &nonce, Success: true}) })
		settle(11 * time.Second)
		require.Equal(t, 1, c.asked)
		require.NotNil(t, b.s.outcome("a"))
		b.s.mu.Lock()
		defer b.s.mu.Unlock()
		var stored []ffcapi.TxOutcome
		for _, a := range b.s.given {
			for _, block := range a.Blocks {
				stored = append(stored, block.Outcomes...)
			}
		}
		require.Equal(t, []ffcapi.TxOutcome{{Hash: "a", From: "alice", Nonce: &nonce, Success: true}}, stored)
	})
}
