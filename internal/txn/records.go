package txn

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// HistoryRecords returns what happened to a transaction, one record each, the oldest first. Errors: store.ErrNotFound, and the
// store's.
func (m *Manager) HistoryRecords(ctx context.Context, id string) ([]*apitypes.HistoryRecord, error) {
	entries, err := m.opts.Store.History(ctx, id)
	if err != nil {
		return nil, err
	}
	records := make([]*apitypes.HistoryRecord, 0, len(entries))
	for _, group := range m.history(entries) {
		for _, action := range group.Actions {
			records = append(records, &apitypes.HistoryRecord{
				ID: recordID(id, "history", len(records)), Transaction: id, SubStatus: group.SubStatus, Duration: group.Duration, HistoryAction: action,
			})
		}
	}
	return records, nil
}

// records is the name space of the ids of records, which have none in the store: their place is their name.
var records = uuid.MustParse("5a0f3a52-9d0c-4c0e-8f3e-3e7c3f6a9b11")

// recordID names the nth record of a kind of a transaction, always the same.
func recordID(tx, kind string, n int) *fftypes.UUID {
	id := fftypes.UUID(uuid.NewSHA1(records, []byte(kind+"/"+tx+"/"+strconv.Itoa(n))))
	return &id
}

// final reports whether a sub-status is the last one.
func final(sub store.SubStatus) bool {
	return sub == store.SubConfirmed || sub == store.SubFailed || sub == store.SubCancelled
}

// spent is how long a transaction was in the sub-status of entries[first] when the next one began at entries[next].
func (m *Manager) spent(entries []store.History, first, next int) string {
	began := entries[first].Time
	switch {
	case next < len(entries):
		return entries[next].Time.Sub(began).String()
	case final(entries[first].Sub):
		return ""
	default:
		return max(0, m.opts.Now().Sub(began)).Round(time.Microsecond).String()
	}
}

// ConfirmationRecords returns the blocks that confirm a transaction, the lowest first: none while it is in no block, and where blocks
// are final at once. Errors: as Transaction, and those of the chain.
func (m *Manager) ConfirmationRecords(ctx context.Context, id string) ([]*apitypes.ConfirmationRecord, error) {
	tx, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	o, err := m.outcome(ctx, tx)
	if err != nil || o == nil {
		return []*apitypes.ConfirmationRecord{}, err
	}
	call, cancel := context.WithTimeout(ctx, m.opts.QueryTimeout)
	defer cancel()
	known, err := m.opts.Chain.Confirmations(call, tx.Ledger, o.Block, confirmations(tx))
	if err != nil {
		return nil, m.tooLate(ctx, err)
	}
	blocks := make([]*apitypes.ConfirmationRecord, len(known))
	for i, c := range confirming(known) {
		blocks[i] = &apitypes.ConfirmationRecord{ID: recordID(id, "confirmation/"+c.BlockHash, i), Transaction: id, Confirmation: c}
	}
	return blocks, nil
}

// confirming are blocks that confirm a transaction as users see them.
func confirming(blocks []ffcapi.Block) []apitypes.Confirmation {
	var list []apitypes.Confirmation
	for i := range blocks {
		b := &blocks[i]
		list = append(list, apitypes.Confirmation{BlockNumber: bigintOf(b.Number), BlockHash: b.Hash, ParentHash: b.ParentHash})
	}
	return list
}
