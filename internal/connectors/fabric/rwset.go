package fabric

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// write is one change that a transaction makes to the state.
type write struct {
	namespace string // the chaincode whose state it is
	key       string
	value     []byte
	isDelete  bool

	shown made[json.RawMessage] // see full
}

// Field numbers of read-write sets.
const (
	setNamespaces = 2 // of TxReadWriteSet
	nsName        = 1
	nsSet         = 2
	kvWrites      = 3
	writeKey      = 1
	writeIsDelete = 2
	writeValue    = 3
)

// writeSet returns what a transaction writes, in the order of its read-write set.
func (t *tx) writeSet(r *room) ([]write, error) {
	return t.writes.get(r, func() ([]write, int, error) {
		results, err := t.results()
		if err != nil {
			return nil, 0, err
		}
		out, err := decodeWrites(results)
		return out, len(out) * int(reflect.TypeFor[write]().Size()), err
	})
}

// results finds the read-write set of a transaction.
func (t *tx) results() ([]byte, error) {
	action, err := t.action()
	if err != nil {
		return nil, err
	}
	return bytesField(action, ccActionResults)
}

// decodeWrites reads a TxReadWriteSet. Private data are not in it, but for their hashes, which are left out.
func decodeWrites(results []byte) ([]write, error) {
	var out []write
	f := fields{rest: results}
	for f.next() {
		if !f.isBytes(setNamespaces) {
			continue
		}
		var err error
		if out, err = namespaceWrites(out, f.bytes); err != nil {
			return nil, err
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("read-write set: %w", f.err)
	}
	return out, nil
}

func namespaceWrites(out []write, b []byte) ([]write, error) {
	var name string
	var set []byte
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.isBytes(nsName):
			name = string(f.bytes)
		case f.isBytes(nsSet):
			set = f.bytes
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("read-write set: %w", f.err)
	}
	f = fields{rest: set}
	for f.next() {
		if !f.isBytes(kvWrites) {
			continue
		}
		out = append(out, write{namespace: name})
		if err := out[len(out)-1].decode(f.bytes); err != nil {
			return nil, fmt.Errorf("writes of %s: %w", name, err)
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("read-write set of %s: %w", name, f.err)
	}
	return out, nil
}

func (w *write) decode(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.isBytes(writeKey):
			w.key = string(f.bytes)
		case f.isInteger(writeIsDelete):
			w.isDelete = f.value != 0
		case f.isBytes(writeValue):
			w.value = f.bytes
		}
	}
	w.isDelete = w.isDelete || len(w.value) == 0 // peers delete a key that is set to nothing
	return f.err
}
