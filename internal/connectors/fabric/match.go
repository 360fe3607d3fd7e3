package fabric

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// maxKnown bounds the answers that a matcher remembers, and maxKnownName the names that they are about: a chaincode may well give each event a name of its own,
// and the function of a call is whatever the client wrote first.
const (
	maxKnown     = 10_000
	maxKnownName = 256
)

// The order of what one transaction gives. The block itself comes after its last transaction, as if it were one more.
const (
	logEvent       = 0 // the event of a chaincode, or a configuration
	logTransaction = 1
	logWrites      = 2 // the first of them; the others follow in the order of the read-write set
)

// matcher finds the listeners that something in a block is for, and makes events of it. What no listener asks for is not even decoded.
type matcher struct {
	channel      string
	events       []eventRule
	transactions []transactionRule
	writes       []writeRule
	blocks       []rule
	configs      []rule
	invalid      bool               // some event of an invalid transaction may be asked for
	known        map[itemKey]*match // answers so far
}

// rule is a listener, and how it wants what it gets.
type rule struct {
	listener int
	filtered bool
	invalid  bool // also what invalid transactions would have given
}

type eventRule struct {
	rule
	chaincode string
	name      func(string) bool
}

type transactionRule struct {
	rule
	chaincode string // "" for all
	function  func(string) bool
	codes     []string // empty: by rule.invalid
}

type writeRule struct {
	rule
	namespace string // "" for all
	prefix    string
	isDelete  *bool
}

// itemKey is all that the listeners of an event or a transaction depend on.
type itemKey struct {
	kind            string
	chaincode, name string
	code            peer.TxValidationCode
}

// match says for whom something is. It is shared by all that is alike.
type match struct {
	full, filtered []int // listeners, ascending
	info           json.RawMessage
	address        string
}

// add takes in a listener; rules come in the order of listeners.
func (m *match) add(r rule) {
	list := &m.full
	if r.filtered {
		list = &m.filtered
	}
	if n := len(*list); n == 0 || (*list)[n-1] != r.listener {
		*list = append(*list, r.listener)
	}
}

func (m *match) none() bool { return len(m.full) == 0 && len(m.filtered) == 0 }

func newMatcher(channel string) *matcher {
	return &matcher{channel: channel, known: map[itemKey]*match{}}
}

// add takes in the filters of a listener.
func (m *matcher) add(r rule, filters []compiledFilter) {
	for _, f := range filters {
		switch f.Type {
		case "", typeEvent:
			m.events = append(m.events, eventRule{r, f.Chaincode, f.event})
			m.invalid = m.invalid || r.invalid
		case typeTransaction:
			m.transactions = append(m.transactions, transactionRule{r, f.Chaincode, f.function, f.Codes})
		case typeWrite:
			m.writes = append(m.writes, writeRule{r, f.Chaincode, f.KeyPrefix, f.IsDelete})
		case typeBlock:
			m.blocks = append(m.blocks, r)
		case typeConfig:
			m.configs = append(m.configs, r)
		}
	}
}

// lookup returns the listeners of an event or a transaction, which find finds if they are not known.
func (m *matcher) lookup(key itemKey, find func(*match)) *match {
	if found, ok := m.known[key]; ok {
		return found
	}
	found := &match{}
	find(found)
	if !found.none() {
		found.address = m.channel + "/" + key.chaincode
		found.info = m.info(key)
	}
	if len(key.chaincode)+len(key.name) > maxKnownName {
		return found
	}
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	m.known[key] = found
	return found
}

// event returns the listeners of a chaincode's event.
func (m *matcher) event(e *chaincodeEvent, code peer.TxValidationCode) *match {
	return m.lookup(itemKey{typeEvent, e.chaincode, e.name, code}, func(found *match) {
		for _, r := range m.events {
			if r.chaincode == e.chaincode && r.name(e.name) && (r.invalid || code == peer.TxValidationCode_VALID) {
				found.add(r.rule)
			}
		}
	})
}

// transaction returns the listeners of a transaction.
func (m *matcher) transaction(chaincode, function string, code peer.TxValidationCode) *match {
	return m.lookup(itemKey{typeTransaction, chaincode, function, code}, func(found *match) {
		for _, r := range m.transactions {
			wanted := r.invalid || code == peer.TxValidationCode_VALID
			if len(r.codes) > 0 {
				wanted = slices.Contains(r.codes, code.String())
			}
			if wanted && (r.chaincode == "" || r.chaincode == chaincode) && r.function(function) {
				found.add(r.rule)
			}
		}
	})
}

// write returns the listeners of a write. What depends on the namespace alone is shared.
func (m *matcher) write(w *write) *match {
	space := m.lookup(itemKey{kind: typeWrite, chaincode: w.namespace}, func(found *match) {
		for _, r := range m.writes {
			if r.namespace == "" || r.namespace == w.namespace {
				found.add(r.rule)
			}
		}
	})
	if space.none() {
		return space
	}
	found := &match{info: space.info, address: space.address}
	for _, r := range m.writes {
		if (r.namespace == "" || r.namespace == w.namespace) && strings.HasPrefix(w.key, r.prefix) && (r.isDelete == nil || *r.isDelete == w.isDelete) {
			found.add(r.rule)
		}
	}
	return found
}

// whole returns the listeners of a block or of a configuration.
func (m *matcher) whole(kind string, rules []rule, code peer.TxValidationCode) *match {
	key := itemKey{kind: kind, code: code}
	found := m.lookup(key, func(found *match) {
		for _, r := range rules {
			if r.invalid || code == peer.TxValidationCode_VALID {
				found.add(r)
			}
		}
	})
	found.address = m.channel
	return found
}

// read appends the events of a block from a position on.
func (m *matcher) read(out []ffcapi.Event, b *block, from ffcapi.Cursor) ([]ffcapi.Event, error) {
	for _, t := range b.txs {
		item := ffcapi.Event{Cursor: ffcapi.Cursor{Block: b.Number, Tx: t.index, Log: logEvent}, BlockHash: b.Hash, TxHash: t.id, Timestamp: &t.time}
		switch {
		case t.kind == common.HeaderType_CONFIG && len(m.configs) > 0:
			item.Name = typeConfig
			out = emit(out, item, from, m.whole(typeConfig, m.configs, t.code), (*configuration)(t), &b.room)
		case t.kind == common.HeaderType_ENDORSER_TRANSACTION && len(m.events)+len(m.transactions)+len(m.writes) > 0:
			var err error
			if out, err = m.tx(out, item, b, t, from); err != nil {
				return nil, err
			}
		}
	}
	if len(m.blocks) > 0 {
		item := ffcapi.Event{Cursor: ffcapi.Cursor{Block: b.Number, Tx: uint64(b.count)}, BlockHash: b.Hash, Name: typeBlock, Timestamp: &b.time}
		out = emit(out, item, from, m.whole(typeBlock, m.blocks, peer.TxValidationCode_VALID), b, &b.room)
	}
	return out, nil
}

// tx appends what a transaction gives. item has what its events have in common.
func (m *matcher) tx(out []ffcapi.Event, item ffcapi.Event, b *block, t *tx, from ffcapi.Cursor) ([]ffcapi.Event, error) {
	e := t.event
	if m.invalid && !t.valid() {
		e = t.invalidEvent()
	}
	if e != nil && len(m.events) > 0 {
		item.Name = e.name
		out = emit(out, item, from, m.event(e, t.code), e, &b.room)
	}
	if len(m.transactions) > 0 {
		chaincode, function := t.invoked()
		item.Name, item.Cursor.Log = typeTransaction, logTransaction
		out = emit(out, item, from, m.transaction(chaincode, function, t.code), t, &b.room)
	}
	if len(m.writes) == 0 || !t.valid() { // an invalid transaction has written nothing
		return out, nil
	}
	writes, err := t.writeSet(&b.room)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "block %d of %s: transaction %s: %w", b.Number, m.channel, t.id, err)
	}
	for i := range writes {
		item.Name, item.Cursor.Log = typeWrite, logWrites+uint64(i)
		out = emit(out, item, from, m.write(&writes[i]), &writes[i], &b.room)
	}
	return out, nil
}

// item is something in a block that events are made of.
type item interface {
	full(r *room) json.RawMessage // all of it; shared, and kept in the room that there is
	filtered() json.RawMessage    // ids, names and codes
}

// emit appends an event, in up to two forms, unless it is before from. Where there is no time, the core takes that of the block.
func emit(out []ffcapi.Event, ev ffcapi.Event, from ffcapi.Cursor, m *match, it item, r *room) []ffcapi.Event {
	if m.none() || ev.Cursor.Before(from) {
		return out
	}
	ev.Address, ev.Info = m.address, m.info
	if ev.Timestamp.IsZero() {
		ev.Timestamp = nil
	} else {
		stamp := *ev.Timestamp // a copy: the event must not keep the block in memory
		ev.Timestamp = &stamp
	}
	if len(m.full) > 0 {
		ev.Data, ev.Matches = it.full(r), m.full
		out = append(out, ev)
	}
	if len(m.filtered) > 0 {
		ev.Data, ev.Matches = it.filtered(), m.filtered
		out = append(out, ev)
	}
	return out
}
