package txn_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/lifecycle/lifecycletest"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	st := sqlstoretest.Open(t, sqlstoretest.SQLite)
	lifecycletest.Stress(t, func() lifecycle.Service {
		m, err := txn.New(txn.Options{
			Connector: newFake(), Store: st, Fence: st.Fence, Policy: simple.New(simple.Config{}), Chain: newView(t, st), Log: quiet(), Workers: 3,
		})
		require.NoError(t, err)
		return m
	})
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	_, err := txn.New(txn.Options{})
	require.Error(t, err)
}

// crash ends a rig's work as a kill would: what is under way gets no answer.
func (r *rig) crash() {
	r.t.Helper()
	r.stop()
	require.NoError(r.t, r.store.Close())
}

// TestRestart: what was claimed is looked for one by one, then the same bytes are sent again; what was not claimed follows in order;
// what a node took waits for its block and is not touched.
func TestRestart(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{sequenced: true, place: place})
	r.fake.onSubmit = func(ctx context.Context, sub *ffcapi.Submission, _ int) error {
		if *sub.Nonce >= 1 && sub.From == "alice" {
			<-ctx.Done() // no answer
			return ctx.Err()
		}
		return nil
	}
	r.submit(submission("a0"))
	r.until("a0", store.SubTracking)
	r.submit(submission("a1"))
	r.untilSent(2)
	r.submit(submission("a2"))
	r.submit(submission("a3"))
	r.submit(from("bob", "b0"))
	r.until("b0", store.SubTracking)
	r.crash()

	f := newFake()
	second := newRig(t, setup{sequenced: true, place: place, fake: f})
	for _, id := range []string{"a1", "a2", "a3"} {
		second.until(id, store.SubTracking)
	}
	require.Equal(t, []send{{from: "alice", nonce: 1, payload: "a1#2"}, {from: "alice", nonce: 2, payload: "a2#3"}, {from: "alice", nonce: 3, payload: "a3#4"}}, f.sends(), "a0 and b0 are not sent again")
	require.Equal(t, 1, f.calls("Receipt"), "one is in doubt")
	require.Zero(t, f.calls("Prepare"))
	require.EqualValues(t, 4, second.submit(submission("a4")).Nonce.Int().Uint64())
	second.until("a4", store.SubTracking)

	// The outcomes come from the blocks.
	var outcomes []ffcapi.TxOutcome
	for _, id := range []string{"a0", "a1", "b0"} {
		tx, err := second.store.Transaction(t.Context(), id)
		require.NoError(t, err)
		outcomes = append(outcomes, success(tx.Hash))
	}
	second.view.block(0, outcomes...)
	for _, id := range []string{"a0", "a1", "b0"} {
		second.until(id, store.SubConfirmed)
	}
}

// TestRestartFindsItOnTheChain: it had got there. Nothing is sent.
func TestRestartFindsItOnTheChain(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{place: place})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r.submit(submission("a"))
	r.untilSent(1)
	r.crash()

	requireFound(t, setup{place: place}, "a#1")
}

// requireFound starts anew on a place where transaction "a" is open, whose payload is in block 1: it is confirmed, and nothing is sent.
func requireFound(t *testing.T, s setup, payload string) {
	t.Helper()
	block := ffcapi.BlockRef{Number: 1, Hash: "b1"}
	s.fake, s.stopped = newFake(), true
	s.fake.put(payload, &ffcapi.Receipt{Block: block, Success: true})
	r := newRig(t, s)
	require.NoError(t, r.view.Ready(t.Context(), ""))
	r.view.mu.Lock()
	r.view.safe, r.view.hashes[1] = block, block.Hash
	r.view.mu.Unlock()
	r.start()
	r.until("a", store.SubConfirmed)
	require.Empty(t, s.fake.sends())
}

// TestManyAfterARestart: more than a page, each signer's in order.
func TestManyAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true, stopped: true})
	const n, signers = 1040, 20
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id := fmt.Sprintf("t%d", i)
			_, err := r.store.Accept(t.Context(), r.store.Fence(), &store.NewTx{
				Tx:        store.Tx{ID: id, Sub: store.SubReceived, From: fmt.Sprintf("s%d", i%signers)},
				Request:   []byte(`{}`),
				Attempt:   store.Attempt{Hash: hashOf(id)},
				Payload:   store.Payload{Prepared: []byte(id)},
				Sequenced: true,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.start()
	sends := r.untilSent(n)
	require.False(t, r.fake.overlapped())
	next := map[string]uint64{}
	for _, s := range sends {
		require.Equal(t, next[s.from], s.nonce)
		next[s.from]++
	}
}

// TestLostStoreStopsTheSending at once, also what is under way.
func TestLostStoreStopsTheSending(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{})
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Lost = lost }})
	cut := make(chan struct{})
	r.fake.onSubmit = func(ctx context.Context, sub *ffcapi.Submission, _ int) error {
		if string(sub.Prepared.Payload) != "a#1" {
			return nil
		}
		<-ctx.Done()
		close(cut)
		return ctx.Err()
	}
	r.submit(submission("a"))
	r.untilSent(1)
	close(lost)
	<-cut
	_, _, err := r.Submit(t.Context(), submission("b"))
	require.Error(t, err)
	require.Len(t, r.fake.sends(), 1)
	r.stop()
	row, err := r.store.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, store.SubSubmitting, row.Sub, "and nothing is written to a store that may be another's")
}

func TestStopCutsWhatHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	preparing := make(chan error, 1)
	r.submit(submission("a"))
	r.untilSent(1)
	r.fake.mu.Lock()
	r.fake.onPrepare = func(ctx context.Context, _ *ffcapi.Request) (*ffcapi.Prepared, error) {
		preparing <- nil
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r.fake.mu.Unlock()
	go func() {
		_, _, err := r.Submit(context.Background(), submission("b"))
		preparing <- err
	}()
	<-preparing
	began := time.Now()
	r.stop()
	require.Less(t, time.Since(began), 5*time.Second)
	require.Error(t, <-preparing)
}

// TestAnswerIsStoredWhileStopping: the node took it, and the manager stops before it could write that down.
func TestAnswerIsStoredWhileStopping(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done()
		return nil
	}
	r.submit(submission("a"))
	r.untilSent(1)
	r.stop()
	require.Equal(t, store.SubTracking, r.until("a", store.SubTracking).Sub)
}

// faulty is a store that fails as a test says.
type faulty struct {
	store.Store
	open   func()
	accept func(n *store.NewTx) (error, bool) // the error to answer, and whether it is carried out all the same
	update func(u *store.TxUpdate) error
}

func (f *faulty) Accept(ctx context.Context, fence store.Fence, n *store.NewTx) (*store.Accepted, error) {
	if f.accept != nil {
		if err, done := f.accept(n); err != nil {
			if done {
				if _, err := f.Store.Accept(ctx, fence, n); err != nil {
					return nil, err
				}
			}
			return nil, err
		}
	}
	return f.Store.Accept(ctx, fence, n)
}

func (f *faulty) Open(ctx context.Context, after int64, limit int) ([]*store.Tx, error) {
	if f.open != nil {
		f.open()
	}
	return f.Store.Open(ctx, after, limit)
}

func (f *faulty) Update(ctx context.Context, fence store.Fence, u *store.TxUpdate) error {
	if f.update != nil {
		if err := f.update(u); err != nil {
			return err
		}
	}
	return f.Store.Update(ctx, fence, u)
}

// TestCommittedButNotAnswered: the connection to the store broke in the middle of an Accept. The request is answered if it can be
// found, and it is sent without a restart, in its order.
func TestCommittedButNotAnswered(t *testing.T) {
	t.Parallel()
	f := &faulty{}
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { f.Store = o.Store; o.Store = f }})
	r.submit(submission("a0"))
	r.until("a0", store.SubTracking)
	read := make(chan struct{})
	f.open = func() { <-read }
	var broken atomic.Bool
	broken.Store(true)
	f.accept = func(*store.NewTx) (error, bool) {
		if broken.Swap(false) {
			return fmt.Errorf("broken pipe: %w", store.ErrUnavailable), true
		}
		return nil, false
	}
	tx, _, err := r.Submit(t.Context(), submission("a1"))
	require.NoError(t, err, "it was found")
	require.EqualValues(t, 1, tx.Nonce.Int().Uint64())
	r.submit(submission("a2"))
	r.submit(from("bob", "b0"))
	r.until("b0", store.SubTracking)
	require.Len(t, r.fake.sends(), 2, "a2 waits: what the store may hold has a lower nonce")
	close(read)
	for i := range 3 {
		r.until(fmt.Sprintf("a%d", i), store.SubTracking)
	}
	var nonces []uint64
	for _, s := range r.fake.sends() {
		if s.from == "alice" {
			nonces = append(nonces, s.nonce)
		}
	}
	require.Equal(t, []uint64{0, 1, 2}, nonces)
}

func TestNothingIsSentWithoutItsClaim(t *testing.T) {
	t.Parallel()
	f := &faulty{}
	r := newRig(t, setup{opts: func(o *txn.Options) { f.Store = o.Store; o.Store = f }})
	refused := make(chan struct{}, 100)
	var away atomic.Bool
	away.Store(true)
	f.update = func(*store.TxUpdate) error {
		if away.Load() {
			refused <- struct{}{}
			return store.ErrUnavailable
		}
		return nil
	}
	r.submit(submission("a"))
	<-refused
	require.Empty(t, r.fake.sends())
	away.Store(false)
	r.until("a", store.SubTracking)
	require.Len(t, r.fake.sends(), 1)
}

// TestUnstoredAnswerIsFoundOut: sent, and the store did not take the answer. It is read again, looked for, and sent again.
func TestUnstoredAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	f := &faulty{}
	r := newRig(t, setup{opts: func(o *txn.Options) { f.Store = o.Store; o.Store = f }})
	var n atomic.Int64
	f.update = func(*store.TxUpdate) error {
		if n.Add(1) == 2 {
			return store.ErrUnavailable
		}
		return nil
	}
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.Equal(t, []send{{from: "alice", nonce: 0, payload: "a#1"}, {from: "alice", nonce: 0, payload: "a#1"}}, r.fake.sends())
	require.Equal(t, 1, r.fake.calls("Receipt"))
}

func TestFencedMeansSomebodyElseIsTheOwner(t *testing.T) {
	t.Parallel()
	f := &faulty{}
	r := newRig(t, setup{opts: func(o *txn.Options) { f.Store = o.Store; o.Store = f }})
	f.update = func(*store.TxUpdate) error { return store.ErrFenced }
	r.submit(submission("a"))
	require.Eventually(t, func() bool {
		_, _, err := r.Submit(t.Context(), submission("b"))
		return err != nil
	}, wait, tick)
	require.Empty(t, r.fake.sends())
}

func TestStartNeedsTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{stopped: true, opts: func(o *txn.Options) { o.Store = headless{o.Store} }})
	require.ErrorContains(t, r.Start(t.Context()), "headless")
	require.ErrorIs(t, r.Start(t.Context()), lifecycle.ErrStopped)
}

type headless struct{ store.Store }

func (headless) StatusHead(context.Context) (int64, error) { return 0, errors.New("headless") }
