package devledger_test

import (
	"encoding/json"
	"fmt"
	"strconv"
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
	Deploy: func(signer, name string) *ffcapi.DeployRequest {
		return &ffcapi.DeployRequest{From: signer, Contract: json.RawMessage(`"assets"`), Params: []json.RawMessage{json.RawMessage(quote(name))}}
	},
	CreateAt: func(location json.RawMessage, signer, id string) *ffcapi.Request {
		var at struct{ Address string }
		if json.Unmarshal(location, &at) != nil {
			return nil
		}
		req := request(signer, "create", quote(id), `1`)
		req.To = at.Address
		return req
	},
	Raise: func(fee json.RawMessage) json.RawMessage {
		var text string
		if json.Unmarshal(fee, &text) != nil {
			return nil
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil
		}
		return json.RawMessage(strconv.FormatUint(n+1, 10))
	},
	LittleGas: "21000",
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
	t.Run("no outcomes in blocks", func(t *testing.T) {
		t.Parallel()
		cfg := memory()
		cfg.OutcomesInBlocks = false
		conform(t, cfg)
	})
	t.Run("hash after Submit", func(t *testing.T) {
		t.Parallel()
		cfg := memory()
		cfg.Sequenced, cfg.HashAtPrepare = false, false
		conform(t, cfg)
	})
	t.Run("gas is paid", func(t *testing.T) {
		t.Parallel()
		cfg := devledger.DefaultConfig()
		cfg.GasPrice, cfg.Balance, cfg.Finality = 3, 1_000_000, ffcapi.Confirmations
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
			Contract:  contractOf(cfg),
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
		Isolated: true, Sequenced: cfg.Sequenced, Fees: cfg.Sequenced, Balances: cfg.Sequenced, Deploys: cfg.Sequenced, Finality: cfg.Finality,
		OutcomesInBlocks: cfg.OutcomesInBlocks, HashAtPrepare: !cfg.Sequenced && cfg.HashAtPrepare, Simulates: true,
	})
}

// contractOf adds what is there only when gas is paid.
func contractOf(cfg devledger.Config) ffcapitest.Contract {
	c := assets
	if cfg.GasPrice > 0 {
		c.LowFee = json.RawMessage(`"1"`)
		c.TooDear = func(signer, id string) *ffcapi.Request {
			req := assets.Create(signer, id)
			req.Gas = "20000000"
			return req
		}
	}
	return c
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
