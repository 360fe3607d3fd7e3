package txn_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/store"
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
func (r *register) pooled(t testing.TB, n int) {
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

// rivals are n transactions that want one key, all of them sent.
func (r *rig) rivals(reg *register, n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("tx", i)
		r.submit(changing(ids[i], "k"))
	}
	reg.pooled(r.t, n)
	return ids
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
