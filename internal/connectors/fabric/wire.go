package fabric

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// fields walks the fields of a message, one after the other. It copies nothing. What it makes of a message is what protobuf makes of it, however
// oddly it is encoded: whoever signs a transaction also chooses its encoding.
//
//   - A field of a known number with another wire type is one that is not known, and passed over.
//   - Of a field that comes again the last occurrence counts; of one that holds a message, all together (see merge).
type fields struct {
	rest  []byte
	num   protowire.Number
	typ   protowire.Type
	bytes []byte // of a field with bytes in it; of no spare capacity, so that to append copies
	value uint64 // of an integer
	err   error
}

// next goes to the next field; false at the end, or when the rest makes no sense.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.err = protowire.ParseError(n)
		return false
	}
	value := f.rest[n:]
	f.num, f.typ, f.bytes, f.value = num, typ, nil, 0
	switch typ {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(value)
		f.bytes = f.bytes[:len(f.bytes):len(f.bytes)]
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(value)
	default:
		n = protowire.ConsumeFieldValue(num, typ, value)
	}
	if n < 0 {
		f.err = protowire.ParseError(n)
		return false
	}
	f.rest = value[n:]
	return true
}

// isBytes tells whether the field is the wanted one, and made of bytes.
func (f *fields) isBytes(want protowire.Number) bool {
	return f.num == want && f.typ == protowire.BytesType
}

// isInteger is isBytes for an integer.
func (f *fields) isInteger(want protowire.Number) bool {
	return f.num == want && f.typ == protowire.VarintType
}

// merge adds the field to what came before of a field that holds a message, nil for nothing. Protobuf reads the parts as if they were one.
func (f *fields) merge(before []byte) []byte {
	if before == nil {
		return f.bytes
	}
	return append(before, f.bytes...) // a copy at first: what was read has no spare capacity
}

// nested finds a field of nested messages. What is not there is empty.
type nested struct {
	b   []byte
	err error
}

// in begins in a message.
func in(b []byte) nested { return nested{b: b} }

// bytes goes to a field with bytes in it, nil when there is none.
func (n nested) bytes(want protowire.Number) nested {
	return n.find(want, func(f *fields, _ []byte) []byte { return f.bytes })
}

// message goes to a field that holds a message.
func (n nested) message(want protowire.Number) nested {
	return n.find(want, (*fields).merge)
}

// first goes to the first element of a repeated field.
func (n nested) first(want protowire.Number) nested {
	return n.find(want, func(f *fields, before []byte) []byte {
		if before != nil {
			return before
		}
		return f.bytes
	})
}

// find goes to a field; add is called with each occurrence, and with what came before.
func (n nested) find(want protowire.Number, add func(f *fields, before []byte) []byte) nested {
	if n.err != nil {
		return n
	}
	var found []byte
	f := fields{rest: n.b}
	for f.next() {
		if f.isBytes(want) {
			found = add(&f, found)
		}
	}
	return nested{found, f.err}
}

// get returns what was found.
func (n nested) get() ([]byte, error) {
	if n.err != nil {
		return nil, n.err
	}
	return n.b, nil
}

// bytesField returns the last field of a number with bytes in it, nil when there is none.
func bytesField(b []byte, want protowire.Number) ([]byte, error) { return in(b).bytes(want).get() }

// varintField returns the last field of a number that is an integer, 0 when there is none.
func varintField(b []byte, want protowire.Number) (found uint64, err error) {
	f := fields{rest: b}
	for f.next() {
		if f.isInteger(want) {
			found = f.value
		}
	}
	return found, f.err
}
