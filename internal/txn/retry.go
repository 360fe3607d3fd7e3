package txn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// retrySuffix stands between a transaction's id and the number of its retry.
	retrySuffix = ":retry-"
	// retryKeeps is how much of an id stays in that of its retry, if all of it is too much: so little that there is room for any number.
	retryKeeps = 200
)

// RetryTransaction sends the request of a failed transaction again, as a new transaction with the id as, or with one that is derived
// from the old id if as is "": the same each time, so that a repetition is a replay. A pending transaction that was refused when it was
// sent is tried again at once.
func (m *Manager) RetryTransaction(ctx context.Context, id, as string) (tx *apitypes.Transaction, replay bool, err error) {
	if err := m.admitting(); err != nil {
		return nil, false, err
	}
	old, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, false, err
	}
	switch {
	case old.Status == store.Pending:
		row, err := m.operate(ctx, id, "tried again", txstate.TryAgain{Now: m.opts.Now()})
		if err != nil {
			return nil, false, err
		}
		m.sched.rouse(id, true)
		return m.transaction(row), false, nil
	case old.Status != store.Failed, old.Kind == apitypes.FillNonce:
		return nil, false, fmt.Errorf("transaction %s is %s, of kind %s: %w", id, old.Status, old.Kind, apitypes.ErrNotFailed)
	}
	r, err := m.again(ctx, old, as)
	if err != nil {
		return nil, false, err
	}
	ctx, span := m.opts.Stages.Begin(ctx, metrics.Accept, r.id)
	row, replay, err := m.flights.do(ctx, r, func() (*store.Tx, bool, error) { return m.accept(ctx, r) })
	m.opts.Counts.Accepted(acceptance(replay, err))
	span.End(r.id, err)
	if err != nil {
		return nil, false, err
	}
	return m.transaction(row), replay, nil
}

// again is the request of a transaction once more.
func (m *Manager) again(ctx context.Context, old *store.Tx, as string) (*request, error) {
	if as == "" {
		as = retryID(old.ID)
	}
	if err := checkID(as); err != nil {
		return nil, err
	}
	if as == old.ID {
		return nil, apitypes.Invalidf("headers.id", "give a new one, or none", "is the failed transaction's own")
	}
	raw, err := m.opts.Store.Request(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	call, err := storedRequest(old.Kind, raw)
	if err != nil {
		return nil, fmt.Errorf("stored request of transaction %s: %w", old.ID, err)
	}
	r := &request{id: as, given: true, call: call, stored: raw, kind: old.Kind, retryOf: old.ID, labels: old.Labels, required: old.Required}
	r.hash = retryHash(old.ID, raw)
	return r, nil
}

// retryHash tells a retry from a post of the same body with the same id: only the former is replayed.
func retryHash(of string, body json.RawMessage) [32]byte {
	return sha256.Sum256(append([]byte("retry of "+of+"\n"), body...))
}

// retryID is the id of a transaction's retry: a:retry-1 after a, a:retry-2 after that. Where that would be too long, the end of a gives way
// to a digest of it.
func retryID(id string) string {
	next := nextRetry(id)
	if len(next) <= maxID {
		return next
	}
	end := strings.LastIndex(next, retrySuffix)
	digest := sha256.Sum256([]byte(next[:end]))
	return next[:retryKeeps] + "~" + hex.EncodeToString(digest[:8]) + next[end:]
}

func nextRetry(id string) string {
	if i := strings.LastIndex(id, retrySuffix); i > 0 {
		if n, err := strconv.ParseUint(id[i+len(retrySuffix):], 10, 31); err == nil {
			return id[:i] + retrySuffix + strconv.FormatUint(n+1, 10)
		}
	}
	return id + retrySuffix + "1"
}
