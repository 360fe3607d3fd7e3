package fabric

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// maxKnown bounds the answers that a matcher remembers: a chaincode may well give each event a name of its own.
const maxKnown = 10_000

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

// newMatcher reads what Listener resolved.
func newMatcher(channel string, listeners []*ffcapi.Listener) (*matcher, error) {
	m := &matcher{channel: channel, known: map[itemKey]*match{}}
	for i, l := range listeners {
		var r resolved
		if err := json.Unmarshal(l.Resolved, &r); err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "listener %d: %w", i, err)
		}
		if err := m.add(rule{i, r.Filtered, r.IncludeInvalid}, r.Filters); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *matcher) add(r rule, filters []filter) error {
	for _, f := range filters {
		event, err := nameMatcher(f.Event)
		if err != nil {
			return ffcapi.Errorf(ffcapi.Internal, "listener %d: event %s: %w", r.listener, f.Event, err)
		}
		function, err := nameMatcher(f.Function)
		if err != nil {
			return ffcapi.Errorf(ffcapi.Internal, "listener %d: function %s: %w", r.listener, f.Function, err)
		}
		switch f.Type {
		case "", typeEvent:
			m.events = append(m.events, eventRule{r, f.Chaincode, event})
			m.invalid = m.invalid || r.invalid
		case typeTransaction:
			m.transactions = append(m.transactions, transactionRule{r, f.Chaincode, function, f.Codes})
		case typeWrite:
			m.writes = append(m.writes, writeRule{r, f.Chaincode, f.KeyPrefix, f.IsDelete})
		case typeBlock:
			m.blocks = append(m.blocks, r)
		case typeConfig:
			m.configs = append(m.configs, r)
		default:
			return ffcapi.Errorf(ffcapi.Internal, "listener %d: there are no filters of type %q", r.listener, f.Type)
		}
	}
	return nil
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
func (m *matcher) whole(kind string, rules []rule) *match {
	key := itemKey{kind: kind}
	found := m.lookup(key, func(found *match) {
		for _, r := range rules {
			found.add(r)
		}
	})
	found.address = m.channel
	return found
}

// read appends the events of a block from a position on.
func (m *matcher) read(out []ffcapi.Event, b *block, from ffcapi.Cursor) ([]ffcapi.Event, error) {
	if len(m.events)+len(m.transactions)+len(m.writes) > 0 {
		for i := range b.txs {
			var err error
			if out, err = m.tx(out, b, &b.txs[i], from); err != nil {
				return nil, err
			}
		}
	}
	if b.config != nil && len(m.configs) > 0 {
		item := ffcapi.Event{Cursor: ffcapi.Cursor{Block: b.Number, Tx: b.config.index}, BlockHash: b.Hash, TxHash: b.config.id, Name: typeConfig, Timestamp: &b.config.time}
		out = emit(out, item, from, m.whole(typeConfig, m.configs), (*configuration)(b.config))
	}
	if len(m.blocks) > 0 {
		item := ffcapi.Event{Cursor: ffcapi.Cursor{Block: b.Number, Tx: uint64(b.count)}, BlockHash: b.Hash, Name: typeBlock, Timestamp: &b.time}
		out = emit(out, item, from, m.whole(typeBlock, m.blocks), b)
	}
	return out, nil
}

// tx appends what a transaction gives.
func (m *matcher) tx(out []ffcapi.Event, b *block, t *tx, from ffcapi.Cursor) ([]ffcapi.Event, error) {
	if t.kind != common.HeaderType_ENDORSER_TRANSACTION {
		return out, nil
	}
	item := ffcapi.Event{Cursor: ffcapi.Cursor{Block: b.Number, Tx: t.index, Log: logEvent}, BlockHash: b.Hash, TxHash: t.id, Timestamp: &t.time}
	e := t.event
	if m.invalid && !t.valid() {
		e = t.invalidEvent()
	}
	if e != nil && len(m.events) > 0 {
		item.Name = e.name
		out = emit(out, item, from, m.event(e, t.code), e)
	}
	if len(m.transactions) > 0 {
		chaincode, function := t.invoked()
		item.Name, item.Cursor.Log = typeTransaction, logTransaction
		out = emit(out, item, from, m.transaction(chaincode, function, t.code), t)
	}
	if len(m.writes) == 0 || !t.valid() { // an invalid transaction has written nothing
		return out, nil
	}
	writes, err := t.writeSet()
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "block %d of %s: transaction %s: %w", b.Number, m.channel, t.id, err)
	}
	for i := range writes {
		item.Name, item.Cursor.Log = typeWrite, logWrites+uint64(i)
		out = emit(out, item, from, m.write(&writes[i]), &writes[i])
	}
	return out, nil
}

// item is something in a block that events are made of.
type item interface {
	full() json.RawMessage     // all of it; made once, and shared
	filtered() json.RawMessage // ids, names and codes
}

// emit appends an event, in up to two forms, unless it is before from.
func emit(out []ffcapi.Event, ev ffcapi.Event, from ffcapi.Cursor, m *match, it item) []ffcapi.Event {
	if m.none() || ev.Cursor.Before(from) {
		return out
	}
	ev.Address, ev.Info = m.address, m.info
	stamp := *ev.Timestamp // a copy: the event must not keep the block in memory
	ev.Timestamp = &stamp
	if len(m.full) > 0 {
		ev.Data, ev.Matches = it.full(), m.full
		out = append(out, ev)
	}
	if len(m.filtered) > 0 {
		ev.Data, ev.Matches = it.filtered(), m.filtered
		out = append(out, ev)
	}
	return out
}
