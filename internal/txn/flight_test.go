package txn_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// held makes Prepare wait, and answers what it is given.
type held struct {
	entered chan struct{}
	answer  chan error
}

func hold(f *fake) held {
	h := held{entered: make(chan struct{}, 10), answer: make(chan error)}
	f.onPrepare = func(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		h.entered <- struct{}{}
		select {
		case err := <-h.answer:
			return &ffcapi.Prepared{Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h
}

// submitting calls Submit beside the test.
func (r *rig) submitting(ctx context.Context, sub *apitypes.Submission) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, _, err := r.Submit(ctx, sub)
		done <- err
	}()
	return done
}

func another(id string) *apitypes.Submission {
	sub := submission(id)
	sub.Method = json.RawMessage(`"another"`)
	sub.Raw = json.RawMessage(`{"from":"alice","method":"another"}`)
	return sub
}

func TestFollowersShareARefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	h := hold(r.fake)
	leader := r.submitting(t.Context(), submission("a"))
	<-h.entered
	same, other := r.submitting(t.Context(), submission("a")), r.submitting(t.Context(), another("a"))
	left, leave := context.WithCancel(t.Context())
	gone := r.submitting(left, submission("a"))
	leave()
	require.ErrorIs(t, <-gone, context.Canceled, "a follower may leave at any time")

	h.answer <- ffcapi.Errorf(ffcapi.Reverted, "no")
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(<-leader))
	// The other body goes on its own; the same body has the answer, or if it came too late for it, goes on its own, too.
	for waiting := 2; waiting > 0; {
		select {
		case <-h.entered:
			h.answer <- ffcapi.Errorf(ffcapi.Reverted, "no")
		case err := <-same:
			require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
			same, waiting = nil, waiting-1
		case err := <-other:
			require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
			other, waiting = nil, waiting-1
		}
	}
	require.GreaterOrEqual(t, r.fake.calls("Prepare"), 2)
}

// TestFollowerOutlivesTheLeadersDeadline: what stopped the first one need not stop the next.
func TestFollowerOutlivesTheLeadersDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	h := hold(r.fake)
	leader := r.cutShort(h, submission("a"))
	follower := r.submitting(t.Context(), submission("a"))
	require.ErrorIs(t, <-leader, context.DeadlineExceeded)
	<-h.entered
	h.answer <- nil
	require.NoError(t, <-follower)
	r.until("a", store.SubTracking)
}

// cutShort submits with a deadline that ends while it is being prepared.
func (r *rig) cutShort(h held, sub *apitypes.Submission) <-chan error {
	r.t.Helper()
	for timeout := 100 * time.Millisecond; ; timeout *= 2 {
		ctx, cancel := context.WithTimeout(r.t.Context(), timeout)
		r.t.Cleanup(cancel)
		done := r.submitting(ctx, sub)
		select {
		case <-h.entered:
			return done
		case <-done: // a busy machine: it did not even get there
		}
	}
}

// TestTwoProcessesAtOnce: both have prepared, and the store decides.
func TestTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	h := hold(r.fake)
	twin := r.twin()
	var wg sync.WaitGroup
	results := make(chan string, 3)
	submit := func(m interface {
		Submit(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error)
	}, sub *apitypes.Submission,
	) {
		wg.Go(func() {
			tx, replay, err := m.Submit(t.Context(), sub)
			switch {
			case err != nil:
				results <- err.Error()
			case replay:
				results <- "replay " + tx.ID
			default:
				results <- "accepted " + tx.ID
			}
		})
	}
	submit(r, submission("a"))
	submit(twin, submission("a"))
	<-h.entered
	<-h.entered
	h.answer <- nil
	h.answer <- nil
	wg.Wait()
	require.ElementsMatch(t, []string{"accepted a", "replay a"}, []string{<-results, <-results})

	// And with different bodies.
	submit(r, submission("b"))
	submit(twin, another("b"))
	<-h.entered
	<-h.entered
	h.answer <- nil
	h.answer <- nil
	wg.Wait()
	require.Contains(t, <-results+" "+<-results, store.ErrKeyReused.Error())
	page, err := r.Transactions(t.Context(), apitypes.TransactionFilter{})
	require.NoError(t, err)
	require.Len(t, page, 2)
}

// TestARefusalIsSharedByTheSameBodyOnly: what was refused was that body. Another one with the key may well be accepted.
func TestARefusalIsSharedByTheSameBodyOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		if string(req.Method) == `"a"` {
			return nil, ffcapi.Errorf(ffcapi.Reverted, "no")
		}
		return &ffcapi.Prepared{Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, nil
	}
	// The entries of a batch board together, so both others wait for the first.
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("a"), another("a"), submission("a")})
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(answers[0].Err))
	require.NoError(t, answers[1].Err)
	require.False(t, answers[1].Replay)
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(answers[2].Err))
	require.Equal(t, 2, r.fake.calls("Prepare"), "one refusal for both of the same body")
}

// hangingKeys is a store in which one look-up of a key lasts until who asked has left.
type hangingKeys struct {
	store.Store

	entered chan struct{} // nil: none hangs
	hung    atomic.Bool
}

func (s *hangingKeys) Key(ctx context.Context, key string) (string, [32]byte, error) {
	if s.entered != nil && s.hung.CompareAndSwap(false, true) {
		close(s.entered)
		<-ctx.Done()
		return "", [32]byte{}, context.Cause(ctx)
	}
	return s.Store.Key(ctx, key)
}

// waitedOn tells when somebody begins to wait for it.
type waitedOn struct {
	context.Context

	once   sync.Once
	waited chan struct{}
}

func (c *waitedOn) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waited) })
	return c.Context.Done()
}

// TestFollowerOutlivesALeaderThatLeaves: the client that came first has gone, and the one that waits for its result is still there.
func TestFollowerOutlivesALeaderThatLeaves(t *testing.T) {
	t.Parallel()
	var s hangingKeys
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }})
	r.submit(submission("a"))
	s.entered = make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	leader := r.submitting(ctx, submission("a"))
	<-s.entered
	waiting := &waitedOn{Context: t.Context(), waited: make(chan struct{})}
	follower := r.submitting(waiting, submission("a"))
	<-waiting.waited
	leave()
	require.ErrorIs(t, <-leader, context.Canceled)
	require.NoError(t, <-follower)
}

// crashing is a store whose first acceptance panics.
type crashing struct {
	store.Store

	crashed atomic.Bool
}

func (s *crashing) Accept(ctx context.Context, f store.Fence, n *store.NewTx) (*store.Accepted, error) {
	if s.crashed.CompareAndSwap(false, true) {
		panic("on fire")
	}
	return s.Store.Accept(ctx, f, n)
}

// TestNobodyWaitsForARequestThatCrashed: a server survives a panic of one request, and then nobody else would end its flight.
func TestNobodyWaitsForARequestThatCrashed(t *testing.T) {
	t.Parallel()
	var s crashing
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }})
	require.Panics(t, func() { _, _, _ = r.Submit(t.Context(), submission("a")) })
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	_, replay, err := r.Submit(ctx, submission("a"))
	require.NoError(t, err)
	require.False(t, replay)
}
