package txn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func number(s string) *fftypes.FFBigInt {
	n, _ := new(big.Int).SetString(s, 10)
	return (*fftypes.FFBigInt)(n)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	with := func(change func(*apitypes.Submission)) *apitypes.Submission {
		s := submission("x")
		change(s)
		return s
	}
	for name, c := range map[string]struct {
		sub   *apitypes.Submission
		field string
	}{
		"no from":        {with(func(s *apitypes.Submission) { s.From = "" }), "from"},
		"id too long":    {with(func(s *apitypes.Submission) { s.ID = strings.Repeat("x", 257) }), "headers.id"},
		"id with space":  {with(func(s *apitypes.Submission) { s.ID = "a b" }), "headers.id"},
		"id not ascii":   {with(func(s *apitypes.Submission) { s.ID = "ä" }), "headers.id"},
		"type":           {with(func(s *apitypes.Submission) { s.Type = "Nonsense" }), "headers.type"},
		"negative value": {with(func(s *apitypes.Submission) { s.Value = number("-1") }), "value"},
		"negative gas":   {with(func(s *apitypes.Submission) { s.Gas = number("-1") }), "gas"},
		"negative nonce": {with(func(s *apitypes.Submission) { s.Nonce = number("-1") }), "nonce"},
		"huge nonce":     {with(func(s *apitypes.Submission) { s.Nonce = number("18446744073709551616") }), "nonce"},
		"no JSON":        {with(func(s *apitypes.Submission) { s.Raw = json.RawMessage(`{"a":`) }), ""},
	} {
		_, _, err := r.Submit(t.Context(), c.sub)
		var invalid *apitypes.Invalid
		require.ErrorAs(t, err, &invalid, name)
		require.Equal(t, c.field, invalid.Field, name)
		require.NotEmpty(t, invalid.Fix, name)
	}
	_, _, err := r.Submit(t.Context(), with(func(s *apitypes.Submission) { s.Type = apitypes.DeployContract }))
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err))
	require.Zero(t, r.fake.calls("Prepare"))

	unsequenced := newRig(t, setup{})
	_, _, err = unsequenced.Submit(t.Context(), with(func(s *apitypes.Submission) { s.Nonce = number("3") }))
	var invalid *apitypes.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "nonce", invalid.Field)
}

func TestGivenNonce(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.submit(submission("a"))
	for _, n := range []string{"0", "2"} {
		sub := submission("n" + n)
		sub.Nonce = number(n)
		_, _, err := r.Submit(t.Context(), sub)
		require.ErrorIs(t, err, apitypes.ErrNonceRefused, "never 409: a client takes that for a replay and waits")
	}
	sub := submission("n1")
	sub.Nonce = number("1")
	require.EqualValues(t, 1, r.submit(sub).Nonce.Int().Uint64())
}

// TestFirstGivenNonce: one given by the first transaction of a signer is measured by what the chain knows of them.
func TestFirstGivenNonce(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.use("alice", 7)
	given := func(id, nonce string) *apitypes.Submission {
		sub := submission(id)
		sub.Nonce = number(nonce)
		return sub
	}
	for _, n := range []string{"6", "8", "1000000"} {
		_, _, err := r.Submit(t.Context(), given("n"+n, n))
		require.ErrorIs(t, err, apitypes.ErrNonceRefused)
		require.ErrorContains(t, err, "the next one is 7")
		answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{given("b"+n, n)})
		require.ErrorIs(t, answers[0].Err, apitypes.ErrNonceRefused)
	}
	require.EqualValues(t, 7, r.submit(given("n7", "7")).Nonce.Int().Uint64())
	require.EqualValues(t, 8, r.submit(submission("next")).Nonce.Int().Uint64(), "what was refused left nothing")
}

func TestGeneratedIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	seen := map[string]bool{}
	for range 3 {
		tx := r.submit(&apitypes.Submission{From: "alice", Method: json.RawMessage(`"m"`), Options: json.RawMessage(`{"o":1}`)})
		require.Regexp(t, `^[!-~]{21}$`, tx.ID)
		seen[tx.ID] = true
		raw, err := r.store.Request(t.Context(), tx.ID)
		require.NoError(t, err)
		require.JSONEq(t, `{"from":"alice","method":"m","o":1}`, string(raw))
	}
	require.Len(t, seen, 3)
}

func TestHundredPostsOfOneKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	inside := make(chan struct{})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		<-inside
		return &ffcapi.Prepared{Payload: []byte("p"), Hash: hashOf("p")}, nil
	}
	var wg sync.WaitGroup
	replays := make(chan bool, 100)
	for range 100 {
		wg.Go(func() {
			tx, replay, err := r.Submit(t.Context(), submission("a"))
			if err != nil || tx.ID != "a" {
				t.Errorf("%v %v", tx, err)
			}
			replays <- replay
		})
	}
	require.Eventually(t, func() bool { return r.fake.calls("Prepare") == 1 }, wait, tick)
	other := submission("a")
	other.Raw = json.RawMessage(`{"from":"alice","method":"another"}`)
	wg.Go(func() {
		if _, _, err := r.Submit(t.Context(), other); !errors.Is(err, store.ErrKeyReused) {
			t.Errorf("another body: %v", err)
		}
	})
	close(inside)
	wg.Wait()
	close(replays)
	fresh := 0
	for replay := range replays {
		if !replay {
			fresh++
		}
	}
	require.Equal(t, 1, fresh)
	require.Equal(t, 1, r.fake.calls("Prepare"), "one Prepare")
	page, err := r.Transactions(t.Context(), apitypes.TransactionFilter{})
	require.NoError(t, err)
	require.Len(t, page, 1, "one record")
}

func TestRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, &ffcapi.Error{Kind: ffcapi.Reverted, Message: "no", Stage: "prepare"}
	}
	_, _, err := r.Submit(t.Context(), submission("a"))
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
	_, err = r.Transaction(t.Context(), "a", false)
	require.ErrorIs(t, err, store.ErrNotFound)

	r.fake.mu.Lock()
	r.fake.onPrepare = nil
	r.fake.mu.Unlock()
	require.EqualValues(t, 0, r.submit(submission("a")).Nonce.Int().Uint64(), "neither its key nor a nonce is used up")
}

// twin is another manager on the same store, as another process would have.
func (r *rig) twin() *txn.Manager {
	r.t.Helper()
	opts := r.opts
	opts.OnStatus = nil
	m, err := txn.New(opts)
	require.NoError(r.t, err)
	require.NoError(r.t, m.Start(r.t.Context()))
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(r.t, m.Stop(ctx))
	})
	return m
}

func TestClientThatLeavesChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	ctx, leave := context.WithCancel(t.Context())
	r.fake.onPrepare = func(ctx context.Context, _ *ffcapi.Request) (*ffcapi.Prepared, error) {
		leave()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return &ffcapi.Prepared{Payload: []byte("p"), Hash: hashOf("p")}, nil
	}
	_, _, err := r.Submit(ctx, submission("a"))
	require.NoError(t, err)
	r.until("a", store.SubTracking)
}

func TestCallersDeadlineBoundsPrepare(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(ctx context.Context, _ *ffcapi.Request) (*ffcapi.Prepared, error) {
		<-ctx.Done()
		return nil, ffcapi.Errorf(ffcapi.Timeout, "gone: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := r.Submit(ctx, submission("a"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestTooManyPending(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.MaxPending = 2 }})
	r.submit(submission("a"))
	r.submit(submission("b"))
	_, _, err := r.Submit(t.Context(), submission("c"))
	require.ErrorIs(t, err, apitypes.ErrTooManyPending)
	_, replay, err := r.Submit(t.Context(), submission("b"))
	require.NoError(t, err, "what was accepted is still answered")
	require.True(t, replay)

	row := r.until("a", store.SubTracking)
	r.view.block(0, success(row.Hash))
	require.Eventually(t, func() bool {
		_, _, err := r.Submit(t.Context(), submission("c"))
		return err == nil
	}, wait, tick, "one that has ended makes room")
}

func TestLedgerIsReadyBeforeAnythingIsAccepted(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		if _, err := r.store.Ledger(ctx, ""); err != nil {
			t.Errorf("sent before a position was stored: %v", err)
		}
		return nil
	}
	r.submit(submission("a"))
	r.until("a", store.SubTracking)

	r.view.fail(errors.New("the chain changed"))
	_, _, err := r.Submit(t.Context(), submission("b"))
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	require.ErrorContains(t, err, "the chain changed")
	require.Len(t, r.fake.sends(), 1)
}

func TestNodeIsAskedForTheNonceWhenOursIsOld(t *testing.T) {
	t.Parallel()
	now := &lateClock{}
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Now = now.now; o.NonceStateTimeout = time.Minute }})
	r.fake.nonces["alice"] = 40
	require.EqualValues(t, 40, r.submit(submission("a")).Nonce.Int().Uint64(), "never seen: the node knows")
	require.EqualValues(t, 41, r.submit(submission("b")).Nonce.Int().Uint64())
	require.Equal(t, 1, r.fake.calls("NextNonce"), "ours is newer than any other would be")

	r.fake.mu.Lock()
	r.fake.nonces["alice"] = 50
	r.fake.mu.Unlock()
	now.add(2 * time.Minute)
	require.EqualValues(t, 50, r.submit(submission("c")).Nonce.Int().Uint64(), "somebody else has used some meanwhile")
	require.Equal(t, 2, r.fake.calls("NextNonce"))
	require.EqualValues(t, 51, r.submit(submission("d")).Nonce.Int().Uint64())
}

// lateClock is the real time and what a test adds to it.
type lateClock struct {
	mu   sync.Mutex
	plus time.Duration
}

func (c *lateClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.plus)
}

func (c *lateClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plus += d
}

func TestNoncesAreGaplessAndLeaveInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, n int) error {
		if *sub.Nonce%7 == 3 && n == 1 {
			return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}
		}
		if *sub.Nonce%5 == 2 && n == 1 {
			return &ffcapi.Error{Kind: ffcapi.Timeout}
		}
		return nil
	}
	const each, signers = 20, 3
	var wg sync.WaitGroup
	for i := range each {
		for s := range signers {
			wg.Go(func() {
				if _, _, err := r.Submit(t.Context(), from(fmt.Sprintf("signer%d", s), fmt.Sprintf("%d-%d", s, i))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range each {
		for s := range signers {
			r.until(fmt.Sprintf("%d-%d", s, i), store.SubTracking)
		}
	}
	require.False(t, r.fake.overlapped(), "one Submit of a signer at a time")
	next := map[string]uint64{}
	for _, s := range r.fake.sends() {
		require.LessOrEqual(t, s.nonce, next[s.from], "%s sends %d before %d", s.from, s.nonce, next[s.from])
		if s.nonce == next[s.from] {
			next[s.from]++
		}
	}
	for s := range signers {
		require.EqualValues(t, each, next[fmt.Sprintf("signer%d", s)])
	}
}
