package devledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Limits of the configuration. Positions inside a block are written with six digits, so a block may hold neither more
// transactions nor more synthetic events.
const (
	maxPeriod    = time.Hour
	maxPerBlock  = 100_000
	maxHistory   = 1_000_000_000
	maxSendDelay = time.Minute
)

// Config is the part of the configuration under "devledger". DefaultConfig has the defaults.
type Config struct {
	// BlockPeriod is the time from block to block; a block is made at each tick, also an empty one. 0 makes a block at once for
	// whatever waits (and, with finality "confirmations", an empty one each second, so that confirmations go on).
	BlockPeriod time.Duration `mapstructure:"blockPeriod" json:"blockPeriod"`
	// MaxBlockTransactions is the most transactions in a block.
	MaxBlockTransactions int `mapstructure:"maxBlockTransactions" json:"maxBlockTransactions"`
	// Sequenced gives each signer consecutive nonces, as on EVM chains. It cannot be changed for a ledger that exists.
	Sequenced bool `mapstructure:"sequenced" json:"sequenced"`
	// Durable keeps the blocks in the data directory. Without it, and always with Synthetic, everything is in memory.
	Durable bool `mapstructure:"durable" json:"durable"`
	// Finality is what the ledger declares: "instant", or "confirmations" where tests may reorganise it.
	Finality ffcapi.Finality `mapstructure:"finality" json:"finality"`
	// OutcomesInBlocks lets Blocks tell how transactions ended. Without it each outcome is asked for with a receipt, as on EVM chains.
	OutcomesInBlocks bool `mapstructure:"outcomesInBlocks" json:"outcomesInBlocks"`
	// HashAtPrepare lets Prepare tell the hash where it can, which is where there are no nonces. Without it Submit is the first to.
	HashAtPrepare bool `mapstructure:"hashAtPrepare" json:"hashAtPrepare"`
	// FutureNonces is how far beyond the signer's next nonce a transaction may be, to wait in the pool. 0 refuses a gap.
	FutureNonces uint64 `mapstructure:"futureNonces" json:"futureNonces"`
	// GasPrice is the least that a unit of gas costs on a sequenced ledger, and what EstimateFee says. What offers less is
	// underpriced.
	GasPrice uint64 `mapstructure:"gasPrice" json:"gasPrice"`
	// Balance is what each signer has at the beginning to pay for gas. 0: signers need none.
	Balance uint64 `mapstructure:"balance" json:"balance"`
	// Faults is what goes wrong by itself.
	Faults Faults `mapstructure:"faults" json:"faults"`
	// SendDelay is how long each Submit takes, to stand in for a distant node.
	SendDelay time.Duration `mapstructure:"sendDelay" json:"sendDelay"`
	// Synthetic adds made-up blocks and events for load tests.
	Synthetic Synthetic `mapstructure:"synthetic" json:"synthetic"`
}

// Synthetic describes a load: blocks that exist from the start, generated when they are read, and events that every new block
// carries. A history, live events or a block period turn it on, and with it
// the ledger lives in memory only.
type Synthetic struct {
	HistoryBlocks      uint64        `mapstructure:"historyBlocks" json:"historyBlocks"`           // number of the newest block at the start
	EventBlocks        uint64        `mapstructure:"eventBlocks" json:"eventBlocks"`               // blocks 1 to this one carry events
	EventsPerBlock     int           `mapstructure:"eventsPerBlock" json:"eventsPerBlock"`         // in each of those
	LiveEventsPerBlock int           `mapstructure:"liveEventsPerBlock" json:"liveEventsPerBlock"` // in each block made from then on
	BlockPeriod        time.Duration `mapstructure:"blockPeriod" json:"blockPeriod"`               // overrides Config.BlockPeriod unless 0
}

// DefaultConfig is a durable, sequenced ledger with instant finality that makes a block at once.
func DefaultConfig() Config {
	return Config{
		MaxBlockTransactions: 5000, Sequenced: true, Durable: true, Finality: ffcapi.Instant, OutcomesInBlocks: true, HashAtPrepare: true,
		FutureNonces: 1000, Faults: Faults{ReorganiseDepth: 1},
	}
}

// Enabled reports whether there is a synthetic load.
func (s Synthetic) Enabled() bool {
	return s.HistoryBlocks > 0 || s.LiveEventsPerBlock > 0 || s.BlockPeriod > 0
}

// Validate joins everything that is wrong, each naming the key and what it may be.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("devledger.%s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	period := func(key string, d, most time.Duration) {
		check(d >= 0 && d <= most, key, "%s is not between 0s and %s", d, most)
	}
	period("blockPeriod", c.BlockPeriod, maxPeriod)
	period("sendDelay", c.SendDelay, maxSendDelay)
	period("synthetic.blockPeriod", c.Synthetic.BlockPeriod, maxPeriod)
	count := func(key string, n, least int) {
		check(n >= least && n <= maxPerBlock, key, "%d is not between %d and %d", n, least, maxPerBlock)
	}
	count("maxBlockTransactions", c.MaxBlockTransactions, 1)
	count("synthetic.eventsPerBlock", c.Synthetic.EventsPerBlock, 0)
	count("synthetic.liveEventsPerBlock", c.Synthetic.LiveEventsPerBlock, 0)
	check(c.Finality == ffcapi.Instant || c.Finality == ffcapi.Confirmations, "finality",
		"%q is neither %q nor %q", c.Finality, ffcapi.Instant, ffcapi.Confirmations)
	check(c.Sequenced || c.GasPrice == 0, "gasPrice", "it is for a ledger with nonces: set devledger.sequenced to true, or leave it out")
	check(c.Sequenced || c.Balance == 0, "balance", "it is for a ledger with nonces: set devledger.sequenced to true, or leave it out")
	c.validateFaults(check)
	check(c.Synthetic.HistoryBlocks <= maxHistory, "synthetic.historyBlocks", "%d is above %d", c.Synthetic.HistoryBlocks, maxHistory)
	check(c.Synthetic.EventBlocks <= c.Synthetic.HistoryBlocks, "synthetic.eventBlocks",
		"%d is above devledger.synthetic.historyBlocks, %d: only blocks that exist can carry events",
		c.Synthetic.EventBlocks, c.Synthetic.HistoryBlocks)
	return errors.Join(errs...)
}

func (c Config) validateFaults(check func(ok bool, key, format string, args ...any)) {
	f := c.Faults
	for key, n := range map[string]int{
		"loseAnswers": f.LoseAnswers, "duplicate": f.Duplicate, "drop": f.Drop, "reorganiseDrop": f.ReorganiseDrop,
	} {
		check(n >= 0 && n <= 100, "faults."+key, "%d is not between 0 and 100 percent", n)
	}
	if f.ReorganiseEvery == 0 {
		return
	}
	check(c.Finality == ffcapi.Confirmations && !c.Synthetic.Enabled(), "faults.reorganiseEvery",
		"only a ledger with devledger.finality %q and without a synthetic load can be reorganised", ffcapi.Confirmations)
	check(f.ReorganiseDepth >= 1, "faults.reorganiseDepth", "%d is below 1", f.ReorganiseDepth)
}

// period is the time between two blocks, 0 for a block at once.
func (c Config) period() time.Duration {
	if c.Synthetic.BlockPeriod > 0 {
		return c.Synthetic.BlockPeriod
	}
	return c.BlockPeriod
}
