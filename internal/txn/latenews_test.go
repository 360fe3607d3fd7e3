package txn_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// latecomer is a race of which the manager hears only when hear is called, and which transactions find out by themselves, because their sends are
// refused and tried again.
func latecomer(t *testing.T) (r *rig, reg *register, hear func()) {
	t.Helper()
	heard := make(chan struct{})
	open := sync.OnceFunc(func() { close(heard) })
	r, reg = race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) { o.OnStatus = func([]store.StatusEntry) { <-heard } }})
	t.Cleanup(open)
	reg.rude = true
	return r, reg, func() {
		open()
		head, err := r.store.StatusHead(t.Context())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.Consumed() >= head }, wait, tick)
	}
}

// sent submits transactions that want one key, in order. When it returns, all are sent, and nothing is known of their sends.
func (r *rig) sent(reg *register, ids ...string) {
	r.t.Helper()
	for i, id := range ids {
		r.submit(changing(id, "k"))
		reg.pooled(r.t, i+1)
		r.until(id, store.SubUnknownOutcome)
	}
}

// inLine waits until so many wait for their turn.
func (r *rig) inLine(n int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.Load().InLine == n }, wait, tick)
}

// keepsItsTurn checks that what is heard does not end the turn of b, which a newcomer waits for. lost is how many races are lost in all.
func (r *rig) keepsItsTurn(reg *register, hear func(), lost int) {
	r.t.Helper()
	r.until("b", store.SubUnknownOutcome)
	r.submit(changing("d", "k"))
	r.inLine(1)
	hear()
	r.inLine(1)
	reg.pooled(r.t, 1)
	r.chain(reg, "a", "b", "d")
	r.succeeded("a", "b", "d")
	require.Equal(r.t, lost, r.lost("a", "b", "d"))
}

// TestLateNewsOfALostRace: who has joined the line because of it keeps his place.
func TestLateNewsOfALostRace(t *testing.T) {
	t.Parallel()
	r, reg, hear := latecomer(t)
	ids := []string{"a", "b", "c", "d"}
	r.sent(reg, ids...)
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1)
	r.inLine(len(ids) - 2)
	hear()
	r.chain(reg, ids...)
	r.succeeded(ids...)
	require.Equal(t, len(ids)-1, r.lost(ids...), "nobody lost in his turn")
}

// TestLateNewsOfTheRaceBefore: who has lost another one since is in its place because of that.
func TestLateNewsOfTheRaceBefore(t *testing.T) {
	t.Parallel()
	r, reg, hear := latecomer(t)
	r.sent(reg, "a", "b")
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1) // what b was prepared afresh
	reg.set(func() { reg.versions["k"]++ })
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1) // and once more
	r.keepsItsTurn(reg, hear, 2)
}

// TestLateNewsOfANewcomer: what was resumed before it was ever sent keeps its place in the line.
func TestLateNewsOfANewcomer(t *testing.T) {
	t.Parallel()
	r, reg, hear := latecomer(t)
	r.sent(reg, "a", "b")
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1) // b has its turn
	r.submit(changing("c", "k"))
	r.inLine(1)
	_, err := r.SuspendTransaction(t.Context(), "c")
	require.NoError(t, err)
	r.inLine(0)
	_, err = r.ResumeTransaction(t.Context(), "c")
	require.NoError(t, err)
	r.inLine(1)
	r.submit(changing("d", "k"))
	r.inLine(2)
	hear()
	r.inLine(2)
	r.chain(reg, "a", "b", "c", "d")
	r.succeeded("a", "b", "c", "d")
	var order []string
	for _, s := range r.fake.sends() {
		if name, _, _ := strings.Cut(s.payload, "#"); (name == "c" || name == "d") && !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	require.Equal(t, []string{"c", "d"}, order)
}

// TestLateNewsOfASuspension: what was resumed and has its turn since goes on with it.
func TestLateNewsOfASuspension(t *testing.T) {
	t.Parallel()
	r, reg, hear := latecomer(t)
	r.sent(reg, "a", "b")
	_, err := r.SuspendTransaction(t.Context(), "b")
	require.NoError(t, err)
	_, err = r.ResumeTransaction(t.Context(), "b")
	require.NoError(t, err)
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1)
	r.keepsItsTurn(reg, hear, 1)
}
