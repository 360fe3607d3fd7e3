package txn_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestDeepReceiptOfABlockThatCannotBeRead: a receipt counts only if its block is the canonical one. Of a block that the chain view has let go of and
// that cannot be read now, nobody knows: neither is the transaction final, nor does anybody stop to look for it.
func TestDeepReceiptOfABlockThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, unread := range map[string]func() (*ffcapi.Block, error){
		"an error": func() (*ffcapi.Block, error) { return nil, ffcapi.Errorf(ffcapi.Unavailable, "away") },
		"pruned":   func() (*ffcapi.Block, error) { return nil, ffcapi.Errorf(ffcapi.Pruned, "gone") },
		"no block": func() (*ffcapi.Block, error) { return nil, nil }, //nolint:nilnil // what connectors should not answer
		"a panic":  func() (*ffcapi.Block, error) { panic("no idea") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{resubmit: 20 * time.Millisecond})
			r.submit(submission("a"))
			r.until("a", store.SubTracking)
			b := r.view.block(0)
			r.view.block(0)
			r.view.mu.Lock()
			delete(r.view.hashes, b.Number)
			r.view.mu.Unlock()
			reads := make(chan uint64, 1000)
			answer := func(block func() (*ffcapi.Block, error)) {
				r.fake.mu.Lock()
				defer r.fake.mu.Unlock()
				r.fake.onBlock = func(number uint64) (*ffcapi.Block, error) {
					reads <- number
					return block()
				}
			}
			answer(unread)
			r.fake.put("a#1", &ffcapi.Receipt{Block: b, Success: true, TxIndex: 3})
			for range 3 {
				require.Eventually(t, func() bool { return len(reads) > 0 }, wait, tick, "it is not looked for any more")
				require.Equal(t, b.Number, <-reads)
			}
			row, err := r.store.Transaction(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, store.Pending, row.Status)
			require.Nil(t, row.Outcome)

			answer(func() (*ffcapi.Block, error) { return &ffcapi.Block{BlockRef: b}, nil })
			row = r.until("a", store.SubConfirmed)
			require.Equal(t, store.Succeeded, row.Status)
			require.Equal(t, &store.Outcome{Block: b, Index: 3, Success: true, Final: true}, row.Outcome)
		})
	}
}
