package txn

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// transaction is a row as users see it.
func (m *Manager) transaction(tx *store.Tx) *apitypes.Transaction {
	t := &apitypes.Transaction{
		ID:              tx.ID,
		Created:         moment(tx.Created),
		Updated:         moment(tx.Updated),
		Status:          string(tx.Status),
		SubStatus:       string(tx.Sub),
		SequenceID:      fmt.Sprintf("%012d", tx.Seq),
		Ledger:          tx.Ledger,
		From:            tx.From,
		To:              tx.To,
		Gas:             bigint(tx.Gas),
		Value:           bigint(tx.Value),
		GasPrice:        tx.Fee,
		TransactionHash: tx.Hash,
		Attempt:         tx.Attempt,
		PolicyInfo:      tx.PolicyState,
		FirstSubmit:     moment(tx.FirstSubmit),
		LastSubmit:      moment(tx.LastSubmit),
		ErrorMessage:    tx.Error,
		Labels:          tx.Labels,
		Required:        tx.Required,
		RetryOf:         tx.RetryOf,
		DeleteRequested: moment(tx.CancelAsked),
	}
	if tx.Nonce != nil {
		t.Nonce = bigintOf(*tx.Nonce)
	}
	if tx.Status == store.Pending {
		t.BlockedBy = m.blocker(tx)
	}
	t.Stuck = m.stuck(tx, t.BlockedBy)
	t.Progress = progress(tx, t.BlockedBy, t.Stuck)
	return t
}

// blocker is the transaction that must go before a pending one.
func (m *Manager) blocker(tx *store.Tx) string {
	if tx.Nonce != nil {
		return m.sched.blocker(laneKey{tx.Ledger, tx.From}, tx.ID, *tx.Nonce)
	}
	return m.contention.blocker(tx.ID)
}

// progress is a row's status in words.
func progress(tx *store.Tx, blockedBy string, stuck *apitypes.Stuck) apitypes.Progress {
	switch tx.Status {
	case store.Succeeded:
		return apitypes.Progress{Status: apitypes.Completed}
	case store.Failed:
		return apitypes.Progress{Status: apitypes.NotDone, Message: tx.Error}
	default:
	}
	p := apitypes.Progress{Status: apitypes.InProgress, Message: keeps(tx, blockedBy)}
	if stuck != nil && tx.Status != store.Suspended {
		p.Message = fmt.Sprintf("stuck since %s: %s", stuck.Since.Time().Format(time.RFC3339), p.Message)
	}
	return p
}

// stuck says since when a row has not got further, if that is too long. Sending the same again is no progress.
func (m *Manager) stuck(tx *store.Tx, blockedBy string) *apitypes.Stuck {
	since := tx.Progressed
	if since.IsZero() {
		since = tx.Created
	}
	if tx.Status.Terminal() || m.opts.Now().Sub(since) <= m.opts.Deadline {
		return nil
	}
	return &apitypes.Stuck{Since: moment(since), Reason: keeps(tx, blockedBy)}
}

// keeps says what a row waits for.
func keeps(tx *store.Tx, blockedBy string) string {
	switch {
	case tx.Status == store.Suspended:
		return "suspended"
	case blockedBy != "" && tx.Nonce == nil:
		return fmt.Sprintf("waits for transaction %s, which changes the same", blockedBy)
	case blockedBy != "":
		return fmt.Sprintf("waits for transaction %s of the same signer", blockedBy)
	case tx.Error != "":
		return tx.Error
	case !tx.CancelAsked.IsZero():
		return "its nonce is being used up"
	default:
		return words[tx.Sub]
	}
}

// words say what a sub-status means.
var words = map[store.SubStatus]string{
	store.SubReceived:       "waiting to be sent",
	store.SubPrepared:       "waiting to be sent",
	store.SubSubmitting:     "being sent",
	store.SubTracking:       "waiting for its block to be final",
	store.SubStale:          "in no block yet, being sent again",
	store.SubUnknownOutcome: "it may have been sent, being reconciled",
}

// moment is a time as it is shown; nil for none.
func moment(t time.Time) *fftypes.FFTime {
	if t.IsZero() {
		return nil
	}
	ft := fftypes.FFTime(t.UTC())
	return &ft
}

// receipt is an outcome as users see it.
func receipt(o *store.Outcome) *apitypes.Receipt {
	if o == nil {
		return nil
	}
	return &apitypes.Receipt{
		BlockNumber:      bigintOf(o.Block.Number),
		TransactionIndex: bigintOf(o.Index),
		BlockHash:        o.Block.Hash,
		Success:          o.Success,
		ProtocolID:       ProtocolID(o),
		ContractLocation: o.ContractLocation,
		Result:           o.Result,
		Reason:           o.Reason,
	}
}

// attempts are attempts as users see them.
func attempts(all []*store.Attempt) []apitypes.Attempt {
	out := make([]apitypes.Attempt, len(all))
	for i, a := range all {
		out[i] = apitypes.Attempt{
			Number: a.Number, TransactionHash: a.Hash, Submits: a.Sends, LastSubmit: moment(a.LastSent), ErrorMessage: cmp.Or(a.Dead, a.Error),
		}
		if a.Outcome != nil && a.Outcome.By == "" {
			out[i].Receipt = receipt(a.Outcome)
		}
	}
	return out
}

// history groups what happened by the sub-status in which it did.
func (m *Manager) history(entries []store.History) []apitypes.HistoryStatus {
	groups := []apitypes.HistoryStatus{}
	for first := 0; first < len(entries); {
		next := first
		g := apitypes.HistoryStatus{SubStatus: string(entries[first].Sub), Time: moment(entries[first].Time)}
		for ; next < len(entries) && entries[next].Sub == entries[first].Sub; next++ {
			g.Actions = append(g.Actions, action(&entries[next]))
		}
		g.Duration = m.spent(entries, first, next)
		groups = append(groups, g)
		first = next
	}
	return groups
}

func action(e *store.History) apitypes.HistoryAction {
	a := apitypes.HistoryAction{
		Time: moment(e.Time), Action: e.Action, LastOccurrence: moment(e.Last), Count: e.Count, LastError: e.Error, LastInfo: e.Info,
	}
	if e.Error != "" {
		a.LastErrorTime = moment(e.Last)
	}
	return a
}
