package txn

import (
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
		Progress:        m.progress(tx),
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
	}
	if tx.Nonce != nil {
		t.Nonce = bigintOf(*tx.Nonce)
	}
	return t
}

// progress is a row's status in words.
func (m *Manager) progress(tx *store.Tx) apitypes.Progress {
	switch tx.Status {
	case store.Succeeded:
		return apitypes.Progress{Status: apitypes.Completed}
	case store.Failed:
		return apitypes.Progress{Status: apitypes.NotDone, Message: tx.Error}
	case store.Suspended:
		return apitypes.Progress{Status: apitypes.InProgress, Message: "suspended"}
	default:
	}
	p := apitypes.Progress{Status: apitypes.InProgress, Message: words[tx.Sub]}
	if tx.Error != "" {
		p.Message = tx.Error
	}
	since := tx.SubSince
	if since.IsZero() {
		since = tx.Updated
	}
	if m.opts.Now().Sub(since) > m.opts.Deadline {
		p.Message = fmt.Sprintf("stuck since %s: %s", since.UTC().Format(time.RFC3339), p.Message)
	}
	return p
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
		Result:           o.Result,
		Reason:           o.Reason,
	}
}

// history groups what happened by the sub-status in which it did.
func history(entries []store.History) []apitypes.HistoryStatus {
	groups := []apitypes.HistoryStatus{}
	for i := range entries {
		e := &entries[i]
		if len(groups) == 0 || groups[len(groups)-1].SubStatus != string(e.Sub) {
			groups = append(groups, apitypes.HistoryStatus{SubStatus: string(e.Sub), Time: moment(e.Time), Actions: []apitypes.HistoryAction{}})
		}
		g := &groups[len(groups)-1]
		a := apitypes.HistoryAction{
			Time: moment(e.Time), Action: e.Action, LastOccurrence: moment(e.Last), Count: e.Count, LastError: e.Error, LastInfo: e.Info,
		}
		if e.Error != "" {
			a.LastErrorTime = moment(e.Last)
		}
		g.Actions = append(g.Actions, a)
	}
	return groups
}
