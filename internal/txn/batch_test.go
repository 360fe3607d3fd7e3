package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func batchOf(n int, name string) []*apitypes.Submission {
	subs := make([]*apitypes.Submission, n)
	for i := range subs {
		subs[i] = from([]string{"alice", "bob", "carol"}[i%3], fmt.Sprintf("%s%d", name, i))
	}
	return subs
}

// Several batches at once, on both databases: each signer's nonces follow the order of each batch, and have no gap.
func TestBatchKeepsOrder(t *testing.T) {
	t.Parallel()
	for _, db := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		t.Run(db, func(t *testing.T) {
			t.Parallel()
			const batches, size = 4, 150
			r := newRig(t, setup{sequenced: true, place: sqlstoretest.NewPlace(t, db)})
			var mu sync.Mutex
			seen := map[string]map[uint64]bool{"alice": {}, "bob": {}, "carol": {}}
			var wg sync.WaitGroup
			for b := range batches {
				wg.Go(func() {
					answers := r.SubmitBatch(t.Context(), batchOf(size, fmt.Sprintf("b%d-", b)))
					require.Len(t, answers, size)
					last := map[string]uint64{}
					mu.Lock()
					defer mu.Unlock()
					for i, a := range answers {
						require.NoError(t, a.Err)
						require.Equal(t, fmt.Sprintf("b%d-%d", b, i), a.Transaction.ID)
						signer, nonce := a.Transaction.From, a.Transaction.Nonce.Uint64()
						if before, seen := last[signer]; seen {
							require.Greater(t, nonce, before, "the order of the batch")
						}
						last[signer] = nonce
						require.False(t, seen[signer][nonce], "given out once")
						seen[signer][nonce] = true
					}
				})
			}
			wg.Wait()
			for signer, nonces := range seen {
				for n := range uint64(batches * size / 3) {
					require.True(t, nonces[n], "%s has no gap at %d", signer, n)
				}
			}
			require.LessOrEqual(t, r.fake.calls("NextNonce"), 3*batches, "once for each signer of a batch")
			r.untilSent(batches * size)
		})
	}
}

func TestBatchItemsAreIndependent(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		switch string(req.Method) {
		case `"refused"`:
			return nil, ffcapi.Errorf(ffcapi.Reverted, "no")
		case `"down"`:
			return nil, ffcapi.Errorf(ffcapi.Unavailable, "no node answers")
		}
		return &ffcapi.Prepared{Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, nil
	}
	old := r.submit(submission("old"))
	nameless := submission("")
	nameless.Method = json.RawMessage(`"nameless"`)
	signerless := submission("signerless")
	signerless.From = ""
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{
		submission("a"), signerless, submission("refused"), submission("a"), another("a"), submission("down"), submission("old"), another("old"), nameless,
		submission("b"),
	})
	ok := func(i int, replay bool, nonce int64) {
		t.Helper()
		require.NoError(t, answers[i].Err)
		require.Equal(t, replay, answers[i].Replay)
		require.Equal(t, nonce, answers[i].Transaction.Nonce.Int64())
	}
	ok(0, false, 1)
	var invalid *apitypes.Invalid
	require.ErrorAs(t, answers[1].Err, &invalid)
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(answers[2].Err))
	ok(3, true, 1)
	require.ErrorIs(t, answers[4].Err, store.ErrKeyReused)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(answers[5].Err))
	ok(6, true, old.Nonce.Int64())
	require.ErrorIs(t, answers[7].Err, store.ErrKeyReused)
	ok(8, false, 2)
	ok(9, false, 3)
	require.Equal(t, 6, r.fake.calls("Prepare"), "what is there already is not prepared")

	again := r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("b"), submission("refused"), submission("refused")})
	require.True(t, again[0].Replay)
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(again[1].Err))
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(again[2].Err))
	require.Equal(t, 7, r.fake.calls("Prepare"), "one refusal for both")
}

func TestBatchRespectsTheLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.MaxPending = 10 }})
	accepted := 0
	for _, a := range r.SubmitBatch(t.Context(), batchOf(30, "n")) {
		if a.Err == nil {
			accepted++
			continue
		}
		require.ErrorIs(t, a.Err, apitypes.ErrTooManyPending)
	}
	require.Equal(t, 10, accepted)
}

// Two batches that have the same keys in opposite order wait for one another's results without a standstill.
func TestBatchesThatCross(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	there := batchOf(60, "n")
	back := make([]*apitypes.Submission, len(there))
	for i, s := range there {
		back[len(back)-1-i] = s
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for i := range 8 {
		wg.Go(func() {
			subs := there
			if i%2 == 1 {
				subs = back
			}
			for _, a := range r.SubmitBatch(t.Context(), subs) {
				require.NoError(t, a.Err)
				if !a.Replay {
					mu.Lock()
					fresh++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, len(there), fresh)
	require.Equal(t, len(there), r.fake.calls("Prepare"))
}

// TestBatchRefusalOfAReplay: as of one request: another process accepts it while it is prepared.
func TestBatchRefusalOfAReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		r.fake.mu.Lock()
		r.fake.onPrepare = nil
		r.fake.mu.Unlock()
		if _, replay, err := r.twin().Submit(t.Context(), submission("a")); err != nil || replay {
			t.Errorf("the other process: %v %v", replay, err)
		}
		return nil, ffcapi.Errorf(ffcapi.Reverted, "it exists")
	}
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("a")})
	require.NoError(t, answers[0].Err)
	require.True(t, answers[0].Replay)
	require.Equal(t, "a", answers[0].Transaction.ID)
}

// TestBatchOfAClientThatLeaves is accepted as if he had stayed.
func TestBatchOfAClientThatLeaves(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	ctx, leave := context.WithCancel(t.Context())
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		leave()
		return &ffcapi.Prepared{Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, nil
	}
	answers := r.SubmitBatch(ctx, []*apitypes.Submission{submission("a"), submission("b"), submission("c"), submission("d")})
	for _, answer := range answers {
		require.NoError(t, answer.Err)
		r.until(answer.Transaction.ID, store.SubTracking)
	}
}

// TestBatchWithAUsedKeyOfAnotherBody: what was accepted with the key is no answer to another request.
func TestBatchWithAUsedKeyOfAnotherBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.submit(submission("a"))
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{another("a"), submission("b")})
	require.ErrorIs(t, answers[0].Err, store.ErrKeyReused)
	require.Nil(t, answers[0].Transaction)
	require.NoError(t, answers[1].Err)
}
