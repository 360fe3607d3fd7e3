package txn_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// contest has two transactions lose a race. One of them is in its turn and sent again, the other one waits for it.
func contest(t *testing.T) (r *rig, reg *register, first, second string) {
	t.Helper()
	r, reg = race(t, fabric.DefaultConfig(), setup{})
	first, second = r.contest(reg)
	return r, reg, first, second
}

func (r *rig) contest(reg *register) (first, second string) {
	r.t.Helper()
	for _, id := range []string{"a", "b", "c"} {
		r.submit(changing(id, "k"))
	}
	reg.pooled(r.t, 3)
	r.view.block(0, reg.block()...)
	reg.pooled(r.t, 1)
	require.Eventually(r.t, func() bool {
		for _, id := range []string{"a", "b", "c"} {
			tx, err := r.Transaction(r.t.Context(), id, false)
			require.NoError(r.t, err)
			if tx.BlockedBy != "" {
				first, second = tx.BlockedBy, id
				return true
			}
		}
		return false
	}, wait, tick, "nobody waits")
	return first, second
}

// pausing has another engine decide, and shows what it decides to a test before anybody else sees it.
type pausing struct {
	policy.Engine
	decided func(policy.View, policy.Decision)
}

func (p pausing) Decide(v policy.View) policy.Decision {
	d := p.Engine.Decide(v)
	p.decided(v, d)
	return d
}

// untilTold waits until the manager knows what a transaction has become.
func (r *rig) untilTold(id string, status store.TxStatus) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.statuses, func(e store.StatusEntry) bool {
			return e.TxID == id && e.Status == status && r.Consumed() >= e.Seq
		})
	}, wait, tick, "nobody hears that %s is %s", id, status)
}

// TestTurnOfOneThatIsWantedNoMore: it was cancelled, or suspended, while the engine was deciding to have it prepared afresh. Nobody waits for it.
func TestTurnOfOneThatIsWantedNoMore(t *testing.T) {
	t.Parallel()
	for _, status := range []store.TxStatus{store.Failed, store.Suspended} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			deciding, decided := make(chan struct{}), make(chan struct{})
			var once sync.Once
			r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) {
				o.KeyTurn = time.Hour
				o.Policy = pausing{o.Policy, func(v policy.View, d policy.Decision) {
					if v.Tx.ID == "b" && d.Do == policy.Prepare {
						once.Do(func() { close(deciding); <-decided })
					}
				}}
			}})
			r.submit(changing("a", "k"))
			reg.pooled(t, 1)
			r.submit(changing("b", "k"))
			reg.pooled(t, 2)
			r.view.block(0, reg.block()...)
			<-deciding
			var err error
			if status == store.Failed {
				_, err = r.CancelTransaction(t.Context(), "b")
			} else {
				_, err = r.SuspendTransaction(t.Context(), "b")
			}
			require.NoError(t, err)
			r.untilTold("b", status)
			close(decided)
			r.submit(changing("c", "k"))
			reg.pooled(t, 1)
			r.chain(reg, "c")
			r.succeeded("a", "c")
		})
	}
}

// change changes a transaction whose keys stay the same.
func (r *rig) change(id string) {
	r.t.Helper()
	_, err := r.UpdateTransaction(r.t.Context(), id, &apitypes.TransactionUpdate{Gas: fftypes.NewFFBigInt(5)})
	require.NoError(r.t, err)
}

// TestChangedInLine: what a change was prepared of was read too early, like what it replaces.
func TestChangedInLine(t *testing.T) {
	t.Parallel()
	r, reg, _, second := contest(t)
	r.change(second)
	r.chain(reg, "a", "b", "c")
	r.succeeded("a", "b", "c")
	require.Equal(t, 2, r.lost("a", "b", "c"))
}

// TestTurnThatComesWhileTheEngineDecides: it did not know that what it sends is outdated.
func TestTurnThatComesWhileTheEngineDecides(t *testing.T) {
	t.Parallel()
	deciding, decided := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var watched atomic.Value
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) {
		o.Policy = pausing{o.Policy, func(v policy.View, d policy.Decision) {
			if v.Tx.ID == watched.Load() && v.Tx.Attempt == 2 && d.Do == policy.Submit {
				once.Do(func() { close(deciding); <-decided })
			}
		}}
	}})
	first, second := r.contest(reg)
	watched.Store(second)
	r.change(second)
	<-deciding
	r.view.block(0, reg.block()...)
	r.untilTold(first, store.Succeeded)
	close(decided)
	r.chain(reg, second)
	r.succeeded("a", "b", "c")
	require.Equal(t, 2, r.lost("a", "b", "c"))
}

// crowded is a contest of two while the only worker is busy, and d and e are to be sent as well. next lets the worker go on, and returns whose the next
// three sends are.
func crowded(t *testing.T, s setup) (r *rig, reg *register, first, second string, next func() []string) {
	t.Helper()
	gate := make(chan struct{})
	more := s.opts
	s.opts = func(o *txn.Options) {
		o.Workers = 1
		if more != nil {
			more(o)
		}
	}
	r, reg = race(t, fabric.DefaultConfig(), s)
	r.fake.onSubmit = func(ctx context.Context, sub *ffcapi.Submission, n int) error {
		if strings.HasPrefix(string(sub.Prepared.Payload), "busy#") {
			<-gate
		}
		return reg.submit(ctx, sub, n)
	}
	first, second = r.contest(reg)
	sent := len(r.fake.sends()) + 1
	r.submit(changing("busy", "other"))
	r.untilSent(sent)
	r.submit(changing("d", "d"))
	r.submit(changing("e", "e"))
	return r, reg, first, second, func() (names []string) {
		close(gate)
		for _, s := range r.untilSent(sent + 3)[sent:] {
			name, _, _ := strings.Cut(s.payload, "#")
			names = append(names, name)
		}
		return names
	}
}

// TestTurnsGoFirst: however much there is to be sent, those whose turn has come need not stand in another line. Their turn would be over before they
// are through.
func TestTurnsGoFirst(t *testing.T) {
	t.Parallel()
	r, reg, first, second, next := crowded(t, setup{})
	r.view.block(0, reg.block()...)
	r.untilTold(first, store.Succeeded)
	require.Equal(t, []string{second, "d", "e"}, next())
}
