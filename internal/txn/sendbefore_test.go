package txn_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// impatient is a fake chain whose payloads have to be sent within an hour, and the clock. Until the clock is moved, sends are answered with sent;
// those of the first payload for ever, if nothing of it leaves.
func impatient(sent ffcapi.Sent) (*fake, *atomic.Int64) {
	f, ahead := newFake(), new(atomic.Int64)
	f.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		payload := fmt.Sprintf("p%d", f.calls("Prepare"))
		return &ffcapi.Prepared{Payload: []byte(payload), Hash: hashOf(payload), SendBefore: clock(ahead).Add(time.Hour)}, nil
	}
	f.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if ahead.Load() == 0 || sent == ffcapi.SentNo && strings.HasSuffix(string(sub.Prepared.Payload), "p1") {
			return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: sent, Message: "away"}
		}
		return nil
	}
	return f, ahead
}

func clock(ahead *atomic.Int64) time.Time { return time.Now().Add(time.Duration(ahead.Load())) }

// TestWhatWaitedTooLongIsPreparedAfresh: nothing of it has left, so another payload does no harm.
func TestWhatWaitedTooLongIsPreparedAfresh(t *testing.T) {
	t.Parallel()
	f, ahead := impatient(ffcapi.SentNo)
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Now = func() time.Time { return clock(ahead) } }})
	r.submit(submission("a"))
	for _, s := range r.untilSent(3) {
		require.Equal(t, "p1", s.payload, "it is sent again while there is time")
	}
	ahead.Store(int64(2 * time.Hour))
	r.until("a", store.SubTracking)
	attempts := r.attempts("a")
	require.Len(t, attempts, 2)
	require.Equal(t, store.AttemptDone, attempts[0].State)
	require.Equal(t, "replaced before anything left", attempts[0].Dead)
	require.Equal(t, hashOf("p2"), attempts[1].Hash)
	require.WithinDuration(t, clock(ahead).Add(time.Hour), attempts[1].SendBefore, time.Minute, "the new one has time of its own")
	sends := f.sends()
	require.Equal(t, "p2", sends[len(sends)-1].payload)
}

// TestWhatMayHaveLeftIsNotPreparedAfresh, however long it takes: there would be two of it.
func TestWhatMayHaveLeftIsNotPreparedAfresh(t *testing.T) {
	t.Parallel()
	f, ahead := impatient(ffcapi.SentMaybe)
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Now = func() time.Time { return clock(ahead) } }})
	r.submit(submission("a"))
	r.untilSent(1)
	ahead.Store(int64(2 * time.Hour))
	r.until("a", store.SubTracking)
	require.Len(t, r.attempts("a"), 1)
	for _, s := range f.sends() {
		require.Equal(t, "p1", s.payload)
	}
}
