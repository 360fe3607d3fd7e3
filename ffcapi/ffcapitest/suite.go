package ffcapitest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Features says what applies to the chain.
type Features struct {
	// Isolated: each call of the factory makes a chain of its own, so that tests run in parallel.
	Isolated bool
	// Sequenced: the connector implements ffcapi.Sequencer. Otherwise it must not.
	Sequenced bool
	// Fees, Balances, Deploys: the connector implements ffcapi.FeeEstimator, ffcapi.Balancer, ffcapi.Deployer. Otherwise it must not.
	Fees, Balances, Deploys bool
	// Finishes: the connector implements ffcapi.Finisher. Otherwise it must not.
	Finishes bool
	// Finality that the ledger declares.
	Finality ffcapi.Finality
	// OutcomesInBlocks: Blocks gives the outcome of every transaction.
	OutcomesInBlocks bool
	// HashAtPrepare: Prepare knows the transaction's hash.
	HashAtPrepare bool
	// Simulates: what the contract refuses now is refused by Prepare.
	Simulates bool
	// SimulatesLate: it is refused by Finish and by Submit instead, and so may be who loses a race.
	SimulatesLate bool
	// Timeout is how long a transaction may take from Submit to its block, and a call to answer. 0: 10 s.
	Timeout time.Duration
}

// Contract says how to use a contract that is on the chain.
type Contract struct {
	// Create makes a transaction that succeeds once for each id, and then emits one event. A second one with the same id is
	// refused or fails.
	Create func(signer, id string) *ffcapi.Request
	// Refused makes a transaction that the contract refuses whatever the state.
	Refused func(signer string) *ffcapi.Request
	// Read makes a query that has a result once Create(id) is on the chain and ends with a final error before.
	Read func(signer, id string) *ffcapi.Request
	// Deploy makes the deployment of a contract under a name. CreateAt makes Create's transaction for that contract, of which location is
	// what the receipt says. Both are for Features.Deploys.
	Deploy   func(signer, name string) *ffcapi.DeployRequest
	CreateAt func(location json.RawMessage, signer, id string) *ffcapi.Request
	// TooDear makes Create's transaction in a way that its signer cannot pay; nil: everybody can pay everything.
	TooDear func(signer, id string) *ffcapi.Request
	// LittleGas is a limit that a node takes and that Create runs out of; "": the chain has no gas.
	LittleGas string
	// Raise makes a fee that is high enough to replace one that is offered; LowFee is one that nobody takes, nil if there is none. Both are
	// for Features.Fees.
	Raise  func(fee json.RawMessage) json.RawMessage
	LowFee json.RawMessage
	// Filter matches the event of Create. Other is a filter that is valid and does not.
	Filter, Other json.RawMessage
	// ID returns the id that Create was given, from its event.
	ID func(ev *ffcapi.Event) string
}

// Fixture is a connector under test. The factory that makes it starts what it needs, and stops it in t.Cleanup.
type Fixture struct {
	Connector ffcapi.Connector
	Ledger    string // the ledger under test
	Contract  Contract
	// Signer returns a signer; on a sequenced ledger a new one at each call.
	Signer func() string

	// What follows are knobs. nil: the chain has none, and the promises that need it are skipped.

	// Reopen makes another connector to the same chain, as a process that starts again would.
	Reopen func(t *testing.T) ffcapi.Connector
	// Pause keeps submitted transactions out of blocks until resume is called.
	Pause func(t *testing.T) (resume func())
	// Lag makes the node answer as if it were so many blocks behind; 0 ends it.
	Lag func(t *testing.T, blocks uint64)
	// DuplicateNext puts the next transaction on the chain twice.
	DuplicateNext func(t *testing.T)
	// LoseAnswer makes the next Submit take effect and fail.
	LoseAnswer func(t *testing.T)
	// DropPool makes the node forget what waits for a block.
	DropPool func(t *testing.T)
	// Reorganise replaces the newest blocks. The transactions that drop names are not on the new chain, the others are.
	Reorganise func(t *testing.T, depth int, drop func(hash string) bool)
}

// promise is one sub-test.
type promise struct {
	name  string
	check func(*bench)
	needs func(*Fixture) bool // nil: nothing
}

// Run checks every promise that applies. factory is called once for each of them.
func Run(t *testing.T, factory func(t *testing.T) *Fixture, features Features) {
	t.Helper()
	if features.Timeout == 0 {
		features.Timeout = 10 * time.Second
	}
	groups := []struct {
		name     string
		applies  bool
		promises []promise
	}{
		{"ledger", true, ledgerPromises},
		{"blocks", true, blockPromises},
		{"prepare", true, preparePromises},
		{"submit", true, submitPromises},
		{"finisher", features.Finishes, finisherPromises},
		{"lookups", true, lookupPromises},
		{"listener", true, listenerPromises},
		{"events", true, eventPromises},
		{"context", true, contextPromises},
		{"sequencer", features.Sequenced, sequencerPromises},
		{"fees", features.Fees, feePromises},
		{"balances", features.Balances, balancePromises},
		{"deployments", features.Deploys, deployPromises},
		{"reorganisation", features.Finality == ffcapi.Confirmations, reorganisationPromises},
	}
	for _, g := range groups {
		if !g.applies {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			if features.Isolated {
				t.Parallel()
			}
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) {
					if features.Isolated {
						t.Parallel()
					}
					f := factory(t)
					if p.needs != nil && !p.needs(f) {
						t.Skip("the fixture does not offer the knob")
					}
					p.check(newBench(t, f, features))
				})
			}
		})
	}
}
