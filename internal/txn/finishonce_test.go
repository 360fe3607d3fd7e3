package txn_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// enveloping is a fake of which each Finish makes another envelope.
type enveloping struct {
	*fake
	made *atomic.Int64
}

func (e enveloping) Finish(_ context.Context, sub *ffcapi.Submission) (*ffcapi.Prepared, error) {
	done := *sub.Prepared
	done.Payload = fmt.Appendf(nil, "envelope %d", e.made.Add(1))
	return &done, nil
}

// TestWhatMayHaveLeftIsNotCompleted once more, whatever its sends were answered, and in the next process, too: an envelope never expires, so a second one could
// take effect beside the first.
func TestWhatMayHaveLeftIsNotCompleted(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"taken, and in no block": nil,
		"not answered":           &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe},
		"refused":                &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place, made := sqlstoretest.NewPlace(t, sqlstoretest.SQLite), new(atomic.Int64)
			open := func() *rig {
				f := newFake()
				f.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return answer }
				return newRig(t, setup{place: place, fake: f, opts: func(o *txn.Options) {
					o.Connector, o.Policy = enveloping{f, made}, engineFunc(func(v policy.View) policy.Decision {
						return policy.Decision{Do: policy.Submit, Until: v.Now.Add(10 * time.Millisecond)}
					})
				}})
			}
			r := open()
			r.submit(submission("a"))
			sends := r.untilSent(3)
			r.crash()
			r = open() // what was under way then is not known here
			require.Eventually(t, func() bool { return txn.Loaded(r.Manager) == 1 }, wait, tick)
			_, err := r.ResumeTransaction(t.Context(), "a") // what a node has taken could wait, but need not
			require.NoError(t, err)
			for _, s := range append(sends, r.untilSent(2)...) {
				require.Equal(t, "envelope 1", s.payload)
			}
			require.EqualValues(t, 1, made.Load(), "it is not even asked for")
			stored, err := r.store.Payload(t.Context(), "a", 1)
			require.NoError(t, err)
			require.Equal(t, "envelope 1", string(stored.Prepared))
		})
	}
}

// TestWhatIsBeingSentIsNotCompleted: another worker of the same transactions looks at it meanwhile, as when one process takes over from another.
func TestWhatIsBeingSentIsNotCompleted(t *testing.T) {
	t.Parallel()
	f, made := newFake(), new(atomic.Int64)
	begun, end := make(chan struct{}, 10), make(chan struct{})
	f.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		begun <- struct{}{}
		<-end
		return nil
	}
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Connector = enveloping{f, made} }})
	r.submit(submission("a"))
	<-begun
	r.twin() // it sends the same bytes again, as it has to
	<-begun
	close(end)
	r.until("a", store.SubTracking)
	for _, s := range f.sends() {
		require.Equal(t, "envelope 1", s.payload)
	}
	require.EqualValues(t, 1, made.Load())
}
