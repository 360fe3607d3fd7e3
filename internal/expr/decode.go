package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep events may be nested, as encoding/json has it.
const maxNesting = 10000

var (
	errSyntax  = errors.New("it is not valid JSON")
	errNesting = errors.New("it is nested too deep")
)

// decode reads an event. Numbers stay as they are written. It counts what is made: an object takes as much as some hundred bytes of text.
func (m *meter) decode(event []byte) (any, error) {
	if err := m.spend(len(event) / 16); err != nil {
		return nil, err
	}
	if longNumber(event) {
		return nil, errDigits
	}
	d := decoder{text: string(event), left: m.left}
	v, err := d.value(0)
	if err := m.spend(m.left - d.left); err != nil {
		return nil, err
	}
	if d.space(); err == nil && d.at < len(d.text) {
		err = errSyntax
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the event: %w, at byte %d", err, d.at)
	}
	return v, nil
}

// decoder reads JSON into the values of the interpreter. Strings and numbers are parts of the text where they can be, which is why this takes a
// third of what encoding/json does; the rest is as there: the last member of a name counts, and what is not UTF-8 becomes U+FFFD.
type decoder struct {
	text string
	at   int
	left int // work left: a unit for each value and each name, and four for each object
}

func (d *decoder) space() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next skips white space and returns the byte that follows, 0 at the end.
func (d *decoder) next() byte {
	d.space()
	if d.at < len(d.text) {
		return d.text[d.at]
	}
	return 0
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxNesting {
		return nil, errNesting
	}
	if d.left--; d.left <= 0 {
		return nil, errWork
	}
	switch c := d.next(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.str()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	default:
		return d.word()
	}
}

func (d *decoder) word() (any, error) {
	rest := d.text[d.at:]
	switch {
	case strings.HasPrefix(rest, "null"):
		d.at += len("null")
		return nil, nil
	case strings.HasPrefix(rest, "true"):
		d.at += len("true")
		return true, nil
	case strings.HasPrefix(rest, "false"):
		d.at += len("false")
		return false, nil
	default:
		return nil, errSyntax
	}
}

func (d *decoder) object(depth int) (any, error) {
	d.at++
	m := make(map[string]any)
	d.left -= 4
	if d.next() == '}' {
		d.at++
		return m, nil
	}
	for {
		if d.next() != '"' {
			return nil, errSyntax
		}
		name, err := d.str()
		if err != nil {
			return nil, err
		}
		if d.next() != ':' {
			return nil, errSyntax
		}
		d.at++
		d.left--
		if m[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		if more, err := d.more('}'); !more || err != nil {
			return m, err
		}
	}
}

func (d *decoder) array(depth int) (any, error) {
	d.at++
	list := []any{}
	if d.next() == ']' {
		d.at++
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if more, err := d.more(']'); !more || err != nil {
			return list, err
		}
	}
}

// more reads what stands behind a member: a comma, or the end.
func (d *decoder) more(end byte) (bool, error) {
	c := d.next()
	if c != ',' && c != end {
		return false, errSyntax
	}
	d.at++
	return c == ',', nil
}

// str reads a string. One with escapes is left to encoding/json.
func (d *decoder) str() (string, error) {
	start := d.at + 1
	plain := true
	for i := start; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			raw := d.text[d.at : i+1]
			d.at = i + 1
			if plain {
				return raw[1 : len(raw)-1], nil
			}
			var s string
			if json.Unmarshal([]byte(raw), &s) != nil {
				return "", errSyntax
			}
			return s, nil
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return "", errSyntax
		case c >= utf8.RuneSelf:
			plain = plain && d.validFrom(&i)
		}
	}
	return "", errSyntax
}

// validFrom says whether there is a character at i, and moves i to its last byte.
func (d *decoder) validFrom(i *int) bool {
	r, size := utf8.DecodeRuneInString(d.text[*i:])
	*i += size - 1
	return r != utf8.RuneError || size > 1
}

func (d *decoder) digits() bool {
	start := d.at
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
	}
	return d.at > start
}

// skip goes over one of some bytes, if it is there.
func (d *decoder) skip(set string) bool {
	if d.at < len(d.text) && strings.IndexByte(set, d.text[d.at]) >= 0 {
		d.at++
		return true
	}
	return false
}

func (d *decoder) number() (any, error) {
	start := d.at
	d.skip("-")
	whole := d.skip("0") || d.digits()
	if !whole || d.skip(".") && !d.digits() {
		return nil, errSyntax
	}
	if d.skip("eE") {
		d.skip("+-")
		if !d.digits() {
			return nil, errSyntax
		}
	}
	return json.Number(d.text[start:d.at]), nil
}
