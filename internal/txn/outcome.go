package txn

import (
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// OutcomeRule is the store.OutcomeRule of this package's state machine, for whoever writes outcomes.
func OutcomeRule(tx *store.Tx, attempts []*store.Attempt, hit int) *store.TxUpdate {
	return txstate.Rule(tx, attempts, hit)
}

// ProtocolID is the position of a transaction as FireFly writes it: block and index, zero-padded so that it sorts.
func ProtocolID(o *store.Outcome) string { return protocolID(o.Block.Number, o.Index) }

func protocolID(block, index uint64) string { return fmt.Sprintf("%012d/%06d", block, index) }
