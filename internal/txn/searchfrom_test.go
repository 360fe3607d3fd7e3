package txn_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// searched is a view that notes above which blocks it was asked to look.
type searched struct {
	*view

	mu    sync.Mutex
	above []uint64
}

func (s *searched) Find(ctx context.Context, ledger, hash string, above uint64) (*ffcapi.Block, int, error) {
	s.mu.Lock()
	s.above = append(s.above, above)
	s.mu.Unlock()
	return s.view.Find(ctx, ledger, hash, above)
}

// starts returns above which blocks it was asked to look.
func (s *searched) starts() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.above)
}

// searchRig is a rig that tells a hash only when a node has taken what is sent. It is not started.
func searchRig(t *testing.T, s setup) (*rig, *searched) {
	t.Helper()
	chain := &searched{}
	s.fake, s.resubmit, s.stopped = lateFake(), 20*time.Millisecond, true
	s.opts = func(o *txn.Options) { o.Chain = chain }
	r := newRig(t, s)
	chain.view = r.view
	return r, chain
}

// TestFromWhereAnAttemptIsSearched: a first send is in no block that was there before it. A later one may be, because of an earlier one, and
// nobody knows any more which block was the newest then.
func TestFromWhereAnAttemptIsSearched(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r, chain := searchRig(t, setup{place: place})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		payload := string(sub.Prepared.Payload)
		if payload != "first#1" {
			return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe, Message: "no answer"}
		}
		r.view.block(0, success(hashOf(payload)))
		return nil
	}
	r.start()
	require.NoError(t, r.view.Ready(t.Context(), ""))
	before := r.view.block(0)
	r.submit(submission("first"))
	r.until("first", store.SubConfirmed)
	require.Equal(t, []uint64{before.Number}, chain.starts())

	r.submit(submission("lost"))
	require.Eventually(t, func() bool { return r.attempts("lost")[0].Sends > 1 }, wait, tick)
	block := r.view.block(0, success(hashOf("lost#2"))) // nobody knows yet whose it is
	r.view.block(0)
	r.crash()

	again, chain := searchRig(t, setup{place: place})
	again.view.hashes, again.view.blocks = r.view.hashes, r.view.blocks
	again.start()
	require.Equal(t, block, again.until("lost", store.SubConfirmed).Outcome.Block)
	require.Equal(t, []uint64{0}, chain.starts())
}

// TestSearchAfterTheFirstSendWasCutShort: the process ended before the first send was answered. A second one is under the same claim, and counts
// only when it is answered, so the count of the sends does not tell it from the first.
func TestSearchAfterTheFirstSendWasCutShort(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r, _ := searchRig(t, setup{place: place})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r.start()
	r.submit(submission("lost"))
	r.untilSent(1)
	block := r.view.block(0, success(hashOf("lost#1"))) // nobody knows yet whose it is
	r.crash()

	again, chain := searchRig(t, setup{place: place})
	again.view.hashes, again.view.blocks = r.view.hashes, r.view.blocks
	again.start()
	require.Equal(t, block, again.until("lost", store.SubConfirmed).Outcome.Block)
	require.Equal(t, []uint64{0}, chain.starts())
}
