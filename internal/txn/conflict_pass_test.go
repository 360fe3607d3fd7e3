package txn_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestTurnOfOneWithoutAKeyNow: it lost over a key, and what it has prepared since has none. Nobody waits for it.
func TestTurnOfOneWithoutAKeyNow(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) { o.KeyTurn = time.Hour }})
	ids := r.rivals(reg, 3)
	reg.set(func() { reg.keyless = true })
	r.view.block(0, reg.block()...)
	reg.pooled(t, len(ids)-1)
	r.chain(reg, ids...)
	r.succeeded(ids...)
}

// TestTurnOfASuspendedOneIsPassedOnAtOnce, and not only when a worker comes to see that it is suspended, behind all that is to be sent.
func TestTurnOfASuspendedOneIsPassedOnAtOnce(t *testing.T) {
	t.Parallel()
	r, _, first, second, next := crowded(t, setup{opts: func(o *txn.Options) { o.KeyTurn = time.Hour }})
	_, err := r.SuspendTransaction(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, []string{second, "d", "e"}, next())
}

// unchanging is a store that takes no other request for a transaction.
type unchanging struct {
	store.Store
	asked func()
}

func (s unchanging) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	if u.Request != nil {
		s.asked()
		return errors.New("the disk is full")
	}
	return s.Store.Update(ctx, f, u)
}

// TestChangeThatIsNotStored: the transaction does not wait for its turn on the keys that it would have had.
func TestChangeThatIsNotStored(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) {
		decide := o.Policy.Decide
		o.KeyTurn, o.Store = time.Hour, unchanging{o.Store, func() { asked.Store(true) }}
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			if v.Tx.ID == "d" && !asked.Load() {
				return policy.Decision{Do: policy.Wait, Until: v.Now.Add(time.Hour)}
			}
			return decide(v)
		})
	}})
	r.fake.onPrepare = func(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		if req.To == "elsewhere" {
			other := *req
			other.Params = changing("d", "k").Params
			req = &other
		}
		return reg.prepare(ctx, req)
	}
	r.contest(reg)
	r.submit(changing("d", "d"))
	to := "elsewhere"
	_, err := r.UpdateTransaction(t.Context(), "d", &apitypes.TransactionUpdate{To: &to})
	require.ErrorContains(t, err, "the disk is full")
	r.until("d", store.SubTracking)
}
