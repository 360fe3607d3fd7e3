package txn_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// register is a ledger of keys with versions, on which whoever has read an old version loses. The first parameter of a request names its keys,
// with commas between them.
type register struct {
	mu       sync.Mutex
	versions map[string]int
	read     map[string]map[string]int // by hash: the versions that a transaction has read
	pool     []string                  // hashes that were sent since the last block
	known    map[string]bool
	prepared int
	keyless  bool             // it is not told what the keys are
	rude     bool             // sends arrive, and are answered with a refusal
	refuse   map[string]error // by method: the answer to Prepare
	lose     map[string]bool  // by method: sends that never arrive, and are never answered
}

func newRegister() *register {
	return &register{
		versions: map[string]int{}, read: map[string]map[string]int{}, known: map[string]bool{}, refuse: map[string]error{}, lose: map[string]bool{},
	}
}

func (r *register) prepare(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.Trim(string(req.Method), `"`)
	if err := r.refuse[name]; err != nil {
		return nil, err
	}
	r.prepared++
	payload := fmt.Sprintf("%s#%d", name, r.prepared)
	keys := strings.Split(strings.Trim(string(req.Params[0]), `"`), ",")
	read := map[string]int{}
	for _, k := range keys {
		read[k] = r.versions[k]
	}
	r.read[hashOf(payload)] = read
	if r.keyless {
		keys = nil
	}
	return &ffcapi.Prepared{Payload: []byte(payload), Hash: hashOf(payload), ConflictKeys: keys}, nil
}

func (r *register) submit(_ context.Context, sub *ffcapi.Submission, _ int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, _, _ := strings.Cut(string(sub.Prepared.Payload), "#")
	if r.lose[name] {
		return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe, Message: "no answer"}
	}
	if h := sub.Prepared.Hash; !r.known[h] { // the first copy counts
		r.known[h] = true
		r.pool = append(r.pool, h)
	}
	if r.rude {
		return &ffcapi.Error{Kind: ffcapi.Unauthorized, Sent: ffcapi.SentMaybe, Message: "not you"}
	}
	return nil
}

// block is what becomes of what was sent.
func (r *register) block() (outcomes []ffcapi.TxOutcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range r.pool {
		o := ffcapi.TxOutcome{Hash: h, Index: uint64(i), Success: true}
		for k, version := range r.read[h] {
			if r.versions[k] != version {
				o.Success, o.Reason, o.Retryable = false, "MVCC_READ_CONFLICT", true
			}
		}
		if o.Success {
			for k := range r.read[h] {
				r.versions[k]++
			}
		}
		outcomes = append(outcomes, o)
	}
	r.pool = nil
	return outcomes
}

func (r *register) set(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *register) version(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.versions[key]
}

// pooled waits until so many transactions wait for a block.
func (r *register) pooled(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.pool) == n
	}, wait, tick, "never were %d in the pool", n)
}

// race is a rig on a register, with the policy for such ledgers.
func race(t *testing.T, c fabric.Config, s setup) (*rig, *register) {
	t.Helper()
	reg := newRegister()
	s.fake = newFake()
	s.fake.onPrepare, s.fake.onSubmit = reg.prepare, reg.submit
	c.ConflictBackoff, c.Backoff = pace.Backoff{Initial: time.Millisecond}, pace.Backoff{Initial: 5 * time.Millisecond, Max: 20 * time.Millisecond}
	more := s.opts
	s.opts = func(o *txn.Options) {
		o.Policy = fabric.New(c)
		if more != nil {
			more(o)
		}
	}
	return newRig(t, s), reg
}

func changing(id, keys string) *apitypes.Submission {
	sub := submission(id)
	sub.Params[0] = fmt.Appendf(nil, "%q", keys)
	sub.Raw = bytes.Replace(sub.Raw, []byte("[1]"), fmt.Appendf(nil, "[%q]", keys), 1)
	return sub
}

// chain makes blocks of what is sent until all transactions have ended.
func (r *rig) chain(reg *register, ids ...string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		if outcomes := reg.block(); len(outcomes) > 0 {
			r.view.block(0, outcomes...)
		}
		for _, id := range ids {
			tx, err := r.store.Transaction(r.t.Context(), id)
			if err != nil || !tx.Status.Terminal() {
				return false
			}
		}
		return true
	}, 3*wait, 10*time.Millisecond, "not all have ended")
}

// lost counts the attempts that a block holds as failed.
func (r *rig) lost(ids ...string) (n int) {
	r.t.Helper()
	for _, id := range ids {
		for _, a := range r.attempts(id) {
			if a.Outcome != nil && !a.Outcome.Success {
				n++
			}
		}
	}
	return n
}

// shown checks what users see of attempts, of which there were two at most.
func (r *rig) shown(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		tx, err := r.Transaction(r.t.Context(), id, false)
		require.NoError(r.t, err)
		if tx.Attempt == 1 {
			require.Empty(r.t, tx.Attempts)
			continue
		}
		require.Len(r.t, tx.Attempts, 2)
		first, second := tx.Attempts[0], tx.Attempts[1]
		require.Equal(r.t, []any{1, 1, false, "MVCC_READ_CONFLICT", "1"}, []any{
			first.Number, first.Submits, first.Receipt.Success, first.Receipt.Reason, first.Receipt.BlockNumber.Int().String(),
		})
		require.Equal(r.t, []any{2, 1, true}, []any{second.Number, second.Submits, second.Receipt.Success})
		require.Equal(r.t, tx.TransactionHash, second.TransactionHash)
		require.NotEqual(r.t, first.TransactionHash, second.TransactionHash)
	}
}

func (r *rig) succeeded(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		tx, err := r.store.Transaction(r.t.Context(), id)
		require.NoError(r.t, err)
		require.Equal(r.t, store.Succeeded, tx.Status, "%s: %s", id, tx.Error)
	}
}

// TestAllThatWantOneKeySucceed: fifty transactions at once, of which one wins; the others go one after the other, and lose no second time.
func TestAllThatWantOneKeySucceed(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{})
	ids := make([]string, 50)
	for i := range ids {
		ids[i] = fmt.Sprint("tx", i)
		r.submit(changing(ids[i], "k"))
	}
	reg.pooled(t, len(ids))
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
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprint("tx", i)
		r.submit(changing(ids[i], "k"))
	}
	reg.pooled(t, len(ids))
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

// contest has two transactions lose a race. One of them is in its turn and sent again, the other one waits for it.
func contest(t *testing.T) (r *rig, reg *register, first, second string) {
	t.Helper()
	r, reg = race(t, fabric.DefaultConfig(), setup{})
	for _, id := range []string{"a", "b", "c"} {
		r.submit(changing(id, "k"))
	}
	reg.pooled(t, 3)
	r.view.block(0, reg.block()...)
	reg.pooled(t, 1)
	require.Eventually(t, func() bool {
		for _, id := range []string{"a", "b", "c"} {
			tx, err := r.Transaction(t.Context(), id, false)
			require.NoError(t, err)
			if tx.BlockedBy != "" {
				first, second = tx.BlockedBy, id
				return true
			}
		}
		return false
	}, wait, tick, "nobody waits")
	return r, reg, first, second
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
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprint("tx", i)
		r.submit(changing(ids[i], "k"))
	}
	reg.pooled(t, len(ids))
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
