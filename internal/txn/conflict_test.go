package txn_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestAllThatWantOneKeySucceed: fifty transactions at once, of which one wins; the others go one after the other, and lose no second time.
func TestAllThatWantOneKeySucceed(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{})
	ids := r.rivals(reg, 50)
	r.chain(reg, ids...)
	r.succeeded(ids...)
	require.Equal(t, len(ids), reg.version("k"), "each took effect once")
	require.Equal(t, len(ids)-1, r.lost(ids...))
	for _, id := range ids {
		require.LessOrEqual(t, len(r.attempts(id)), 2)
	}
	r.shown(ids...)
}

// TestTurnsWithoutKeys: whoever loses twice and does not know over what has his turn on the contract.
func TestTurnsWithoutKeys(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{})
	reg.keyless = true
	ids := r.rivals(reg, 20)
	r.view.block(0, reg.block()...)
	reg.pooled(t, len(ids)-1)
	r.chain(reg, ids...)
	r.succeeded(ids...)
	require.Equal(t, len(ids)-1+len(ids)-2, r.lost(ids...))
}

// TestNewcomersWaitForTheirTurn: what is accepted while others take turns would only fail one of them. It waits, and what it has prepared is
// replaced before it was sent.
func TestNewcomersWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	counts := prometheus.NewRegistry()
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) { o.Counts = metrics.NewTransactions(counts) }})
	r.submit(changing("a", "k"))
	r.submit(changing("b", "k"))
	reg.pooled(t, 2)
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1) // the loser's second attempt
	r.submit(changing("c", "k"))
	r.submit(changing("d", "other"))
	reg.pooled(t, 2) // d has nothing to wait for
	require.Eventually(t, func() bool {
		tx, err := r.Transaction(t.Context(), "c", false)
		require.NoError(t, err)
		return tx.BlockedBy != "" && strings.Contains(tx.Progress.Message, "waits for transaction "+tx.BlockedBy)
	}, wait, tick)
	require.Equal(t, 1, r.Load().InLine)
	r.chain(reg, "a", "b", "c", "d")
	r.succeeded("a", "b", "c", "d")
	require.Equal(t, 1, r.lost("a", "b", "c", "d"))
	attempts := r.attempts("c")
	require.Len(t, attempts, 2)
	require.Zero(t, attempts[0].Sends)
	require.Equal(t, "replaced before anything left", attempts[0].Dead)
	require.NoError(t, testutil.GatherAndCompare(counts, strings.NewReader(`
		# HELP pyralis_transaction_renewals_total Transactions prepared afresh: "conflict" after a block held them as failed, "unsent" before they were sent, because others had changed what they had read.
		# TYPE pyralis_transaction_renewals_total counter
		pyralis_transaction_renewals_total{reason="conflict"} 1
		pyralis_transaction_renewals_total{reason="unsent"} 1
	`), "pyralis_transaction_renewals_total"))
}

// TestTwoKeysInBothOrders: nobody waits for one who waits for him.
func TestTwoKeysInBothOrders(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{})
	var ids []string
	for i := range 12 {
		ids = append(ids, fmt.Sprint("tx", i))
		r.submit(changing(ids[i], []string{"k,l", "l,k", "l,m", "m,k"}[i%4]))
	}
	reg.pooled(t, len(ids))
	r.chain(reg, ids...)
	r.succeeded(ids...)
}

// TestTurnOfOneThatIsSuspended: the next one goes.
func TestTurnOfOneThatIsSuspended(t *testing.T) {
	t.Parallel()
	r, reg, first, second := contest(t)
	_, err := r.SuspendTransaction(t.Context(), first)
	require.NoError(t, err)
	reg.pooled(t, 2)
	r.chain(reg, "a", "b", "c") // an outcome ends what is suspended, if it is success
	tx := r.until(second, store.SubConfirmed)
	require.Equal(t, store.Succeeded, tx.Status)
}

// TestTurnOfOneThatIsCancelled: nobody waits for what has ended while it waited itself.
func TestTurnOfOneThatIsCancelled(t *testing.T) {
	t.Parallel()
	r, reg, first, second := contest(t)
	r.submit(changing("d", "k"))
	require.Eventually(t, func() bool {
		tx, err := r.Transaction(t.Context(), "d", false)
		require.NoError(t, err)
		return tx.BlockedBy == first
	}, wait, tick)
	_, err := r.CancelTransaction(t.Context(), second)
	require.NoError(t, err)
	r.chain(reg, first, "d")
	r.succeeded(first, "d")
}

// TestTurnOfOneThatIsNotHeardOf: others wait for it no longer than a turn lasts.
func TestTurnOfOneThatIsNotHeardOf(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) { o.KeyTurn = 300 * time.Millisecond }})
	r.submit(changing("a", "k"))
	r.submit(changing("b", "k"))
	reg.pooled(t, 2)
	outcomes := reg.block()
	loser, _, _ := strings.Cut(strings.TrimPrefix(outcomes[1].Hash, hashOf("")), "#")
	reg.set(func() { reg.lose[loser] = true })
	r.view.block(0, outcomes...)
	r.until(loser, store.SubUnknownOutcome)
	r.submit(changing("c", "k"))
	r.chain(reg, "c")
	r.succeeded("c")
	require.Equal(t, store.Pending, r.until(loser, store.SubUnknownOutcome).Status)
}

// TestRefusedInItsTurn: the contract's words end the transaction, and the next one goes.
func TestRefusedInItsTurn(t *testing.T) {
	t.Parallel()
	r, reg, first, second := contest(t)
	reg.set(func() {
		reg.refuse[second] = ffcapi.Errorf(ffcapi.Reverted, "the register is closed")
	})
	r.submit(changing("d", "k"))
	r.chain(reg, "a", "b", "c", "d")
	r.succeeded(first, "d")
	row := r.until(second, store.SubFailed)
	require.Equal(t, "the register is closed (prepared again after MVCC_READ_CONFLICT in block 1)", row.Error)
	require.Len(t, r.attempts(second), 1)
}

// TestRefusedSendsOfThoseInLine: what a send was answered is no answer to the preparation that waits for its turn.
func TestRefusedSendsOfThoseInLine(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{})
	reg.rude = true
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		r.submit(changing(id, "k"))
	}
	reg.pooled(t, len(ids))
	for _, id := range ids {
		r.until(id, store.SubUnknownOutcome)
	}
	r.chain(reg, ids...)
	r.succeeded(ids...)
	require.Equal(t, len(ids)-1, r.lost(ids...))
}

// TestTurnsAfterARestart: the lines are forgotten, and form anew.
func TestTurnsAfterARestart(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r, reg := race(t, fabric.DefaultConfig(), setup{place: place})
	ids := r.rivals(reg, 20)
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1)
	r.crash()

	again := newRig(t, setup{place: place, fake: r.fake, stopped: true, opts: func(o *txn.Options) { o.Policy = r.opts.Policy }})
	again.view.pos, again.view.safe = r.view.pos, r.view.safe
	again.view.hashes, again.view.blocks = r.view.hashes, r.view.blocks
	again.start()
	again.chain(reg, ids...)
	again.succeeded(ids...)
	require.Equal(t, len(ids), reg.version("k"))
	require.Less(t, again.lost(ids...), 2*len(ids))
}

// TestConflictsUpToTheLimit: others may change the key all the time. The record then says what was tried.
func TestConflictsUpToTheLimit(t *testing.T) {
	t.Parallel()
	for _, retries := range []bool{true, false} {
		c := fabric.DefaultConfig()
		c.RetryConflicts = retries
		r, reg := race(t, c, setup{})
		r.submit(changing("a", "k"))
		attempts, want := 5, "MVCC_READ_CONFLICT in block 5, attempt 5 of 5"
		if !retries {
			attempts, want = 1, "MVCC_READ_CONFLICT in block 1"
		}
		for range attempts {
			reg.pooled(t, 1)
			reg.set(func() { reg.versions["k"]++ })
			r.view.block(0, reg.block()...)
		}
		row := r.until("a", store.SubFailed)
		require.Equal(t, want, row.Error)
		require.Len(t, r.attempts("a"), attempts)
		require.EqualValues(t, attempts, row.Outcome.Block.Number)
		require.Equal(t, "MVCC_READ_CONFLICT", row.Outcome.Reason)
		require.Zero(t, reg.version("k")-attempts)
	}
}

// TestTurnOfOneThatLostInItsTurn is over, however long that one then waits until it wants to be prepared again.
func TestTurnOfOneThatLostInItsTurn(t *testing.T) {
	t.Parallel()
	var waits atomic.Value
	r, reg := race(t, fabric.DefaultConfig(), setup{opts: func(o *txn.Options) {
		decide := o.Policy.Decide
		o.KeyTurn, o.Policy = time.Hour, engineFunc(func(v policy.View) policy.Decision {
			if v.Tx.ID == waits.Load() {
				return policy.Decision{Do: policy.Wait, Until: v.Now.Add(time.Hour)}
			}
			return decide(v)
		})
	}})
	first, second := r.contest(reg)
	waits.Store(first)
	reg.set(func() { reg.versions["k"]++ }) // somebody else is faster
	r.view.block(0, reg.block()...)
	r.chain(reg, second)
	r.succeeded(second)
	require.Equal(t, store.Pending, r.until(first, store.SubReceived).Status)
}
