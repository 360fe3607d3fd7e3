package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pyralis-io/pyralis/internal/store"
)

// maxName is the length in bytes of anything that identifies: what an index of PostgreSQL surely holds, two of them together.
const maxName = 1024

// row is one row of an answer, whichever driver it came from: int64, string, []byte, bool or nil.
type row []any

func (r row) int(i int) int64 {
	v, _ := r[i].(int64)
	return v
}

func (r row) text(i int) string {
	v, _ := r[i].(string)
	return v
}

func (r row) blob(i int) []byte {
	v, _ := r[i].([]byte)
	return v
}

// flag reads what is a boolean in PostgreSQL and a number in SQLite.
func (r row) flag(i int) bool {
	if v, ok := r[i].(bool); ok {
		return v
	}
	return r.int(i) != 0
}

func (r row) raw(i int) json.RawMessage {
	if s := r.text(i); s != "" {
		return json.RawMessage(s)
	}
	return nil
}

func (r row) time(i int) time.Time { return fromMicros(r.int(i)) }

func (r row) number(i int) *uint64 {
	if r[i] == nil {
		return nil
	}
	n := uint64(r.int(i))
	return &n
}

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// bits keeps an unsigned number in a signed column.
func bits(n uint64) int64 { return int64(n) }

func bitsOf(n *uint64) any {
	if n == nil {
		return nil
	}
	return bits(*n)
}

func flagValue(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// text makes s storable by both dialects. It serves what informs people; what identifies is checked with name instead.
func text(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

func rawValue(m json.RawMessage) any {
	if len(m) == 0 {
		return nil
	}
	return text(string(m))
}

func blobValue(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// name checks what identifies something.
func name(field, s string) error {
	switch {
	case len(s) > maxName:
		return fmt.Errorf("%s has %d bytes, more than %d: %w", field, len(s), maxName, store.ErrInvalid)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%s is not plain text: %w", field, store.ErrInvalid)
	}
	return nil
}

// names checks pairs of field and value.
func names(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := name(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// jsonText encodes what the store itself made.
func jsonText(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode for the store: %w", err)
	}
	return text(strings.TrimSuffix(b.String(), "\n")), nil
}

func (r row) outcome(i int) (*store.Outcome, error) {
	s := r.text(i)
	if s == "" {
		return nil, nil //nolint:nilnil // a NULL
	}
	var o store.Outcome
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return nil, fmt.Errorf("decode outcome: %w", err)
	}
	return &o, nil
}
