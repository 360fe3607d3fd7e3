package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// maxDepth is how deep a body may nest. What handles it later may be recursive, and bounded itself: see canonical of package txn.
	maxDepth = 200
	// maxDigits bounds big integers: decoding a number takes more than linear time.
	maxDigits = 128
	// maxShown is how much of a wrong value an error repeats.
	maxShown = 60
)

// checkObject refuses what is not one JSON object in UTF-8 of bearable depth. The functions below rely on it.
func checkObject(raw []byte) error { return check(raw, '{', "an object") }

// check refuses what is not one JSON value in UTF-8 of bearable depth that begins with a byte.
func check(raw []byte, begin byte, wanted string) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return newError(msgs.BadJSON, "it is empty; give "+wanted)
	}
	if !json.Valid(raw) {
		return newError(msgs.BadJSON, syntaxError(raw))
	}
	if !utf8.Valid(raw) {
		return newError(msgs.BadJSON, "it is not UTF-8")
	}
	if deeper(raw, maxDepth) {
		return newError(msgs.TooDeep, strconv.Itoa(maxDepth))
	}
	if raw[skipSpace(raw, 0)] != begin {
		return newError(msgs.BadJSON, "it is "+show(raw)+"; give "+wanted)
	}
	return nil
}

func syntaxError(raw []byte) string {
	err := json.Unmarshal(raw, new(json.RawMessage))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d", err, syntax.Offset)
	}
	return fmt.Sprint(err)
}

// deeper reports whether valid JSON nests deeper than limit.
func deeper(raw []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = skipString(raw, i) - 1
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// member is one member of an object. key and value are parts of the body.
type member struct {
	name  string
	key   []byte // as it was written, with its quotes
	value json.RawMessage
}

// eachMember calls fn for the members of an object in order.
func eachMember(raw []byte, fn func(member) error) error {
	i := skipSpace(raw, 0) + 1
	for {
		i = skipSpace(raw, i)
		switch raw[i] {
		case '}':
			return nil
		case ',':
			i++
			continue
		}
		end := skipString(raw, i)
		m := member{key: raw[i:end]}
		m.name = unquote(m.key)
		i = skipSpace(raw, end)
		i = skipSpace(raw, i+1) // the colon
		end = skipValue(raw, i)
		m.value = raw[i:end:end]
		i = end
		if err := fn(m); err != nil {
			return err
		}
	}
}

// elements returns the elements of an array; none are an empty slice.
func elements(raw []byte) []json.RawMessage {
	list := []json.RawMessage{}
	i := skipSpace(raw, 0) + 1
	for {
		i = skipSpace(raw, i)
		switch raw[i] {
		case ']':
			return list
		case ',':
			i++
			continue
		}
		end := skipValue(raw, i)
		list = append(list, raw[i:end:end])
		i = end
	}
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\r' || raw[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the index behind the string that begins at i.
func skipString(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the index behind the value that begins at i.
func skipValue(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			if i = skipString(raw, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of what the number or word is in
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return string(raw) // cannot be: it was checked
	}
	return s
}

func isNull(raw []byte) bool { return raw == nil || raw[0] == 'n' }

// present is raw, or nil if it is null.
func present(raw json.RawMessage) json.RawMessage {
	if isNull(raw) {
		return nil
	}
	return raw
}

// text decodes a string; null is an empty one.
func text(field string, raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	if raw[0] != '"' {
		return "", apitypes.Invalidf(field, "give a string", "is %s", show(raw))
	}
	return unquote(raw), nil
}

// decoding decodes the members of a command and keeps the first error.
type decoding struct{ err error }

func (d *decoding) text(field string, raw json.RawMessage) string {
	s, err := text(field, raw)
	d.keep(err)
	return s
}

func (d *decoding) number(field string, raw json.RawMessage) *fftypes.FFBigInt {
	n, err := number(field, raw)
	d.keep(err)
	return n
}

func (d *decoding) list(field string, raw json.RawMessage) []json.RawMessage {
	switch {
	case isNull(raw):
		return nil
	case raw[0] != '[':
		d.keep(apitypes.Invalidf(field, "give an array", "is %s", show(raw)))
		return nil
	}
	return elements(raw)
}

// block decodes a block of a query, which is a string of the chain's own or a number.
func (d *decoding) block(raw json.RawMessage) string {
	if !isNull(raw) && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		return string(raw)
	}
	return d.text("blockNumber", raw)
}

func (d *decoding) keep(err error) {
	if d.err == nil {
		d.err = err
	}
}

// number decodes a whole number that is not negative, of any size: digits, or a string of digits that may have the prefix 0x.
func number(field string, raw json.RawMessage) (*fftypes.FFBigInt, error) {
	if isNull(raw) {
		return nil, nil
	}
	digits, base := string(raw), 10
	if raw[0] == '"' {
		digits = unquote(raw)
		if hex, ok := strings.CutPrefix(digits, "0x"); ok {
			digits, base = hex, 16
		}
	}
	if n, ok := new(big.Int).SetString(clipTo(digits, maxDigits), base); ok && len(digits) <= maxDigits && n.Sign() >= 0 {
		return (*fftypes.FFBigInt)(n), nil
	}
	return nil, apitypes.Invalidf(field, "give a whole number or a string of digits", "is %s", show(raw))
}

// show is a wrong value for an error text.
func show(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) <= maxShown || raw[0] == '"':
		return clip(string(raw))
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "an array"
	default:
		return clip(string(raw))
	}
}

func clip(s string) string { return clipTo(s, maxShown) }

// clipTo cuts a text that is longer than limit bytes, between characters.
func clipTo(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
