package devledger_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/ffcapi/ffcapitest"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

var assets = ffcapitest.Contract{
	Create: func(signer, id string) *ffcapi.Request {
		return request(signer, "create", quote(id), `{"color":"blue"}`)
	},
	Refused: func(signer string) *ffcapi.Request { return request(signer, "fail", `"no"`) },
	Read:    func(_, id string) *ffcapi.Request { return request("", "read", quote(id)) },
	Filter:  json.RawMessage(`{"contract":"assets","event":"AssetCreated"}`),
	Other:   json.RawMessage(`{"event":"AssetDeleted"}`),
	ID: func(ev *ffcapi.Event) string {
		var data struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(ev.Data, &data); err != nil {
			return ""
		}
		return data.ID
	},
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		for _, finality := range []ffcapi.Finality{ffcapi.Instant, ffcapi.Confirmations} {
			for _, durable := range []bool{true, false} {
				cfg := devledger.DefaultConfig()
				cfg.Sequenced, cfg.Finality, cfg.Durable = sequenced, finality, durable
				t.Run(fmt.Sprintf("sequenced=%t,finality=%s,durable=%t", sequenced, finality, durable), func(t *testing.T) {
					t.Parallel()
					conform(t, cfg)
				})
			}
		}
	}
	t.Run("small blocks", func(t *testing.T) {
		t.Parallel()
		cfg := memory()
		cfg.MaxBlockTransactions = 1
		conform(t, cfg)
	})
	t.Run("synthetic", func(t *testing.T) {
		t.Parallel()
		cfg := devledger.DefaultConfig()
		cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 30, EventBlocks: 20, EventsPerBlock: 5, LiveEventsPerBlock: 3, BlockPeriod: 2e6}
		conform(t, cfg)
	})
}

// conform runs the suite for one configuration.
func conform(t *testing.T, cfg devledger.Config) {
	t.Helper()
	ffcapitest.Run(t, func(t *testing.T) *ffcapitest.Fixture {
		t.Helper()
		dir := t.TempDir()
		c := open(t, cfg, dir)
		var signers atomic.Int64
		f := &ffcapitest.Fixture{
			Connector: c,
			Contract:  assets,
			Signer:    func() string { return fmt.Sprint("signer-", signers.Add(1)) },
		}
		setKnobs(f, c.Knobs(), cfg)
		if cfg.Durable && !cfg.Synthetic.Enabled() {
			f.Reopen = func(t *testing.T) ffcapi.Connector {
				t.Helper()
				require.NoError(t, c.Close())
				return open(t, cfg, dir)
			}
		}
		return f
	}, ffcapitest.Features{
		Isolated: true, Sequenced: cfg.Sequenced, Finality: cfg.Finality, OutcomesInBlocks: true, HashAtPrepare: !cfg.Sequenced, Simulates: true,
	})
}

func setKnobs(f *ffcapitest.Fixture, k *devledger.Knobs, cfg devledger.Config) {
	f.DuplicateNext = func(*testing.T) { k.DuplicateNext(1) }
	f.LoseAnswer = func(*testing.T) { k.LoseAnswers(1) }
	f.Pause = func(*testing.T) func() {
		k.Pause()
		return k.Resume
	}
	f.DropPool = func(t *testing.T) {
		t.Helper()
		_, err := k.DropPool(t.Context())
		require.NoError(t, err)
	}
	if !cfg.Synthetic.Enabled() { // there, blocks keep coming and lagging by a block or two would last a moment only
		f.Lag = func(_ *testing.T, blocks uint64) { k.Lag(blocks) }
	}
	if cfg.Finality == ffcapi.Confirmations {
		f.Reorganise = func(t *testing.T, depth int, drop func(string) bool) {
			t.Helper()
			require.NoError(t, k.Reorganise(t.Context(), depth, drop))
		}
	}
}
