package fabric

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields walks the fields of a message, one after the other. It copies nothing.
type fields struct {
	rest  []byte
	num   protowire.Number
	typ   protowire.Type
	bytes []byte // of a field with bytes in it
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

// isBytes tells whether the field is the wanted one. One of that number which is made of something else ends the walk.
func (f *fields) isBytes(want protowire.Number) bool {
	if f.num == want && f.typ != protowire.BytesType {
		f.err = fmt.Errorf("field %d is not made of bytes", want)
	}
	return f.num == want && f.err == nil
}

// isInteger is isBytes for an integer.
func (f *fields) isInteger(want protowire.Number) bool {
	if f.num == want && f.typ != protowire.VarintType {
		f.err = fmt.Errorf("field %d is not an integer", want)
	}
	return f.num == want && f.err == nil
}

// pathField follows fields of nested messages.
func pathField(b []byte, path ...protowire.Number) ([]byte, error) {
	for _, num := range path {
		var err error
		if b, err = bytesField(b, num); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// bytesField returns the last field of a number with bytes in it, nil when there is none, as protobuf has it.
func bytesField(b []byte, want protowire.Number) (found []byte, err error) {
	f := fields{rest: b}
	for f.next() {
		if f.isBytes(want) {
			found = f.bytes
		}
	}
	return found, f.err
}

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
