package devledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

func TestFailNext(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	k := c.Knobs()
	boom := errors.New("boom")
	k.FailNext(devledger.MethodLedger, boom, 2)
	for range 2 {
		_, err := c.Ledger(t.Context(), "")
		require.ErrorIs(t, err, boom)
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	}
	head(t, c)

	k.FailNext(devledger.MethodSubmit, &ffcapi.Error{Kind: ffcapi.RateLimited, Sent: ffcapi.SentMaybe}, 1)
	p, err := c.Prepare(t.Context(), request("ann", "create", `"a"`, `1`))
	require.NoError(t, err)
	sub := submission(t, c, p, "ann")
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.RateLimited, ffcapi.KindOf(err))
	require.Equal(t, ffcapi.SentMaybe, ffcapi.AsError(err).Sent)
	_, err = c.Submit(t.Context(), sub)
	require.NoError(t, err)

	k.FailNext(devledger.MethodBlocks, boom, 1)
	var got []error
	for _, err := range c.Blocks(t.Context(), "", ffcapi.BlockRef{}) {
		got = append(got, err)
	}
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0], boom)
}

func TestSendDelayEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := memory()
		cfg.SendDelay = time.Second
		c := open(t, cfg, "")
		p, err := c.Prepare(t.Context(), request("ann", "create", `"a"`, `1`))
		require.NoError(t, err)
		sub := submission(t, c, p, "ann")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err = c.Submit(ctx, sub)
		require.Equal(t, ffcapi.Timeout, ffcapi.KindOf(err))
		require.Equal(t, ffcapi.SentNo, ffcapi.AsError(err).Sent)
		began := time.Now()
		_, err = c.Submit(t.Context(), sub)
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))

		c.Knobs().Delay(devledger.MethodQuery, time.Minute)
		began = time.Now()
		_, err = c.Query(t.Context(), request("", "list"))
		require.NoError(t, err)
		require.Equal(t, time.Minute, time.Since(began))
		require.NoError(t, c.Close())
	})
}

func TestBlocksRepeatTheHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := open(t, memory(), "")
		began := time.Now()
		var at []time.Duration
		for b, err := range c.Blocks(t.Context(), "", ffcapi.BlockRef{}) {
			require.NoError(t, err)
			require.Zero(t, b.Number)
			if at = append(at, time.Since(began)); len(at) == 3 {
				break
			}
		}
		require.Equal(t, []time.Duration{0, 30 * time.Second, time.Minute}, at)
		require.NoError(t, c.Close())
	})
}

func TestBlockPeriod(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		period   time.Duration
		finality ffcapi.Finality
		want     uint64 // blocks within ten seconds of nothing to do
	}{
		"at once":           {0, ffcapi.Instant, 0},
		"for confirmations": {0, ffcapi.Confirmations, 10},
		"each two seconds":  {2 * time.Second, ffcapi.Instant, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := memory()
				cfg.BlockPeriod, cfg.Finality = tc.period, tc.finality
				c := open(t, cfg, "")
				timer := time.NewTimer(10*time.Second + time.Millisecond)
				<-timer.C
				require.Equal(t, tc.want, head(t, c).Number)
				send(t, c, request("ann", "create", `"a"`, `1`))
				synctest.Wait()
				waits := tc.period > 0
				require.Equal(t, waits, head(t, c).Number == tc.want)
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestMaxBlockTransactions(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.MaxBlockTransactions = 3
	c := open(t, cfg, "")
	c.Knobs().Pause()
	var last string
	for i := range 7 {
		last = send(t, c, request(fmt.Sprint("s", i%2), "create", quote(fmt.Sprint(i)), `1`))
	}
	require.Zero(t, head(t, c).Number)
	c.Knobs().Resume()
	require.Equal(t, uint64(3), receipt(t, c, last).Block.Number)
	var sizes []int
	for b, err := range c.Blocks(t.Context(), "", ffcapi.BlockRef{}) {
		require.NoError(t, err)
		if sizes = append(sizes, len(b.Transactions)); b.Number == 3 {
			break
		}
	}
	require.Equal(t, []int{0, 3, 3, 1}, sizes)
}

func TestDuplicateIsNotListed(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	k := c.Knobs()
	k.Pause()
	k.DuplicateNext(1)
	first := send(t, c, request("ann", "create", `"a"`, `1`))
	second := send(t, c, request("ann", "create", `"b"`, `1`))
	require.NoError(t, k.MineNow(t.Context()))
	b, err := c.Block(t.Context(), "", 1)
	require.NoError(t, err)
	require.Len(t, b.Transactions, 2)
	require.Equal(t, first, b.Transactions[0].Hash)
	require.Equal(t, second, b.Transactions[1].Hash)
	require.Equal(t, uint64(2), b.Transactions[1].Index, "the refused entry has a place of its own")
	require.Equal(t, uint64(2), receipt(t, c, second).TxIndex)
}

func TestReorganiseNeedsConfirmations(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, open(t, memory(), "").Knobs().Reorganise(t.Context(), 1, nil), "finality confirmations")
	cfg := memory()
	cfg.Finality = ffcapi.Confirmations
	k := open(t, cfg, "").Knobs()
	require.ErrorContains(t, k.Reorganise(t.Context(), 0, nil), "at least one")
	require.ErrorContains(t, k.Reorganise(t.Context(), 1000, nil), "cannot be replaced")
}

func TestReorganiseKeepsOrderAndNonces(t *testing.T) {
	t.Parallel()
	cfg := devledger.DefaultConfig()
	cfg.Finality, cfg.BlockPeriod = ffcapi.Confirmations, time.Hour
	dir := t.TempDir()
	c := open(t, cfg, dir)
	k := c.Knobs()
	var hashes []string
	for i := range 5 { // blocks 1 to 5, nonces 0 to 4
		hashes = append(hashes, send(t, c, request("ann", "create", quote(fmt.Sprint(i)), `1`)))
		require.NoError(t, k.MineNow(t.Context()))
	}
	for range 3 { // each of them deeper than the last
		require.NoError(t, k.Reorganise(t.Context(), 1, nil))
		require.NoError(t, k.Reorganise(t.Context(), 2, nil))
	}
	require.NoError(t, k.Reorganise(t.Context(), 4, func(h string) bool { return h == hashes[2] }))
	require.Equal(t, uint64(5), head(t, c).Number)
	check := func(c devledger.Connector) {
		t.Helper()
		for i, h := range hashes {
			_, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: h})
			require.Equal(t, i < 2, err == nil, "what comes after the dropped one waits for its nonce")
		}
		out, err := c.Query(t.Context(), request("", "list"))
		require.NoError(t, err)
		require.JSONEq(t, `[{"id":"0","value":1,"owner":"ann"},{"id":"1","value":1,"owner":"ann"}]`, string(out))
	}
	check(c)
	s, ok := c.(ffcapi.Sequencer)
	require.True(t, ok)
	pending, latest, err := s.NextNonce(t.Context(), "", "ann")
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 2}, []uint64{pending, latest})
	was := head(t, c)

	require.NoError(t, c.Close())
	c = open(t, cfg, dir)
	require.Equal(t, was, head(t, c))
	check(c)
}

func TestBlocksAfterDeepReorganisations(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.Finality, cfg.BlockPeriod = ffcapi.Confirmations, time.Hour
	c := open(t, cfg, "")
	k := c.Knobs()
	for range 8 {
		require.NoError(t, k.MineNow(t.Context()))
	}
	var stale []ffcapi.BlockRef
	for _, depth := range []int{1, 3, 2, 6} {
		stale = append(stale, head(t, c))
		require.NoError(t, k.Reorganise(t.Context(), depth, nil))
	}
	stale = append(stale, ffcapi.BlockRef{Number: 5, Hash: "never seen"}, ffcapi.BlockRef{Number: 50, Hash: "never seen"})
	for i, after := range stale {
		var got []uint64
		for b, err := range c.Blocks(t.Context(), "", after) {
			require.NoError(t, err)
			if got = append(got, b.Number); b.Number == 8 {
				break
			}
		}
		if i < 4 { // replaced head of the ledger's own: it knows where the chain left that branch
			require.Equal(t, uint64(3), got[0])
		} else {
			require.LessOrEqual(t, got[0], after.Number)
		}
		require.True(t, slices.IsSorted(got))
	}
}
