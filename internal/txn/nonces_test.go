package txn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// use sets what the chain counts as the signer's next nonce.
func (f *fake) use(signer string, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nonces[signer] = next
}

func (f *fake) used(signer string, nonce uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nonce < f.nonces[signer]
}

// TestLostNonceIsReplaced: a stranger has used it before anything left. The request goes on at the tail, and what came after it is not
// held up.
func TestLostNonceIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.submit(submission("a0")) // the signer's nonces are anchored
	r.until("a0", store.SubTracking)
	r.fake.use("alice", 2)
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if r.fake.used(sub.From, *sub.Nonce) {
			return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo, Message: "nonce too low"}
		}
		return nil
	}
	require.EqualValues(t, 1, r.submit(submission("a1")).Nonce.Int().Uint64())
	row := r.until("a1", store.SubTracking)
	require.EqualValues(t, 2, *row.Nonce)
	attempts := r.attempts("a1")
	require.Len(t, attempts, 2)
	require.Equal(t, store.AttemptDone, attempts[0].State)
	require.EqualValues(t, 1, *attempts[0].Nonce)
	require.EqualValues(t, 2, *attempts[1].Nonce)
	require.Equal(t, 2, r.actions("a1")["AssignNonce"])
	require.EqualValues(t, 3, r.submit(submission("a2")).Nonce.Int().Uint64())
	r.until("a2", store.SubTracking)
	tooLow := 0
	for _, s := range r.fake.sends() {
		if s.nonce == 1 {
			tooLow++
		}
	}
	require.Equal(t, 1, tooLow, "what is used is not sent again")
}

// TestNonceUsedByAnother: own bytes may be out. Only a final block that holds another transaction with the nonce shows that they are dead.
func TestNonceUsedByAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		switch {
		case *sub.Nonce > 0:
			return nil
		case r.fake.used("alice", 0):
			return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}
		default:
			return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe}
		}
	}
	r.submit(submission("a"))
	r.until("a", store.SubUnknownOutcome)
	r.fake.use("alice", 1)
	nonce := uint64(0)
	b := r.view.block(1, ffcapi.TxOutcome{Hash: "stranger", From: "alice", Nonce: &nonce, Success: true})
	require.Len(t, r.attempts("a"), 1, "the block may still change")
	require.Equal(t, store.AttemptSubmitting, r.attempts("a")[0].State)
	r.view.block(1)
	row := r.until("a", store.SubTracking)
	require.EqualValues(t, 1, *row.Nonce)
	dead := r.attempts("a")[0]
	require.Equal(t, "nonce 0 of alice is used by stranger", dead.Dead)
	require.Equal(t, b, dead.Outcome.Block)
	r.view.block(0, success(row.Hash))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}

// TestCancelWhenANonceIsLost: there is nothing left to use up.
func TestCancelWhenANonceIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if *sub.Nonce > 0 {
			return nil
		}
		if string(sub.Prepared.Payload) == "cancel alice 0" {
			r.fake.use("alice", 1)
			return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}
		}
		return refusal("broke")
	}
	r.submit(submission("a"))
	r.untilSent(1)
	r.submit(submission("b"))
	r.pause("a")
	_, err := r.CancelTransaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, store.Failed, r.until("a", store.SubCancelled).Status)
	r.until("b", store.SubTracking)
}

// TestGapsAreFilledOnRequest: the chain has forgotten nonces, so what comes after them waits for ever, until they are used up.
func TestGapsAreFilledOnRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	var outcomes []ffcapi.TxOutcome
	for i := range 4 {
		id := fmt.Sprintf("a%d", i)
		r.submit(submission(id))
		outcomes = append(outcomes, success(r.until(id, store.SubTracking).Hash))
	}
	r.view.block(0, outcomes...)
	for i := range 4 {
		r.until(fmt.Sprintf("a%d", i), store.SubConfirmed)
	}
	r.fake.use("alice", 2) // the chain is behind: it has lost the last two
	r.submit(submission("a4"))
	r.until("a4", store.SubTracking)
	s, err := r.Signer(t.Context(), "", "alice")
	require.NoError(t, err)
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, `{"ledger":"","signer":"alice","next":"5","pending":"2","latest":"2","gaps":["2","3"],"open":1}`, string(raw))

	first, err := r.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Len(t, first, 2)
	for i, tx := range first {
		require.EqualValues(t, 2+i, tx.Nonce.Int().Uint64())
		r.until(tx.ID, store.SubTracking)
	}
	s, err = r.Signer(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Empty(t, s.Gaps, "open transactions hold them")
	again, err := r.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Empty(t, again)

	r.view.block(0, success(hashOf("cancel alice 2")), success(hashOf("cancel alice 3")))
	require.Equal(t, store.Succeeded, r.until(first[0].ID, store.SubConfirmed).Status)
	r.until(first[1].ID, store.SubConfirmed)
	// The chain loses them once more.
	again, err = r.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Len(t, again, 2)
	require.NotEqual(t, first[0].ID, again[0].ID)
	_, _, err = r.RetryTransaction(t.Context(), first[0].ID, "")
	require.ErrorIs(t, err, apitypes.ErrNotFailed)
}

// TestCancelOfWhatFillsAGap uses its nonce up: it was another one's before, so it cannot go to the signer's next transaction.
func TestCancelOfWhatFillsAGap(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	refuse.Store(false)
	for _, id := range []string{"a0", "a1"} {
		r.submit(submission(id))
		r.view.block(0, success(r.until(id, store.SubTracking).Hash))
		r.until(id, store.SubConfirmed)
	}
	refuse.Store(true)
	r.fake.use("alice", 0) // the chain has lost them
	filled, err := r.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Len(t, filled, 2)
	second := filled[1].ID // waits for the first, which is refused
	require.Eventually(t, func() bool {
		_, err = r.CancelTransaction(t.Context(), second)
		return !errors.Is(err, apitypes.ErrMayBeOut) // a worker may have begun with both, and it is about to put the second one back
	}, wait, tick)
	require.NoError(t, err)
	require.EqualValues(t, 2, r.submit(submission("a2")).Nonce.Int().Uint64())
	refuse.Store(false)
	r.until(second, store.SubTracking)
	r.until("a2", store.SubTracking)
}

func TestSignerWithoutNonces(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	_, err := r.Signer(t.Context(), "", "alice")
	require.ErrorIs(t, err, apitypes.ErrNoNonces)
	_, err = r.FillNonces(t.Context(), "", "alice")
	require.ErrorIs(t, err, apitypes.ErrNoNonces)
	n := newRig(t, setup{sequenced: true})
	s, err := n.Signer(t.Context(), "", "nobody")
	require.NoError(t, err)
	require.Nil(t, s.Next)
	require.NotNil(t, s.Gaps)
}

// TestOneSignerHoldsUpNobody: with the sends of one signer held, all thousand transactions of another one are final before the first of
// them is let go.
func TestOneSignerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const n = 1000
	r := newRig(t, setup{sequenced: true})
	release := make(chan struct{})
	r.fake.onSubmit = func(ctx context.Context, sub *ffcapi.Submission, _ int) error {
		if sub.From != "alice" {
			return nil
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range 100 {
		r.submit(submission(fmt.Sprintf("a%d", i)))
	}
	r.untilSent(1)
	for i := range n {
		r.submit(from("bob", fmt.Sprintf("b%d", i)))
	}
	outcomes := make([]ffcapi.TxOutcome, n)
	for i := range outcomes {
		outcomes[i] = success(r.until(fmt.Sprintf("b%d", i), store.SubTracking).Hash)
	}
	r.view.block(0, outcomes...)
	for i := range n {
		require.Equal(t, store.Succeeded, r.until(fmt.Sprintf("b%d", i), store.SubConfirmed).Status)
	}
	for _, s := range r.fake.sends() {
		require.False(t, s.from == "alice" && s.nonce > 0, "one send of alice's is under way")
	}
	close(release)
	r.until("a99", store.SubTracking)
}

// TestStuckShowsWhy: too long without progress. Sending the same again is none.
func TestStuckShowsWhy(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Deadline = 100 * time.Millisecond }})
	r.submit(submission("a0"))
	r.submit(submission("a1"))
	require.Eventually(t, func() bool {
		s := r.show("a0").Stuck
		return s != nil && s.Reason == "broke"
	}, wait, tick)
	require.Eventually(t, func() bool {
		s := r.show("a1").Stuck
		return s != nil && s.Reason == "waits for transaction a0 of the same signer"
	}, wait, tick)
	since := r.show("a0").Stuck.Since
	r.untilSent(len(r.fake.sends()) + 2)
	require.Equal(t, since, r.show("a0").Stuck.Since)
	refuse.Store(false)
	row := r.until("a0", store.SubTracking)
	require.True(t, row.Progressed.After(*since.Time()), "a node took it")
}

// TestNoncesDecideWhoseTurnItIs: what lost a race has a nonce behind all others now, so none of them may wait for it.
func TestNoncesDecideWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	r, reg := race(t, fabric.DefaultConfig(), setup{sequenced: true, opts: func(o *txn.Options) { o.KeyTurn = time.Hour }})
	var refuse atomic.Bool
	refuse.Store(true)
	r.fake.onSubmit = func(ctx context.Context, sub *ffcapi.Submission, n int) error {
		if refuse.Load() && *sub.Nonce > 0 {
			return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, Message: "away"}
		}
		return reg.submit(ctx, sub, n)
	}
	r.submit(changing("a", "k"))
	reg.pooled(t, 1)
	r.submit(changing("b", "k"))
	reg.set(func() { reg.versions["k"]++ })
	r.view.block(0, reg.block()...)
	require.Eventually(t, func() bool { return len(r.attempts("a")) == 2 }, wait, tick)
	require.EqualValues(t, 2, *r.attempts("a")[1].Nonce)
	refuse.Store(false)
	r.until("b", store.SubTracking)
	r.until("a", store.SubTracking)
}

// garbled is a store whose requests are none.
type garbled struct{ store.Store }

func (garbled) Request(context.Context, string) (json.RawMessage, error) {
	return json.RawMessage(`[]`), nil
}

// TestRequestThatCannotBeRead: what has to be prepared once more and cannot be says so itself, not only the log.
func TestRequestThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Store = garbled{o.Store} }})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		r.fake.use("alice", 1)
		return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo, Message: "nonce too low"}
	}
	r.submit(submission("a"))
	require.Eventually(t, func() bool { return strings.Contains(r.show("a").ErrorMessage, "as it was accepted cannot be read") }, wait, tick)
	require.Equal(t, "Pending", r.show("a").Status)
}
