package ffcapi

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Cursor is a position between events: the next one to read. The zero value is the start of the ledger. Cursors of a
// ledger are ordered by block, transaction and log.
type Cursor struct{ Block, Tx, Log uint64 }

// BlockStart is the position before the first event of a block.
func BlockStart(number uint64) Cursor { return Cursor{Block: number} }

// Next is the position right after the event at c.
func (c Cursor) Next() Cursor { return Cursor{Block: c.Block, Tx: c.Tx, Log: c.Log + 1} }

// Compare returns -1, 0 or +1.
func (c Cursor) Compare(o Cursor) int {
	if r := cmp.Compare(c.Block, o.Block); r != 0 {
		return r
	}
	if r := cmp.Compare(c.Tx, o.Tx); r != 0 {
		return r
	}
	return cmp.Compare(c.Log, o.Log)
}

// Before reports whether c comes before o.
func (c Cursor) Before(o Cursor) bool { return c.Compare(o) < 0 }

// String is the text form: zero-padded "block/tx/log" in 12, 6 and 6 digits, which sorts in chain order. It is FireFly's
// protocol id.
func (c Cursor) String() string { return string(c.AppendText(make([]byte, 0, 26))) }

// AppendText appends the text form to b.
func (c Cursor) AppendText(b []byte) []byte {
	b = appendPadded(b, c.Block, 12)
	b = append(b, '/')
	b = appendPadded(b, c.Tx, 6)
	b = append(b, '/')
	return appendPadded(b, c.Log, 6)
}

// MarshalText implements encoding.TextMarshaler.
func (c Cursor) MarshalText() ([]byte, error) { return c.AppendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Cursor) UnmarshalText(b []byte) (err error) {
	*c, err = ParseCursor(string(b))
	return err
}

// ParseCursor reads the text form.
func ParseCursor(s string) (Cursor, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Cursor{}, fmt.Errorf("cursor %q: want block/tx/log", s)
	}
	var n [3]uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return Cursor{}, fmt.Errorf("cursor %q: %w", s, err)
		}
		n[i] = v
	}
	return Cursor{Block: n[0], Tx: n[1], Log: n[2]}, nil
}

func appendPadded(b []byte, v uint64, width int) []byte {
	var d [20]byte
	i := len(d)
	for ok := true; ok; ok = v > 0 {
		i--
		d[i] = byte('0' + v%10)
		v /= 10
	}
	for n := len(d) - i; n < width; n++ {
		b = append(b, '0')
	}
	return append(b, d[i:]...)
}
