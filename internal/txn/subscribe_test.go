package txn_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// watched is a store that tells when what is between its calls matters.
type watched struct {
	store.Store

	deaf       bool // nobody is woken
	subscribed atomic.Bool
	late       atomic.Int64 // pages of the log that were read before somebody had subscribed to what comes after them
	read       func(id string)
	head       func() // called once, when the end of the log has been read
}

func (s *watched) StatusHead(ctx context.Context) (int64, error) {
	seq, err := s.Store.StatusHead(ctx)
	if head := s.head; head != nil {
		s.head = nil
		head()
	}
	return seq, err
}

func (s *watched) Changed() <-chan struct{} {
	s.subscribed.Store(true)
	if s.deaf {
		return nil
	}
	return s.Store.Changed()
}

func (s *watched) Status(ctx context.Context, after int64, limit int) ([]store.StatusEntry, error) {
	if !s.subscribed.Swap(false) {
		s.late.Add(1)
	}
	return s.Store.Status(ctx, after, limit)
}

func (s *watched) Transaction(ctx context.Context, id string) (*store.Tx, error) {
	tx, err := s.Store.Transaction(ctx, id)
	if s.read != nil {
		s.read(id)
	}
	return tx, err
}

// TestTheTailSubscribesBeforeItReads: what is written in between wakes it.
func TestTheTailSubscribesBeforeItReads(t *testing.T) {
	t.Parallel()
	var s watched
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }})
	for _, id := range []string{"a", "b"} {
		r.submit(submission(id))
		row := r.until(id, store.SubTracking)
		r.view.block(0, success(row.Hash))
		r.consumed()
	}
	require.Zero(t, s.late.Load())
}

// consumed waits until the manager has heard of all that was written.
func (r *rig) consumed() {
	r.t.Helper()
	head, err := r.store.StatusHead(r.t.Context())
	require.NoError(r.t, err)
	require.Eventually(r.t, func() bool { return r.Consumed() >= head }, wait, tick)
}

// TestWhatEndsWhileItIsRead is told to whoever began to wait for it.
func TestWhatEndsWhileItIsRead(t *testing.T) {
	t.Parallel()
	var s watched
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }, stopped: true})
	var ends sync.Once
	var armed atomic.Bool
	s.read = func(string) {
		if armed.Load() {
			ends.Do(func() {
				r.view.block(0, success(hashOf("a#1")))
				r.consumed()
			})
		}
	}
	r.start()
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	armed.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	tx, err := r.Await(ctx, "a", false, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status)
}

// TestWhatEndsDuringTheStartIsTold: the log is read from where it ended before anything began.
func TestWhatEndsDuringTheStartIsTold(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	before := newRig(t, setup{place: place})
	before.submit(submission("a"))
	hash := before.until("a", store.SubTracking).Hash
	before.crash()
	var s watched
	r := newRig(t, setup{place: place, opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }, stopped: true})
	require.NoError(t, r.view.Ready(t.Context(), ""))
	s.head = func() { r.view.block(0, success(hash)) }
	r.start()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.statuses) == 1 && r.statuses[0].Status == store.Succeeded
	}, wait, tick)
}

// TestTheTailAsksFromTimeToTime: a wake-up may be lost on the way.
func TestTheTailAsksFromTimeToTime(t *testing.T) {
	t.Parallel()
	s := watched{deaf: true}
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	r.view.block(0, success(row.Hash))
	r.consumed()
}

// listening is an engine that tells whether a block was heard of since the last send.
type listening struct {
	heard chan bool
	over  <-chan struct{}
}

func (e listening) Decide(v policy.View) policy.Decision {
	if v.Tx.Phase != policy.Tracking {
		return policy.Decision{Do: policy.Submit}
	}
	select {
	case e.heard <- v.Tx.Heard:
	case <-e.over:
	}
	return policy.Decision{Do: policy.Wait, Until: v.Now.Add(10 * time.Millisecond)}
}

// TestBlocksAreHeardOf: the engine is told whether the chain makes blocks, in one of which the transaction should have been.
func TestBlocksAreHeardOf(t *testing.T) {
	t.Parallel()
	e := listening{make(chan bool), t.Context().Done()}
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Policy = e }})
	r.submit(submission("a"))
	for range 3 {
		require.False(t, <-e.heard, "there was none")
	}
	r.view.block(0)
	deadline := time.After(wait)
	for heard := false; !heard; {
		select {
		case heard = <-e.heard:
		case <-deadline:
			require.Fail(t, "never heard of")
		}
	}
}
