package node_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/fftm"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// The database is that of a real FFTM, over a chain with the same events as this one. Its stream "orders" had acknowledged the events of its
// first listener up to block 4, transaction 0.
func TestAStreamOfARealFFTMGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	const all = "01a1ffaf-2cfb-1b6f-a393-471cea6fb469"
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "internal", "fftm", "testdata", "fftm-1.4.0", "db"))))
	streams, err := fftm.ReadDatabase(dir, fftm.Options{})
	require.NoError(t, err)
	cfg := config(t, "PYRALIS_DEVLEDGER_SYNTHETIC_HISTORYBLOCKS=30", "PYRALIS_DEVLEDGER_SYNTHETIC_EVENTBLOCKS=20", "PYRALIS_DEVLEDGER_SYNTHETIC_EVENTSPERBLOCK=3",
		"PYRALIS_WEBHOOKS_ALLOWPRIVATEIPS=true")
	o := node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet()}
	entries, err := node.Import(t.Context(), o, streams, node.ImportOptions{Resume: true})
	require.NoError(t, err)
	got := make(map[string]apitypes.ImportEntry)
	for _, e := range entries {
		got[e.Stream+" "+e.Listener+" "+e.ID] = e
	}
	require.Equal(t, apitypes.ImportCreated, got["orders  01a1ffaf-2cfa-3706-008c-0003e74cbe76"].Action)
	require.Equal(t, "000000000004/000000/000000", got["orders all "+all].Position)
	require.Equal(t, "000000000000/000000/000000", got["orders all-2 01a1ffaf-2cfd-ac4c-eaf3-b1f48be64a60"].Position)
	require.Equal(t, apitypes.ImportCreated, got["hook  01a1ffaf-2cff-68c2-9bb9-41745af85f75"].Action)
	require.Equal(t, apitypes.ImportSkipped, got["orders new 01a1ffaf-2cfe-1ba4-343b-fb60e5da60e6"].Action, "it would begin behind what was never acknowledged")

	n := start(t, cfg)
	c := api(t, n)
	_, err = node.Import(t.Context(), o, streams, node.ImportOptions{})
	require.ErrorContains(t, err, "in use", "not while the node runs")
	hook, err := c.Stream(t.Context(), "hook")
	require.NoError(t, err)
	require.True(t, *hook.Suspended, "as it was")

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var read []string
	consumer := client.Consumer{URL: n.URL(), Stream: "orders", Handle: func(_ context.Context, b *client.Batch) error {
		for _, raw := range b.Events {
			var e apitypes.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			if e.ListenerID == all {
				read = append(read, e.BlockNumber+"/"+e.TransactionIndex)
			}
		}
		if len(read) >= 51 {
			return client.ErrStop
		}
		return nil
	}}
	require.NoError(t, consumer.Run(ctx), "%v", read)
	require.Len(t, read, 51, "three of each of the blocks 4 to 20")
	require.Equal(t, []string{"4/0", "4/1", "4/2", "5/0"}, read[:4], "the event that was acknowledged last comes again, and then what follows")
	require.Equal(t, "20/2", read[50])
}
