package chainview_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
)

func TestBlockWithoutHash(t *testing.T) {
	t.Parallel()
	v := chainview.New(chainview.Config{}, ffcapi.BlockRef{Number: 1, Hash: "1"})
	require.IsType(t, chainview.Broken{}, v.Step(&ffcapi.Block{BlockRef: ffcapi.BlockRef{Number: 2}, ParentHash: "1"}))
}

func TestRetainsTwiceTheConfirmations(t *testing.T) {
	t.Parallel()
	for required, retained := range map[uint64]uint64{0: 128, 64: 128, 100: 200} {
		v := chainview.New(chainview.Config{Required: required}, ffcapi.BlockRef{})
		for n := range uint64(1000) {
			b := &ffcapi.Block{BlockRef: ffcapi.BlockRef{Number: n, Hash: fmt.Sprint(n)}, ParentHash: fmt.Sprint(n - 1)}
			require.Equal(t, chainview.Extended{}, v.Step(b))
			for _, back := range []uint64{n, n - min(n, retained-1)} {
				hash, known := v.Canonical(back)
				require.True(t, known, "block %d at head %d", back, n)
				require.Equal(t, fmt.Sprint(back), hash)
			}
		}
	}
}

// node is an honest node: one canonical chain, that may be replaced from any height on.
type node struct {
	chain []ffcapi.BlockRef // by number
	made  int
}

func (n *node) grow(blocks int) {
	for range blocks {
		n.made++
		n.chain = append(n.chain, ffcapi.BlockRef{Number: uint64(len(n.chain)), Hash: fmt.Sprintf("%d-%d", len(n.chain), n.made)})
	}
}

func (n *node) block(number uint64) *ffcapi.Block {
	b := &ffcapi.Block{BlockRef: n.chain[number]}
	if number > 0 {
		b.ParentHash = n.chain[number-1].Hash
	}
	return b
}

// dumb knows each canonical chain that the view ever had, and computes everything from that list.
type dumb struct {
	required int
	chains   [][]ffcapi.BlockRef // from block 0; what lies below the view's base is filled in
}

func (d *dumb) now() []ffcapi.BlockRef { return d.chains[len(d.chains)-1] }

// safe goes through all chains: the highest block with enough others on it, and back to the fork when one is replaced.
func (d *dumb) safe() int {
	safe := -1
	for i, c := range d.chains {
		for safe >= 0 && (safe >= len(c) || d.chains[i-1][safe] != c[safe]) {
			safe--
		}
		safe = max(safe, len(c)-1-d.required)
	}
	return safe
}

// assume rewrites the past: up to its end, this branch was always canonical.
func (d *dumb) assume(branch []ffcapi.BlockRef) {
	for i, c := range d.chains {
		n := min(len(c), len(branch))
		d.chains[i] = append(slices.Clone(branch[:n]), c[n:]...)
	}
}

// TestModel lets a node grow and reorganise while a reader shows its blocks in any order and repetition, and compares the view with
// the dumb model after each block.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := chainview.Config{Required: rapid.Uint64Range(0, 4).Draw(t, "required"), Retain: rapid.IntRange(5, 12).Draw(t, "retain")}
		n := &node{}
		n.grow(rapid.IntRange(1, 40).Draw(t, "history"))
		m := &modelRun{t: t, n: n, cfg: cfg, dumb: dumb{required: int(cfg.Required)}}
		if from := rapid.IntRange(-1, len(n.chain)-1).Draw(t, "base"); from >= 0 {
			m.base, m.low = from, from
			m.view = chainview.New(cfg, n.chain[from])
			m.dumb.chains = [][]ffcapi.BlockRef{n.chain[: from+1 : from+1]}
		} else {
			m.view = chainview.New(cfg, ffcapi.BlockRef{})
			m.dumb.chains = [][]ffcapi.BlockRef{nil}
		}
		t.Repeat(map[string]func(*rapid.T){
			"grow": func(t *rapid.T) { n.grow(rapid.IntRange(1, 30).Draw(t, "blocks")) },
			"reorganise": func(t *rapid.T) {
				depth := rapid.IntRange(1, len(n.chain)).Draw(t, "depth")
				n.chain = n.chain[:max(1, len(n.chain)-depth):max(1, len(n.chain)-depth)]
				n.grow(rapid.IntRange(1, depth+2).Draw(t, "blocks"))
			},
			"show one": func(t *rapid.T) { m.show(uint64(rapid.IntRange(0, len(n.chain)-1).Draw(t, "number"))) },
			"head":     func(t *rapid.T) { m.show(uint64(len(n.chain) - 1)) },
			"settle":   func(*rapid.T) { m.settle() },
		})
		m.settle()
	})
}

type modelRun struct {
	t    *rapid.T
	n    *node
	cfg  chainview.Config
	view *chainview.View
	dumb dumb
	base int // where the view began, or the lowest fork it assumed since
	low  int // lowest number that the view must still know if it is near the head
	top  int // highest head the view ever had
}

// show gives a block to the view, and those it then asks for. It returns what the last one did.
func (m *modelRun) show(number uint64) chainview.Effect {
	for reads := 0; ; reads++ {
		require.Less(m.t, reads, 200, "the search for a fork ends")
		b := m.n.block(number)
		e := m.view.Step(b)
		m.follow(b, e)
		m.check()
		fetch, ok := e.(chainview.Fetch)
		if !ok {
			return e
		}
		number = fetch.Number
		if number >= uint64(len(m.n.chain)) {
			return e // the node has no such block any more: the reader starts again
		}
	}
}

// follow writes down the chain that the view's effect stands for.
func (m *modelRun) follow(b *ffcapi.Block, e chainview.Effect) {
	old := m.dumb.now()
	branch := m.n.chain[: b.Number+1 : b.Number+1]
	switch e := e.(type) {
	case chainview.Extended:
		require.Len(m.t, old, int(b.Number))
		m.dumb.chains = append(m.dumb.chains, branch)
	case chainview.Reorganised:
		common := 0
		for common < len(old) && common < len(m.n.chain) && old[common] == m.n.chain[common] {
			common++
		}
		real := common - 1
		require.Contains(m.t, []uint64{e.Fork, e.Fork + 1}, b.Number)
		if _, known := m.view.Canonical(e.Fork); int(e.Fork) > real {
			// Only a fork that was assumed below everything known may be too high.
			require.Equal(m.t, b.Number, e.Fork)
			require.LessOrEqual(m.t, int(e.Fork), max(0, m.base-m.cfg.Retain))
			require.True(m.t, known)
			m.dumb.assume(branch)
			old = m.dumb.now()
		}
		if b.Number == e.Fork+1 {
			require.Equal(m.t, real, int(e.Fork), "a fork that was found is the real one")
		} else {
			m.base, m.low = min(m.base, int(e.Fork)), int(e.Fork)
			// The old branch counts up to the assumed fork only.
			m.dumb.chains = append(m.dumb.chains, old[:min(len(old), int(e.Fork)+1):min(len(old), int(e.Fork)+1)])
		}
		m.low = min(m.low, int(e.Fork))
		m.dumb.chains = append(m.dumb.chains, branch)
	case chainview.Gap:
		require.Equal(m.t, len(old), int(e.From))
	case chainview.Broken:
		require.Fail(m.t, "an honest node broke the view", e.Reason)
	}
}

func (m *modelRun) check() {
	chain := m.dumb.now()
	if len(chain) == 0 {
		require.True(m.t, m.view.Head().IsZero())
		return
	}
	require.Equal(m.t, chain[len(chain)-1], m.view.Head())
	m.top = max(m.top, len(chain)-1)
	for i, ref := range chain {
		hash, known := m.view.Canonical(uint64(i))
		if known {
			require.Equal(m.t, ref.Hash, hash)
		} else {
			near := i > m.top-m.cfg.Retain && i >= m.low
			require.False(m.t, near, "block %d is forgotten at head %d, low %d", i, len(chain)-1, m.low)
		}
	}
	_, known := m.view.Canonical(uint64(len(chain)))
	require.False(m.t, known)

	for n := range uint64(8) {
		at, ok := m.view.At(n)
		if ideal := len(chain) - 1 - int(n); ok {
			require.Equal(m.t, chain[at.Number], at)
			require.LessOrEqual(m.t, int(at.Number), max(ideal, m.dumb.safe()))
			require.True(m.t, int(at.Number) >= ideal || ideal < m.low || ideal <= m.top-m.cfg.Retain, "block %d with %d confirmations", at.Number, n)
		} else {
			require.True(m.t, ideal < m.low || ideal <= m.top-m.cfg.Retain)
		}
	}
	safe, ok := m.view.Safe()
	want := m.dumb.safe()
	switch {
	case ok:
		require.Equal(m.t, want, int(safe.Number))
		require.Equal(m.t, chain[want], safe)
	default:
		require.Less(m.t, len(chain)-1-m.dumb.required, m.low, "a block the view knows is final")
	}
}

// settle walks like a reader that continues after the view's head, until the view has the node's head. A chain that became much
// shorter cannot be told from a node that lags: it shows when it has grown.
func (m *modelRun) settle() {
	for steps := 0; m.view.Head() != m.n.chain[len(m.n.chain)-1]; steps++ {
		require.Less(m.t, steps, 1000, "the walk ends")
		next := min(m.view.Head().Number+1, uint64(len(m.n.chain)-1))
		if m.view.Head().IsZero() {
			next = 0
		}
		if e := m.show(next); e == (chainview.Repeated{}) && next == uint64(len(m.n.chain)-1) {
			m.n.grow(1)
		}
	}
}
