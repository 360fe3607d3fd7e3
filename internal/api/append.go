package api

import (
	"math/big"
	"strconv"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// appender writes JSON by appending: a transaction is the answer that a node gives most, and reflection takes several times as long.
// What it writes is byte for byte what encoding/json does; the rare members are left to that.
type appender struct {
	b   []byte
	err error
}

// answer appends one of the answers that have a way of their own here; false: it is none, or could not be encoded.
func (a *appender) answer(v any) bool {
	switch v := v.(type) {
	case *apitypes.Transaction:
		a.transaction(v)
	case []*apitypes.BatchItem:
		a.batch(v)
	default:
		return false
	}
	a.raw("\n")
	return a.err == nil
}

func (a *appender) batch(items []*apitypes.BatchItem) {
	a.raw("[")
	for i, item := range items {
		if i > 0 {
			a.raw(",")
		}
		if item.Transaction == nil {
			a.any(item)
			continue
		}
		a.raw(`{"status":`)
		a.b = strconv.AppendInt(a.b, int64(item.Status), 10)
		a.raw(`,"transaction":`)
		a.transaction(item.Transaction)
		a.raw(`,"replay":`)
		a.b = strconv.AppendBool(a.b, item.Replay)
		a.raw("}")
	}
	a.raw("]")
}

func (a *appender) transaction(t *apitypes.Transaction) {
	a.raw(`{"id":`)
	a.text(t.ID)
	a.raw(`,"created":`)
	a.moment(t.Created)
	a.raw(`,"updated":`)
	a.moment(t.Updated)
	a.raw(`,"status":`)
	a.text(t.Status)
	a.textIf(`,"subStatus":`, t.SubStatus)
	a.raw(`,"sequenceId":`)
	a.text(t.SequenceID)
	a.raw(`,"progress":{"status":`)
	a.text(t.Progress.Status)
	a.textIf(`,"message":`, t.Progress.Message)
	a.raw("}")
	a.textIf(`,"ledger":`, t.Ledger)
	a.textIf(`,"from":`, t.From)
	a.textIf(`,"to":`, t.To)
	a.number(`,"nonce":`, t.Nonce)
	a.number(`,"gas":`, t.Gas)
	a.number(`,"value":`, t.Value)
	a.anyIf(`,"gasPrice":`, t.GasPrice, len(t.GasPrice) > 0)
	a.textIf(`,"transactionHash":`, t.TransactionHash)
	if t.Attempt != 0 {
		a.raw(`,"attempt":`)
		a.b = strconv.AppendInt(a.b, int64(t.Attempt), 10)
	}
	a.anyIf(`,"policyInfo":`, t.PolicyInfo, len(t.PolicyInfo) > 0)
	a.momentIf(`,"firstSubmit":`, t.FirstSubmit)
	a.momentIf(`,"lastSubmit":`, t.LastSubmit)
	a.textIf(`,"errorMessage":`, t.ErrorMessage)
	a.anyIf(`,"labels":`, t.Labels, len(t.Labels) > 0)
	a.anyIf(`,"confirmationsRequired":`, t.Required, t.Required != nil)
	a.textIf(`,"retryOf":`, t.RetryOf)
	a.momentIf(`,"deleteRequested":`, t.DeleteRequested)
	a.textIf(`,"blockedBy":`, t.BlockedBy)
	a.anyIf(`,"stuck":`, t.Stuck, t.Stuck != nil)
	a.raw("}")
}

func (a *appender) raw(s string) { a.b = append(a.b, s...) }

// text appends a string. Ids, names and hashes are plain ASCII, which needs no look at an escape table.
func (a *appender) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			a.any(s)
			return
		}
	}
	a.b = append(append(append(a.b, '"'), s...), '"')
}

func (a *appender) textIf(name, s string) {
	if s != "" {
		a.raw(name)
		a.text(s)
	}
}

func (a *appender) moment(t *fftypes.FFTime) {
	if t == nil || time.Time(*t).IsZero() {
		a.raw("null")
		return
	}
	a.b = append(time.Time(*t).UTC().AppendFormat(append(a.b, '"'), time.RFC3339Nano), '"')
}

func (a *appender) momentIf(name string, t *fftypes.FFTime) {
	if t != nil {
		a.raw(name)
		a.moment(t)
	}
}

func (a *appender) number(name string, n *fftypes.FFBigInt) {
	if n != nil {
		a.raw(name)
		a.b = append((*big.Int)(n).Append(append(a.b, '"'), 10), '"')
	}
}

// any appends what encoding/json makes of a value.
func (a *appender) any(v any) {
	e := borrow()
	defer e.giveBack()
	if err := e.enc.Encode(v); err != nil {
		a.err = err
		return
	}
	made := e.buf.Bytes()
	a.b = append(a.b, made[:len(made)-1]...) // without the line feed
}

func (a *appender) anyIf(name string, v any, given bool) {
	if given {
		a.raw(name)
		a.any(v)
	}
}
