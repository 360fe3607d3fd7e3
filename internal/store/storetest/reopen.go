package storetest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// reopen checks that everything is there after the store was closed and opened again, by a new owner.
func reopen(t *testing.T, open func() store.Store) {
	ctx := t.Context()
	f := with(t, open())
	c := f.chain()
	f.accept(sequenced("a", "alice"))
	f.accept(sequenced("b", "alice"))
	f.claim("a")
	c.advance(final(c.next(1, ok("a")), 1))
	f.insertStream("s", "l")
	epoch, err := f.NewEpoch(ctx, f.Fence(), "s")
	require.NoError(t, err)
	require.NoError(t, f.WriteCheckpoints(ctx, f.Fence(), "s", epoch, []store.Checkpoint{checkpoint("l", 3)}))
	before := f.everything("a", "b")
	old := f.Fence()
	require.NoError(t, f.Close())

	f = with(t, open())
	require.Equal(t, before, f.everything("a", "b"))
	require.Equal(t, old.Lease, f.Fence().Lease)
	require.Greater(t, f.Fence().Generation, old.Generation)
	_, err = f.Accept(ctx, old, newTx("c"))
	require.ErrorIs(t, err, store.ErrFenced, "the owner before")
	require.Equal(t, uint64(2), *f.accept(sequenced("d", "alice")).Nonce)
	again, err := f.Accept(ctx, f.Fence(), sequenced("a", "alice"))
	require.NoError(t, err)
	require.True(t, again.Replay)
	next, err := f.NewEpoch(ctx, f.Fence(), "s")
	require.NoError(t, err)
	require.Equal(t, epoch+1, next)
}

// everything reads all that a store says.
func (f *fixture) everything(ids ...string) []any {
	f.t.Helper()
	ctx := f.t.Context()
	var all []any
	add := func(v any, err error) {
		f.t.Helper()
		require.NoError(f.t, err)
		all = append(all, v)
	}
	for _, id := range ids {
		add(f.Transaction(ctx, id))
		add(f.Attempts(ctx, id))
		add(f.History(ctx, id))
		add(f.Request(ctx, id))
		add(f.Payload(ctx, id, 1))
	}
	add(f.List(ctx, store.TxFilter{}))
	add(f.Status(ctx, 0, 0))
	add(f.StatusHead(ctx))
	add(f.Ledger(ctx, "main"))
	add(f.Streams(ctx, 0, 0))
	add(f.Listeners(ctx, "", 0, 0))
	add(f.Checkpoints(ctx, "s"))
	nonce, at, err := f.NewestNonce(ctx, "main", "alice")
	add([]any{nonce, at}, err)
	return all
}

// numbersOutliveRows: what was removed before the store was closed leaves its numbers used, also if nothing else is left.
func numbersOutliveRows(t *testing.T, open func() store.Store) {
	ctx := t.Context()
	f := with(t, open())
	f.accept(sequenced("a", "alice"))
	f.accept(sequenced("b", "alice"))
	f.end("a", store.Failed)
	f.end("b", store.Failed)
	newest, head := f.tx("b").Seq, f.statusHead()
	n, _, err := f.Remove(ctx, f.Fence(), tomorrow(), 0, 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = f.TrimStatus(ctx, f.Fence(), math.MaxInt64, tomorrow(), 10)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	f = with(t, open())
	c := f.accept(sequenced("c", "alice"))
	require.Greater(t, c.Seq, newest)
	require.EqualValues(t, 2, *c.Nonce)
	f.end("c", store.Failed)
	require.Greater(t, f.statusHead(), head)
}

func (f *fixture) statusHead() int64 {
	f.t.Helper()
	head, err := f.StatusHead(f.t.Context())
	require.NoError(f.t, err)
	return head
}
