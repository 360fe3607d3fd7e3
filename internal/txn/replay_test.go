package txn_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	first := r.submit(submission("a"))
	again := submission("a")
	again.Raw = json.RawMessage(`{"params":[1.0],"method":"a", "to":"assets","from":"alice","headers":{"id":"a","type":"SendTransaction"}}`)
	tx, replay, err := r.Submit(t.Context(), again)
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, first.ID, tx.ID)
	require.Equal(t, 1, r.fake.calls("Prepare"))

	again.Raw = json.RawMessage(strings.Replace(string(again.Raw), "1.0", "2", 1))
	_, _, err = r.Submit(t.Context(), again)
	require.ErrorIs(t, err, store.ErrKeyReused)
}

// TestRefusalOfAReplay: two posts of one key are prepared by two processes. One commits; what it did makes the other's simulation
// fail. The answer is the transaction, not the refusal.
func TestRefusalOfAReplay(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{
		&ffcapi.Error{Kind: ffcapi.Reverted, Message: "it exists"},
		&ffcapi.Error{Kind: ffcapi.Unavailable, Message: "away"},
	} {
		r := newRig(t, setup{})
		r.fake.onPrepare = func(ctx context.Context, _ *ffcapi.Request) (*ffcapi.Prepared, error) {
			// Another process, with the same store, is faster.
			r.fake.mu.Lock()
			r.fake.onPrepare = nil
			r.fake.mu.Unlock()
			if _, replay, err := r.twin().Submit(ctx, submission("a")); err != nil || replay {
				t.Errorf("the other process: %v %v", replay, err)
			}
			return nil, refusal
		}
		tx, replay, err := r.Submit(t.Context(), submission("a"))
		require.NoError(t, err)
		require.True(t, replay)
		require.Equal(t, "a", tx.ID)
	}
}

// TestReplayOfWhatIsLongForgotten: what a process accepted before it began is answered from the store, and so it is when it cannot even be
// prepared any more. What is open is known, and not prepared again.
func TestReplayOfWhatIsLongForgotten(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	first := newRig(t, setup{place: place})
	for _, id := range []string{"done", "open"} {
		first.submit(submission(id))
		first.until(id, store.SubTracking)
	}
	first.view.block(0, success(first.until("done", store.SubTracking).Hash))
	first.until("done", store.SubConfirmed)
	first.crash()

	r := newRig(t, setup{place: place, fake: newFake()})
	require.Eventually(t, func() bool { return r.Load().Signers == 1 }, wait, tick)
	again := func(id string) {
		tx, replay, err := r.Submit(t.Context(), submission(id))
		require.NoError(t, err)
		require.True(t, replay)
		require.Equal(t, id, tx.ID)
	}
	again("open")
	require.Zero(t, r.fake.calls("Prepare"))
	again("done")
	require.Equal(t, 1, r.fake.calls("Prepare"))
	again("done")
	require.Equal(t, 1, r.fake.calls("Prepare"), "it is known now")
}

// TestUsedKeyOfWhatCannotBePrepared: the answer is the transaction that has the key, or that it has another body.
func TestUsedKeyOfWhatCannotBePrepared(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	first := newRig(t, setup{place: place})
	first.submit(submission("a"))
	first.view.block(0, success(first.until("a", store.SubTracking).Hash))
	first.until("a", store.SubConfirmed)
	first.crash()

	r := newRig(t, setup{place: place, fake: newFake()})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, &ffcapi.Error{Kind: ffcapi.Unavailable, Message: "away"}
	}
	other := submission("a")
	other.Raw = json.RawMessage(`{"headers":{"id":"a"},"params":[7]}`)
	_, _, err := r.Submit(t.Context(), other)
	require.ErrorIs(t, err, store.ErrKeyReused)
	tx, replay, err := r.Submit(t.Context(), submission("a"))
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, "a", tx.ID)
}

// TestRefusalOfAReplayAfterItsDeadline: the refusal came when the request's time was up, and is about what another process did. The key is looked up
// all the same: that does not hang on the request.
func TestRefusalOfAReplayAfterItsDeadline(t *testing.T) {
	t.Parallel()
	for _, kind := range []ffcapi.Kind{ffcapi.Reverted, ffcapi.Unavailable} {
		r := newRig(t, setup{})
		_, replay, err := r.twin().Submit(t.Context(), submission("a"))
		require.NoError(t, err)
		require.False(t, replay)
		request, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
			<-request.Done()
			return nil, ffcapi.Errorf(kind, "it exists")
		}
		tx, replay, err := r.Submit(request, submission("a"))
		cancel()
		require.NoError(t, err)
		require.True(t, replay)
		require.Equal(t, "a", tx.ID)
	}
}

// TestAKeyThatWasFreeIsLookedUpAgain: that a key was nobody's when a request was refused says nothing about the next request with it.
func TestAKeyThatWasFreeIsLookedUpAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "no")
	}
	_, _, err := r.Submit(t.Context(), submission("a"))
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
	r.fake.mu.Lock()
	refuse := r.fake.onPrepare
	r.fake.onPrepare = nil
	r.fake.mu.Unlock()
	_, replay, err := r.twin().Submit(t.Context(), submission("a"))
	require.NoError(t, err)
	require.False(t, replay)
	r.fake.mu.Lock()
	r.fake.onPrepare = refuse
	r.fake.mu.Unlock()
	tx, replay, err := r.Submit(t.Context(), submission("a"))
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, "a", tx.ID)
}
