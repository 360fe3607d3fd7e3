package devledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	cfg := devledger.DefaultConfig()
	require.NoError(t, cfg.Validate())
	require.True(t, cfg.Sequenced)
	require.True(t, cfg.Durable)
	require.Equal(t, ffcapi.Instant, cfg.Finality)
	require.False(t, cfg.Synthetic.Enabled())
}

func TestConfigNamesEveryWrongKey(t *testing.T) {
	t.Parallel()
	cfg := devledger.Config{
		BlockPeriod: -time.Second, MaxBlockTransactions: 0, Finality: "soon", SendDelay: time.Hour,
		Synthetic: devledger.Synthetic{HistoryBlocks: 2_000_000_000, EventBlocks: 3_000_000_000, EventsPerBlock: -1, LiveEventsPerBlock: 1e6, BlockPeriod: 2 * time.Hour},
	}
	err := cfg.Validate()
	require.Error(t, err)
	for _, key := range []string{
		"blockPeriod", "maxBlockTransactions", "finality", "sendDelay", "synthetic.historyBlocks", "synthetic.eventBlocks",
		"synthetic.eventsPerBlock", "synthetic.liveEventsPerBlock", "synthetic.blockPeriod",
	} {
		require.Contains(t, err.Error(), "devledger."+key+": ")
	}
	_, err = devledger.New(cfg, devledger.Options{})
	require.ErrorContains(t, err, "devledger.finality")
}

func TestConfigOfGasAndFaults(t *testing.T) {
	t.Parallel()
	cfg := devledger.DefaultConfig()
	cfg.Sequenced, cfg.GasPrice, cfg.Balance = false, 1, 1
	cfg.Faults = devledger.Faults{LoseAnswers: 101, Duplicate: -1, Drop: 200, ReorganiseEvery: 3, ReorganiseDrop: 101}
	err := cfg.Validate()
	require.Error(t, err)
	for _, key := range []string{
		"gasPrice", "balance", "faults.loseAnswers", "faults.duplicate", "faults.drop", "faults.reorganiseDrop", "faults.reorganiseEvery",
		"faults.reorganiseDepth",
	} {
		require.Contains(t, err.Error(), "devledger."+key+": ")
	}
}

func TestConfigKeysAreCamelCase(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(devledger.DefaultConfig())
	require.NoError(t, err)
	require.JSONEq(t, `{"blockPeriod":0,"maxBlockTransactions":5000,"sequenced":true,"durable":true,"finality":"instant","sendDelay":0,
		"outcomesInBlocks":true,"hashAtPrepare":true,"futureNonces":1000,"gasPrice":0,"balance":0,
		"faults":{"seed":0,"loseAnswers":0,"duplicate":0,"drop":0,"dropPoolEvery":0,"reorganiseEvery":0,"reorganiseDepth":1,"reorganiseDrop":0},
		"synthetic":{"historyBlocks":0,"eventBlocks":0,"eventsPerBlock":0,"liveEventsPerBlock":0,"blockPeriod":0}}`, string(raw))
}
