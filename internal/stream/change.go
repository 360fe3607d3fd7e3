package stream

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// changeDigits pads the sequence in the id of a status change, so that ids sort in order.
const changeDigits = 12

// change is one status change of one transaction, encoded once for all listeners.
type change struct {
	seq            int64
	json           []byte // the event, but for what differs between listeners; the object is left open
	idStart, idEnd int    // where the id of the event is in it
	block          uint64 // where the transaction ended, 0 if it did not in a block

	// What filters ask for.
	status         store.TxStatus
	sub            store.SubStatus
	ledger, signer string
	labels         map[string]string
	removed        bool // the transaction is gone: only status and sub are known
}

// size is about what a change takes in memory.
func (c *change) size() int {
	const fixed, label = 256, 64
	return fixed + len(c.json) + len(c.labels)*label
}

// newChange encodes a row of the status log.
func newChange(connector string, e *store.StatusEntry) change {
	c := change{seq: e.Seq, status: e.Status, sub: e.Sub, removed: e.Tx == nil}
	b := append(make([]byte, 0, 512), `{"id":`...)
	b = appendJSONString(b, e.TxID)
	b = append(b, `,"eventId":`...)
	c.idStart = len(b) + 1
	b = appendJSONString(b, changeID(connector, e.Seq))
	c.idEnd = len(b) - 1
	b = append(b, `,"sequence":"`...)
	b = strconv.AppendInt(b, e.Seq, 10)
	b = append(b, '"')
	b = appendField(b, "status", string(e.Status))
	b = appendField(b, "subStatus", string(e.Sub))
	b = append(b, `,"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if e.Tx == nil {
		c.json = append(b, `,"removed":true`...)
		return c
	}
	c.ledger, c.signer, c.labels = e.Tx.Ledger, e.Tx.From, e.Tx.Labels
	b = append(b, `,"ledger":`...)
	b = appendJSONString(b, e.Tx.Ledger)
	b = appendField(b, "from", e.Tx.From)
	if len(e.Tx.Labels) > 0 {
		if labels, err := json.Marshal(e.Tx.Labels); err == nil { // a map of strings always encodes
			b = append(append(b, `,"labels":`...), labels...)
		}
	}
	c.json = c.appendState(b, e)
	return c
}

// appendState adds what changes while a transaction is under way. The row tells the status; the transaction is as it is now. So
// this is left out when the transaction has gone on since: it would tell of another time.
func (c *change) appendState(b []byte, e *store.StatusEntry) []byte {
	tx := e.Tx
	if tx.Status != e.Status || tx.Sub != e.Sub {
		return b
	}
	b = appendField(b, "transactionHash", tx.Hash)
	if o := tx.Outcome; o != nil {
		c.block = o.Block.Number
		b = appendField(b, "blockNumber", strconv.FormatUint(o.Block.Number, 10))
		b = appendField(b, "blockHash", o.Block.Hash)
		b = appendField(b, "transactionIndex", strconv.FormatUint(o.Index, 10))
	}
	if e.Status != store.Succeeded {
		b = appendField(b, "error", tx.Error)
	}
	return b
}

// changeID is the id of an event of the log. The ids of contract events have a position with slashes in the place of the sequence.
func changeID(connector string, seq int64) string {
	n := strconv.FormatInt(seq, 10)
	id := append([]byte(connector), ":transactions:"...)
	for range changeDigits - len(n) {
		id = append(id, '0')
	}
	return string(append(id, n...))
}

// appendField appends a member that is left out when it is empty.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendJSONString(b, value)
}

// changeFilter is one filter of a listener of type transactions: all that it names must be so.
type changeFilter struct {
	status store.TxStatus
	sub    store.SubStatus
	ledger *string
	signer *string
	labels []labelFilter
}

type labelFilter struct{ name, value string }

// matches says whether a change passes. What cannot be told any more, because the transaction is gone, counts as a match: a change too many
// shows that it is one, a change too few does not.
func (f *changeFilter) matches(c *change) bool {
	if f.status != "" && f.status != c.status || f.sub != "" && f.sub != c.sub {
		return false
	}
	if c.removed {
		return true
	}
	if f.ledger != nil && *f.ledger != c.ledger || f.signer != nil && *f.signer != c.signer {
		return false
	}
	for _, l := range f.labels {
		if v, ok := c.labels[l.name]; !ok || v != l.value {
			return false
		}
	}
	return true
}

// changeFilters are the filters of a listener: one of them must match. Without any, everything does.
type changeFilters []changeFilter

func (fs changeFilters) match(c *change) bool {
	return len(fs) == 0 || slices.ContainsFunc(fs, func(f changeFilter) bool { return f.matches(c) })
}
