package sqlstore

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/pyralis-io/pyralis/internal/store"
)

// txWidth and attemptWidth are the number of columns of txColumns and attemptColumns.
const (
	txWidth      = 30
	attemptWidth = 19
)

// scanTx reads a row of txColumns.
func scanTx(r row) (*store.Tx, error) {
	tx := &store.Tx{
		Seq: r.int(0), ID: r.text(1), Version: r.int(2), Kind: r.text(3), Created: r.time(4), Updated: r.time(5),
		Status: store.TxStatus(r.text(6)), Sub: store.SubStatus(r.text(7)), SubSince: r.time(8),
		Shard: int(r.int(9)), Ledger: r.text(10), From: r.text(11), To: r.text(12), Nonce: r.number(13),
		Value: r.text(14), Gas: r.text(15), Fee: r.raw(16), Attempt: int(r.int(17)), Hash: r.text(18),
		FirstSubmit: r.time(19), LastSubmit: r.time(20), Error: r.text(21), PolicyState: r.raw(22), Due: r.time(23),
		Progressed: r.time(25), CancelAsked: r.time(26), RetryOf: r.text(29),
	}
	if labels := r.text(27); labels != "" {
		if err := json.Unmarshal([]byte(labels), &tx.Labels); err != nil {
			return nil, fmt.Errorf("transaction %s: decode labels: %w", tx.ID, err)
		}
	}
	if r[28] != nil {
		n := int(r.int(28))
		tx.Required = &n
	}
	var err error
	if tx.Outcome, err = r.outcome(24); err != nil {
		return nil, fmt.Errorf("transaction %s: %w", tx.ID, err)
	}
	return tx, nil
}

// checkTx checks what identifies in a transaction.
func checkTx(tx *store.Tx) error {
	for n, v := range tx.Labels {
		if err := names("label", n, "label "+n, v); err != nil {
			return err
		}
	}
	return names("id", tx.ID, "retryOf", tx.RetryOf, "kind", tx.Kind, "status", string(tx.Status), "sub-status", string(tx.Sub), "ledger", tx.Ledger,
		"from", tx.From, "to", tx.To, "hash", tx.Hash, "value", tx.Value, "gas", tx.Gas)
}

// txRow is a new transaction in the order of txColumns, without history yet. Seq, times and nonce are filled in by the writer.
func txRow(tx *store.Tx) ([]any, error) {
	outcome, err := outcomeValue(tx.Outcome)
	if err != nil {
		return nil, err
	}
	var labels, required any
	if len(tx.Labels) > 0 {
		if labels, err = jsonText(tx.Labels); err != nil {
			return nil, err
		}
	}
	if tx.Required != nil {
		required = int64(*tx.Required)
	}
	return []any{
		nil, tx.ID, tx.Version, tx.Kind, nil, nil, string(tx.Status), string(tx.Sub), nil, int64(tx.Shard), tx.Ledger, tx.From,
		tx.To, bitsOf(tx.Nonce), tx.Value, tx.Gas, rawValue(tx.Fee), int64(tx.Attempt), tx.Hash, toMicros(tx.FirstSubmit),
		toMicros(tx.LastSubmit), text(tx.Error), rawValue(tx.PolicyState), toMicros(tx.Due), outcome,
		toMicros(tx.Progressed), toMicros(tx.CancelAsked), labels, required, tx.RetryOf, int64(0), int64(0),
	}, nil
}

// scanAttempt reads a row of attemptColumns; tx is the number of the transaction's row.
func scanAttempt(r row, id string) (*store.Attempt, error) {
	a := &store.Attempt{
		Tx: id, Number: int(r.int(1)), Ledger: r.text(2), State: store.AttemptState(r.text(3)), Claim: r.int(4), Hash: r.text(5),
		From: r.text(6), Nonce: r.number(7), Expires: uint64(r.int(8)),
		Exclusive: r.text(9), Sends: int(r.int(11)), Open: int(r.int(12)), LastSent: r.time(13), Error: r.text(14), Dead: r.text(15),
		Fee: r.raw(19), SendBefore: r.time(21),
	}
	if keys := r.text(10); keys != "" {
		if err := json.Unmarshal([]byte(keys), &a.ConflictKeys); err != nil {
			return nil, fmt.Errorf("transaction %s attempt %d: decode conflict keys: %w", id, a.Number, err)
		}
	}
	var err error
	if a.Outcome, err = r.outcome(18); err != nil {
		return nil, fmt.Errorf("transaction %s attempt %d: %w", id, a.Number, err)
	}
	return a, nil
}

func checkAttempt(a *store.Attempt) error {
	if err := checkBlock(a.Outcome); err != nil {
		return err
	}
	return names("ledger", a.Ledger, "state", string(a.State), "hash", a.Hash, "from", a.From, "exclusive", a.Exclusive)
}

// checkPayload refuses what was to be encrypted first.
func checkPayload(p *store.Payload) error {
	if p.Secret {
		return fmt.Errorf("a secret payload in the clear: %w", store.ErrInvalid)
	}
	return nil
}

// attemptRow is an attempt in the order of attemptColumns.
func attemptRow(seq int64, a *store.Attempt) ([]any, error) {
	var conflict, block, at any
	if len(a.ConflictKeys) > 0 {
		s, err := jsonText(a.ConflictKeys)
		if err != nil {
			return nil, err
		}
		conflict = s
	}
	final := false
	if a.Outcome != nil {
		block, final = bits(a.Outcome.Block.Number), a.Outcome.Final
		if a.Outcome.Required != nil {
			at = bits(min(finalAt(a.Outcome), math.MaxInt64))
		}
	}
	outcome, err := outcomeValue(a.Outcome)
	if err != nil {
		return nil, err
	}
	return []any{
		seq, int64(a.Number), a.Ledger, string(a.State), a.Claim, a.Hash, a.From, bitsOf(a.Nonce), bits(a.Expires), a.Exclusive,
		conflict, int64(a.Sends), int64(a.Open), toMicros(a.LastSent), text(a.Error), text(a.Dead), block, flagValue(final), outcome,
		rawValue(a.Fee), at, toMicros(a.SendBefore),
	}, nil
}

func payloadRow(seq int64, number int, p *store.Payload) []any {
	return []any{seq, int64(number), blobValue(p.Prepared), rawValue(p.Result), blobValue(p.Sensitive)}
}

// checkBlock refuses a block number that SQL could not compare.
func checkBlock(o *store.Outcome) error {
	if o == nil {
		return nil
	}
	return checkNumber(o.Block.Number)
}

func checkNumber(n uint64) error {
	if bits(n) < 0 {
		return fmt.Errorf("block %d is out of range: %w", n, store.ErrInvalid)
	}
	return nil
}
