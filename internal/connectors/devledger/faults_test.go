package devledger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

// always is a ledger on which one thing goes wrong each time.
func always(t *testing.T, f devledger.Faults, dir string) devledger.Connector {
	t.Helper()
	cfg := devledger.DefaultConfig()
	cfg.Durable, cfg.BlockPeriod, cfg.Finality = dir != "", 1<<40, ffcapi.Confirmations
	cfg.Faults = f
	return open(t, cfg, dir)
}

func TestFaultsOfSubmit(t *testing.T) {
	t.Parallel()
	c := always(t, devledger.Faults{LoseAnswers: 100, Duplicate: 100}, "")
	sub := offer(t, c, "ann", "a", 0, "")
	_, err := c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.Timeout, ffcapi.KindOf(err))
	require.Equal(t, ffcapi.SentMaybe, ffcapi.AsError(err).Sent)
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.KnownTransaction, ffcapi.KindOf(err), "it took effect")
	require.NoError(t, c.Knobs().MineNow(t.Context()))
	b, err := c.Block(t.Context(), "", 1)
	require.NoError(t, err)
	require.Len(t, b.Transactions, 1, "the second entry is never listed")
	c.Knobs().SetFaults(devledger.Faults{})
	send(t, c, request("ann", "create", `"b"`, `1`))
	require.NoError(t, c.Knobs().MineNow(t.Context()))
	b, err = c.Block(t.Context(), "", 2)
	require.NoError(t, err)
	require.Zero(t, b.Transactions[0].Index)
}

func TestDroppedTransactions(t *testing.T) {
	t.Parallel()
	c := always(t, devledger.Faults{Drop: 100}, "")
	hash := send(t, c, request("ann", "create", `"a"`, `1`))
	require.NotEmpty(t, hash, "it was taken")
	require.NoError(t, c.Knobs().MineNow(t.Context()))
	_, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: hash})
	require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err))

	c.Knobs().SetFaults(devledger.Faults{DropPoolEvery: 2})
	var missing []int
	for i := range 6 {
		hash := send(t, c, request(fmt.Sprint("s", i), "create", quote(fmt.Sprint("b", i)), `1`))
		require.NoError(t, c.Knobs().MineNow(t.Context()))
		if _, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: hash}); err != nil {
			missing = append(missing, int(head(t, c).Number))
		}
	}
	require.Equal(t, []int{2, 4, 6}, missing)
}

// What waits for a block is not in one that is replaced.
func TestReorganisationsForgetNothingThatWaits(t *testing.T) {
	t.Parallel()
	c := always(t, devledger.Faults{ReorganiseEvery: 1, ReorganiseDepth: 1, ReorganiseDrop: 100}, "")
	later := offer(t, c, "ann", "b", 1, "") // it waits for nonce 0
	s, err := c.Submit(t.Context(), later)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, c.Knobs().MineNow(t.Context()))
	}
	_, err = c.Submit(t.Context(), later)
	require.Equal(t, ffcapi.KnownTransaction, ffcapi.KindOf(err))
	c.Knobs().SetFaults(devledger.Faults{})
	_, err = c.Submit(t.Context(), offer(t, c, "ann", "a", 0, ""))
	require.NoError(t, err)
	require.NoError(t, c.Knobs().MineNow(t.Context()))
	require.True(t, receipt(t, c, s.Hash).Success)
}

// The ledger is reorganised when its time has come, and all of that survives a restart.
func TestReorganisationsByThemselves(t *testing.T) {
	t.Parallel()
	for _, drop := range []int{0, 100} {
		t.Run(fmt.Sprintf("drop=%d", drop), func(t *testing.T) {
			t.Parallel()
			faults := devledger.Faults{Seed: 7, ReorganiseEvery: 3, ReorganiseDepth: 2, ReorganiseDrop: drop}
			dir := t.TempDir()
			c := always(t, faults, dir)
			var hashes []string
			var replaced int
			for i := range 9 {
				hashes = append(hashes, send(t, c, request(fmt.Sprint("s", i), "create", quote(fmt.Sprint(i)), `1`)))
				before := head(t, c)
				require.NoError(t, c.Knobs().MineNow(t.Context()))
				require.Equal(t, before.Number+1, head(t, c).Number)
				if b, err := c.Block(t.Context(), "", before.Number); err != nil || b.Hash != before.Hash {
					replaced++
				}
			}
			require.Positive(t, replaced, "the seed has a reorganisation of depth 2")
			found := func(c ffcapi.Connector) (n int) {
				for _, h := range hashes {
					if _, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: h}); err == nil {
						n++
					}
				}
				return n
			}
			n := found(c)
			if drop == 0 {
				require.Equal(t, len(hashes), n)
			} else {
				require.LessOrEqual(t, n, len(hashes)-3)
			}
			was := head(t, c)
			require.NoError(t, c.Close())
			c = always(t, faults, dir)
			require.Equal(t, was, head(t, c))
			require.Equal(t, n, found(c))
			out, err := c.Query(t.Context(), request("", "list"))
			require.NoError(t, err)
			require.Equal(t, n > 0, len(out) > 2)
		})
	}
}
