package txn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a request.
const maxDepth = 200

var errJSON = errors.New("not valid JSON")

// canonical appends the RFC 8785 form of a JSON object to dst, without the member headers.id: objects in the order of their
// names, no white space, strings and numbers in one form each.
//
// One thing differs from the RFC: it takes numbers for what they are as 64-bit floating point, so that 9007199254740993 and
// 9007199254740992 would be the same request. A number with more digits than that format holds, or out of its range, is kept as a
// normalised decimal instead, in a form in which no other number is ever written.
//
// cut is the span of the member headers.id in raw, with the comma that it leaves over; empty if there is none.
func canonical(dst, raw []byte) (out []byte, cut [2]int, err error) {
	c := canoniser{in: raw}
	c.space()
	if out, err = c.value(dst, 0, rootPath); err != nil {
		return nil, cut, err
	}
	c.space()
	if c.pos != len(raw) {
		return nil, cut, c.fail("something follows")
	}
	return out, c.cut, nil
}

// path says where a value stands, as far as that matters.
type path uint8

const (
	elsewhere path = iota
	rootPath
	headersPath
)

type canoniser struct {
	in     []byte
	pos    int
	cut    [2]int
	values []byte // of the object being ordered; kept for the next one
}

func (c *canoniser) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", errJSON, c.pos, what)
}

func (c *canoniser) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

func (c *canoniser) peek() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canoniser) value(dst []byte, depth int, at path) ([]byte, error) {
	if depth > maxDepth {
		return nil, c.fail("too deeply nested")
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(dst, depth, at)
	case b == '[':
		return c.array(dst, depth)
	case b == '"':
		token, plain, err := c.token()
		if err != nil {
			return nil, err
		}
		if plain { // it is in its one form
			return append(dst, token...), nil
		}
		s, err := c.unquote(token)
		if err != nil {
			return nil, err
		}
		return appendText(dst, s), nil
	case b == '-' || (b >= '0' && b <= '9'):
		return c.number(dst)
	default:
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(c.in[c.pos:], []byte(word)) {
				c.pos += len(word)
				return append(dst, word...), nil
			}
		}
		return nil, c.fail("no value")
	}
}

func (c *canoniser) array(dst []byte, depth int) ([]byte, error) {
	c.pos++
	dst = append(dst, '[')
	c.space()
	if c.peek() == ']' {
		c.pos++
		return append(dst, ']'), nil
	}
	for {
		c.space()
		var err error
		if dst, err = c.value(dst, depth+1, elsewhere); err != nil {
			return nil, err
		}
		c.space()
		switch c.peek() {
		case ',':
			c.pos++
			dst = append(dst, ',')
		case ']':
			c.pos++
			return append(dst, ']'), nil
		default:
			return nil, c.fail("neither , nor ]")
		}
	}
}

// member is a member of an object: its name, and where its value stands in the output.
type member struct {
	name     string
	from, to int
}

func (c *canoniser) object(dst []byte, depth int, at path) ([]byte, error) {
	c.pos++
	var room [16]member
	members := room[:0]
	body := len(dst)
	comma := -1 // where the comma before the current member stands
	c.space()
	if c.peek() == '}' {
		c.pos++
		return append(dst, "{}"...), nil
	}
	for {
		c.space()
		began := c.pos
		name, err := c.name()
		if err != nil {
			return nil, err
		}
		below := elsewhere
		if at == rootPath && name == "headers" {
			below = headersPath
		}
		from := len(dst)
		if dst, err = c.value(dst, depth+1, below); err != nil {
			return nil, err
		}
		ended := c.pos
		c.space()
		more := c.peek() == ','
		if at == headersPath && name == "id" {
			dst = dst[:from]
			c.cut = c.span(began, ended, comma, more)
		} else {
			members = append(members, member{name, from, len(dst)})
		}
		switch {
		case more:
			comma = c.pos
			c.pos++
		case c.peek() == '}':
			c.pos++
			return c.ordered(dst, body, members), nil
		default:
			return nil, c.fail("neither , nor }")
		}
	}
}

// span is a member with one of the commas around it. The position is behind the member.
func (c *canoniser) span(began, ended, comma int, more bool) [2]int {
	switch {
	case more:
		return [2]int{began, c.pos + 1}
	case comma >= 0:
		return [2]int{comma, ended}
	default:
		return [2]int{began, ended}
	}
}

// ordered writes an object whose values stand at dst[body:] in the order of the names.
func (c *canoniser) ordered(dst []byte, body int, members []member) []byte {
	slices.SortStableFunc(members, func(a, b member) int { return compareNames(a.name, b.name) })
	c.values = append(c.values[:0], dst[body:]...)
	values := c.values
	dst = append(dst[:body], '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, m.name), ':')
		dst = append(dst, values[m.from-body:m.to-body]...)
	}
	return append(dst, '}')
}

// compareNames orders as RFC 8785 does, by UTF-16 code units. That differs from the order of bytes only above the basic plane.
func compareNames(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] >= 0xee || b[i] >= 0xee {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}
	}
	return strings.Compare(a, b)
}

func (c *canoniser) name() (string, error) {
	if c.peek() != '"' {
		return "", c.fail("no name")
	}
	name, err := c.text()
	if err != nil {
		return "", err
	}
	c.space()
	if c.peek() != ':' {
		return "", c.fail("no colon")
	}
	c.pos++
	c.space()
	return name, nil
}

// text reads a string.
func (c *canoniser) text() (string, error) {
	token, plain, err := c.token()
	if err != nil {
		return "", err
	}
	if plain {
		return string(token[1 : len(token)-1]), nil
	}
	return c.unquote(token)
}

// token reads a string as it is written, with its quotes; plain if it says what it stands for, character by character.
func (c *canoniser) token() (token []byte, plain bool, err error) {
	began := c.pos
	escaped := false
	for c.pos++; c.pos < len(c.in); c.pos++ {
		switch b := c.in[c.pos]; {
		case b == '\\':
			escaped = true
			c.pos++
		case b == '"':
			c.pos++
			token = c.in[began:c.pos]
			return token, !escaped && utf8.Valid(token), nil
		case b < 0x20:
			return nil, false, c.fail("control character in a string")
		}
	}
	return nil, false, c.fail("string without an end")
}

func (c *canoniser) unquote(token []byte) (string, error) {
	var s string
	if err := json.Unmarshal(token, &s); err != nil {
		return "", c.fail(err.Error())
	}
	return s, nil
}

const hexDigits = "0123456789abcdef"

// appendText writes a string as RFC 8785 does.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done := 0
	for i := range len(s) {
		b := s[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return append(append(dst, s[done:]...), '"')
}

func (c *canoniser) number(dst []byte) ([]byte, error) {
	began := c.pos
	for c.pos < len(c.in) && strings.IndexByte("+-.0123456789eE", c.in[c.pos]) >= 0 {
		c.pos++
	}
	token := c.in[began:c.pos]
	if plainInteger(token) {
		return append(dst, token...), nil
	}
	if !json.Valid(token) {
		return nil, c.fail("no number")
	}
	exact := decompose(string(token))
	if f, err := strconv.ParseFloat(string(token), 64); err == nil {
		out := appendFloat(dst, f)
		if exact == decompose(string(out[len(dst):])) {
			return out, nil
		}
	}
	return appendDecimal(dst, exact), nil // out of range, or with more digits
}

// plainInteger reports whether a number is in its one form already: whole, not negative, and small enough for 64-bit floating point.
func plainInteger(token []byte) bool {
	if len(token) == 0 || len(token) > 15 || token[0] == '0' && len(token) > 1 {
		return false
	}
	for _, b := range token {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// appendFloat writes a number as ECMAScript does, which is what RFC 8785 asks for.
func appendFloat(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' { // e-07 is written e-7
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// decimal is a number as a sign, digits without zeros at either end, and a power of ten. Zero has no digits.
type decimal struct {
	negative bool
	digits   string
	exponent string
}

// decompose takes a valid JSON number apart.
func decompose(token string) decimal {
	var d decimal
	token, d.negative = strings.CutPrefix(token, "-")
	mantissa, power := token, "0"
	if i := strings.IndexAny(token, "eE"); i >= 0 {
		mantissa, power = token[:i], strings.TrimPrefix(token[i+1:], "+")
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return decimal{exponent: "0"}
	}
	d.digits = trimmed
	exponent, err := strconv.Atoi(power)
	if err != nil {
		d.exponent = power + "/" + strconv.Itoa(len(fraction)) // absurd, but still itself
		return d
	}
	d.exponent = strconv.Itoa(exponent - len(fraction) + len(digits) - len(trimmed))
	return d
}

// appendDecimal writes a number that has no 64-bit floating point form: digits, then always a power of ten written with a capital E.
func appendDecimal(dst []byte, d decimal) []byte {
	if d.negative {
		dst = append(dst, '-')
	}
	dst = append(append(dst, d.digits...), 'E')
	return append(dst, d.exponent...)
}
