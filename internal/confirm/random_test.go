package confirm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestRandomHistories lets chains grow and reorganise above their final blocks while connections break, nodes lag, the store fails and the
// engine restarts. In the end every outcome is the one of the canonical chain.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				newHistory(t, seed).play()
			})
		})
	}
}

type history struct {
	t        *testing.T
	rnd      *rand.Rand
	c        *chain
	s        *ledgers
	b        *bed
	change   func(*confirm.Options)
	required int
	top      int      // highest head there ever was
	began    int      // blocks after this one count
	depths   []int    // other numbers of confirmations
	pool     []string // tracked and not on the chain
	tracked  []string
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), s: newLedgers()}
	h.required = h.rnd.IntN(6)
	finality := ffcapi.Confirmations
	if h.rnd.IntN(4) == 0 {
		finality, h.required = ffcapi.Instant, 0
	}
	h.c = newChain(finality, 1+h.rnd.IntN(20))
	h.c.noOutcomes = h.rnd.IntN(3) == 0
	h.c.receipts, h.c.foreign = map[string]int{}, map[string]int{}
	h.change = required(h.required)
	h.depths = []int{0, h.rnd.IntN(6), h.rnd.IntN(20)}
	return h
}

func (h *history) play() {
	h.began, h.top = len(h.c.blocks)-1, len(h.c.blocks)-1
	h.b = start(h.t, h.c, h.s, h.change)
	h.b.ready()
	steps := []func(){h.look, h.mine, h.mine, h.mine, h.replace, h.replace, h.trouble, h.trouble, h.restart, h.wait, h.wait}
	for range 60 {
		steps[h.rnd.IntN(len(steps))]()
		h.top = max(h.top, len(h.c.blocks)-1)
		if h.rnd.IntN(2) == 0 {
			synctest.Wait()
		}
	}
	h.finish()
}

func (h *history) some() []string {
	if h.rnd.IntN(2) == 0 {
		hash := fmt.Sprintf("t%d", len(h.tracked))
		h.s.track(hash)
		if n := h.rnd.IntN(12); n < 8 {
			h.s.want(hash, n)
		}
		h.tracked, h.pool = append(h.tracked, hash), append(h.pool, hash)
	}
	var out []string
	for len(h.pool) > 0 && h.rnd.IntN(3) > 0 {
		i := h.rnd.IntN(len(h.pool))
		hash := h.pool[i]
		h.pool = append(h.pool[:i], h.pool[i+1:]...)
		missing, foreign := h.rnd.IntN(3), h.rnd.IntN(3)
		h.c.set(func() { h.c.receipts[hash], h.c.foreign[hash] = missing, foreign })
		if h.rnd.IntN(3) == 0 {
			hash += "!"
		}
		out = append(out, hash)
	}
	return append(out, fmt.Sprintf("foreign%d", h.rnd.Int()))
}

func (h *history) mine() {
	for range 1 + h.rnd.IntN(3) {
		h.c.mine(h.some()...)
	}
}

// replace reorganises above the highest block that can have been final.
func (h *history) replace() {
	depth := len(h.c.blocks) - 1 - max(h.top-h.required, h.began)
	for n, b := range h.c.blocks {
		for _, tx := range b.Transactions {
			if own, ok := h.s.own[tx.Hash]; ok && n+own <= h.top {
				depth = min(depth, len(h.c.blocks)-1-n) // the transaction may have ended
			}
		}
	}
	if h.c.finality == ffcapi.Instant || depth <= 0 {
		return
	}
	depth = 1 + h.rnd.IntN(depth)
	for _, b := range h.c.blocks[len(h.c.blocks)-depth:] {
		for _, tx := range b.Transactions {
			if tx.Hash[0] == 't' {
				h.pool = append(h.pool, tx.Hash)
			}
		}
	}
	blocks := make([][]string, 1+h.rnd.IntN(depth+2))
	for i := range blocks {
		blocks[i] = h.some()
	}
	h.c.replace(depth, blocks...)
}

func (h *history) trouble() {
	switch h.rnd.IntN(7) {
	case 0:
		h.c.set(func() { h.c.broken++ })
	case 1:
		h.c.set(func() { h.c.mute++; h.c.broken++ })
	case 2:
		h.c.set(func() { h.c.headsOnly = !h.c.headsOnly })
	case 3:
		h.c.set(func() { h.c.lag = h.rnd.IntN(5) })
	case 4:
		h.c.set(func() { h.c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		h.wait()
		h.c.set(func() { h.c.down = nil })
	case 5:
		h.s.fail(failure{err: store.ErrUnavailable, done: h.rnd.IntN(2) == 0})
	case 6:
		h.s.fail(failure{err: store.ErrFull}, failure{err: store.ErrConflict})
	}
}

func (h *history) restart() {
	h.b.stop()
	h.b = start(h.t, h.c, h.s, h.change)
	h.b.Follow("")
}

// look asks for the safe heads that differ, as streams do after each start.
func (h *history) look() {
	for _, n := range h.depths {
		h.b.safeAt(n)
	}
}

func (h *history) wait() { settle(time.Duration(h.rnd.IntN(20_000)) * time.Millisecond) }

func (h *history) finish() {
	h.c.set(func() { h.c.broken, h.c.mute, h.c.lag = 0, 0, 0 })
	for range h.top - len(h.c.blocks) + h.required + 3 {
		h.c.grow(1)
		settle(time.Second)
	}
	h.look()
	settle(3 * time.Minute)
	require.NoError(h.t, h.b.Failed(""))
	require.Equal(h.t, h.c.at(-1-h.required), h.b.safe())
	for _, n := range h.depths {
		if h.c.finality == ffcapi.Instant {
			n = 0
		}
		require.Equal(h.t, h.c.at(max(0, len(h.c.blocks)-1-n)), h.b.safeAt(n), "with %d confirmations", n)
	}

	want := map[string]*store.Outcome{}
	for _, b := range h.c.blocks[h.began+1:] {
		for _, tx := range b.Transactions {
			o := &store.Outcome{Block: b.BlockRef, Index: tx.Index, Success: tx.Success}
			needs := h.required
			if n, own := h.s.own[tx.Hash]; own && h.c.finality == ffcapi.Confirmations {
				o.Required, needs = &n, n
			}
			o.Final = int(b.Number) < len(h.c.blocks)-needs
			want[tx.Hash] = o
		}
	}
	for _, hash := range h.tracked {
		require.Equal(h.t, want[hash], h.s.outcome(hash), hash)
	}
	at := ffcapi.BlockRef{}
	for _, w := range h.s.written() {
		if !at.IsZero() {
			require.Equal(h.t, at, w.From)
		}
		at = w.To
	}
}
