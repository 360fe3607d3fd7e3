package txn_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

const complete = "done:"

// completing is a fake whose Prepare leaves something to be done. onFinish may change what comes of it.
type completing struct {
	*fake
	onFinish func(ctx context.Context, done *ffcapi.Prepared) error
}

func (f completing) Finish(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Prepared, error) {
	done := *sub.Prepared
	if strings.HasPrefix(string(done.Payload), complete) {
		return nil, nil //nolint:nilnil // nothing is left
	}
	done.Payload = append([]byte(complete), done.Payload...)
	if err := f.onFinish(ctx, &done); err != nil {
		return nil, err
	}
	return &done, nil
}

func completingRig(t *testing.T, s setup, onFinish func(ctx context.Context, done *ffcapi.Prepared) error) *rig {
	t.Helper()
	if s.fake == nil {
		s.fake = newFake()
	}
	more := s.opts
	s.opts = func(o *txn.Options) {
		o.Connector = completing{s.fake, onFinish}
		if more != nil {
			more(o)
		}
	}
	return newRig(t, s)
}

// TestWhatIsLeftIsDoneBeforeTheClaim: the bytes that are sent, now and ever after, are stored with the claim, and so is what is known of them.
func TestWhatIsLeftIsDoneBeforeTheClaim(t *testing.T) {
	t.Parallel()
	before := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	var r *rig
	var failures atomic.Int64
	r = completingRig(t, setup{}, func(_ context.Context, done *ffcapi.Prepared) error {
		for _, a := range r.attempts("a") {
			require.Equal(t, store.AttemptPrepared, a.State, "a send was claimed that could not begin")
		}
		if failures.Add(1) < 4 {
			return ffcapi.Errorf(ffcapi.Unavailable, "away")
		}
		done.Expires, done.Exclusive, done.ConflictKeys, done.SendBefore = 99, "one", []string{"k"}, before
		return nil
	})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.Len(t, r.fake.sends(), 1)
	require.Equal(t, "done:a#1", r.fake.sends()[0].payload)
	stored, err := r.store.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, "done:a#1", string(stored.Prepared))
	require.Equal(t, int64(4), failures.Load(), "what is complete is not asked about again")
	a := r.attempts("a")[0]
	require.EqualValues(t, 99, a.Expires)
	require.Equal(t, "one", a.Exclusive)
	require.Equal(t, []string{"k"}, a.ConflictKeys)
	require.True(t, before.Equal(a.SendBefore))
}

// TestWhatIsPreparedAfreshIsCompletedAsWell, before its claim like the first one.
func TestWhatIsPreparedAfreshIsCompletedAsWell(t *testing.T) {
	t.Parallel()
	f, ahead := impatient(ffcapi.SentNo)
	r := completingRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Now = func() time.Time { return clock(ahead) } }},
		func(context.Context, *ffcapi.Prepared) error { return nil })
	r.submit(submission("a"))
	r.untilSent(2)
	ahead.Store(int64(2 * time.Hour))
	r.until("a", store.SubTracking)
	require.Len(t, r.attempts("a"), 2)
	sends := f.sends()
	require.Equal(t, "done:p2", sends[len(sends)-1].payload)
	for _, s := range sends {
		require.Contains(t, s.payload, complete, "nothing is sent that is not complete")
	}
	stored, err := r.store.Payload(t.Context(), "a", 2)
	require.NoError(t, err)
	require.Equal(t, "done:p2", string(stored.Prepared))
}

// TestAnotherTransactionIsNotSent: what was accepted is known by its hash.
func TestAnotherTransactionIsNotSent(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*ffcapi.Prepared){
		func(p *ffcapi.Prepared) { p.Hash = "another" },
		func(p *ffcapi.Prepared) { p.Ledger = "another" },
	} {
		r := completingRig(t, setup{}, func(_ context.Context, done *ffcapi.Prepared) error {
			change(done)
			return nil
		})
		r.submit(submission("a"))
		require.Eventually(t, func() bool {
			tx, err := r.Transaction(t.Context(), "a", false)
			require.NoError(t, err)
			return strings.Contains(tx.ErrorMessage, "made another transaction of h:a#1")
		}, wait, tick)
		require.Empty(t, r.fake.sends())
		require.Equal(t, "h:a#1", r.attempts("a")[0].Hash)
	}
}

// TestPanicOverWhatIsLeft costs some time.
func TestPanicOverWhatIsLeft(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	r := completingRig(t, setup{}, func(context.Context, *ffcapi.Prepared) error {
		if calls.Add(1) == 1 {
			panic("Finish")
		}
		return nil
	})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.EqualValues(t, 2, calls.Load())
}

// TestStopSaysNothingAboutWhatIsLeft: what is cut short then is no refusal, of the first attempt or of one that was prepared afresh.
func TestStopSaysNothingAboutWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{"done:p1", "done:p2"} {
		f, ahead := impatient(ffcapi.SentNo)
		called := make(chan struct{})
		r := completingRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Now = func() time.Time { return clock(ahead) } }},
			func(ctx context.Context, done *ffcapi.Prepared) error {
				if string(done.Payload) != cut {
					return nil
				}
				close(called)
				<-ctx.Done()
				return ffcapi.Errorf(ffcapi.Reverted, "cut short")
			})
		r.submit(submission("a"))
		if cut == "done:p2" {
			r.untilSent(1)
			ahead.Store(int64(2 * time.Hour))
		}
		<-called
		r.stop()
		tx, err := r.store.Transaction(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, store.Pending, tx.Status)
		require.NotContains(t, tx.Error, "cut short")
	}
}

// TestWhatIsSuspendedIsNotCompleted: somebody looks at it, and leaves it as it is.
func TestWhatIsSuspendedIsNotCompleted(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	later := ffcapi.Errorf(ffcapi.Unavailable, "later")
	later.RetryAfter = time.Minute
	r := completingRig(t, setup{opts: func(o *txn.Options) { o.Workers = 1 }}, func(_ context.Context, done *ffcapi.Prepared) error {
		if strings.HasPrefix(string(done.Payload), complete+"a") && calls.Add(1) == 1 {
			return later
		}
		return nil
	})
	r.submit(submission("a"))
	require.Eventually(t, func() bool {
		tx, err := r.Transaction(t.Context(), "a", false)
		require.NoError(t, err)
		return tx.ErrorMessage != "" && r.Load().Sending == 0 // no worker has it
	}, wait, tick)
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	r.consumed()
	r.submit(submission("b")) // the one worker takes it after a
	r.until("b", store.SubTracking)
	require.EqualValues(t, 1, calls.Load())
	_, err = r.ResumeTransaction(t.Context(), "a")
	require.NoError(t, err)
	r.until("a", store.SubTracking)
	require.EqualValues(t, 2, calls.Load())
}

// TestSlowDownBeforeTheClaim counts like one that a send is answered.
func TestSlowDownBeforeTheClaim(t *testing.T) {
	t.Parallel()
	r := completingRig(t, setup{opts: func(o *txn.Options) { o.Workers = 8 }}, func(context.Context, *ffcapi.Prepared) error {
		return ffcapi.Errorf(ffcapi.RateLimited, "slow down")
	})
	require.Equal(t, 8, r.Load().Limit)
	r.submit(submission("a"))
	require.Eventually(t, func() bool { return r.Load().Limit < 8 }, wait, tick)
}
