package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
)

func TestJSONUsesTheNamesOfTheFile(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{Overrides: map[string]any{
		"devledger.blockPeriod": "100ms", "devledger.synthetic.eventBlocks": 7, "devledger.synthetic.historyBlocks": 9, "devledger.durable": false,
	}})
	require.NoError(t, err)
	raw, err := config.JSON(cfg.DevLedger)
	require.NoError(t, err)
	require.JSONEq(t, `{"blockPeriod":100000000,"maxBlockTransactions":5000,"sequenced":true,"durable":false,"finality":"instant","sendDelay":0,
		"outcomesInBlocks":true,"hashAtPrepare":true,"futureNonces":1000,"gasPrice":0,"balance":0,
		"faults":{"seed":0,"loseAnswers":0,"duplicate":0,"drop":0,"dropPoolEvery":0,"reorganiseEvery":0,"reorganiseDepth":1,"reorganiseDrop":0},
		"synthetic":{"historyBlocks":9,"eventBlocks":7,"eventsPerBlock":200,"liveEventsPerBlock":0,"blockPeriod":0}}`, string(raw))
}
