package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"

	"github.com/itchyny/gojq"
)

// guards are functions that no program can name; the rewriter puts them before what costs more than a step. Those of one value return it as it
// is, so that paths go through them; those of two return the pair.
var guards = map[string]func(m *meter, v any) error{ //nolint:gochecknoglobals // constants
	guardFlat:   (*meter).flat,
	guardTree:   func(m *meter, v any) error { return m.tree(v, 1) },
	guardText:   (*meter).text,
	guardSort:   (*meter).sort,
	guardKey:    func(m *meter, v any) error { return m.key(v, false) },
	guardGrow:   func(m *meter, v any) error { return m.key(v, true) },
	guardNew:    func(m *meter, v any) error { return m.path(v, true) },
	guardChars:  func(m *meter, v any) error { return m.bytes(v, 2) },
	guardParse:  func(m *meter, v any) error { return m.parse(v, 1) },
	guardDigit:  func(m *meter, v any) error { return m.parse(v, 8) },
	guardFormat: (*meter).format,
	guardRange:  (*meter).counted,
	guardNumber: func(m *meter, v any) error {
		switch v.(type) {
		case json.Number, *big.Int:
			return m.flat(v)
		default:
			return nil
		}
	},
	guardLength: func(m *meter, v any) error {
		switch v.(type) {
		case []any, map[string]any:
			return nil
		default:
			return m.flat(v)
		}
	},
	guardStr: func(m *meter, v any) error {
		if s, ok := v.(string); ok {
			return m.flat(s)
		}
		return nil
	},
}

const (
	guardFlat   = "%flat"   // what is copied, but shares what is in it
	guardTree   = "%tree"   // what is walked through
	guardText   = "%text"   // what becomes text
	guardSort   = "%sort"   // what is sorted
	guardStr    = "%str"    // a string whose characters are counted, or anything else, which is free
	guardKey    = "%key"    // what is looked up: by a string or a number
	guardGrow   = "%grow"   // what is assigned to: the array may grow up to it
	guardNew    = "%new"    // a path that is assigned to
	guardChars  = "%chars"  // a string of which each character becomes a value
	guardParse  = "%parse"  // a string that is read as JSON
	guardDigit  = "%digit"  // a string that is read as a number
	guardFormat = "%format" // a string that says how a time is written
	guardLength = "%length" // a string or a number, or anything else, which is free
	guardRange  = "%range"  // a number that is counted from or to
	guardNumber = "%number" // a number, or anything else, which is free

	pairFlat     = "%flat2"
	pairTree     = "%tree2"
	pairMinus    = "%minus2"
	pairTimes    = "%times2"
	pairOver     = "%over2"
	pairContains = "%contains2"
	pairIndices  = "%indices2"
	pairJoin     = "%join2"
	pairAlong    = "%along2"
	pairLook     = "%look2"
	pairReach    = "%reach2"
	pairDelete   = "%delete2"
)

// hasItems says whether .[] gives something, and counts it.
const hasItems = "%items"

var pairs = map[string]func(m *meter, l, r any) error{ //nolint:gochecknoglobals // constants
	pairFlat:     each((*meter).flat),
	pairTree:     each(func(m *meter, v any) error { return m.tree(v, 1) }),
	pairMinus:    (*meter).minus,
	pairTimes:    (*meter).times,
	pairOver:     (*meter).over,
	pairContains: (*meter).contains,
	pairIndices:  (*meter).indices,
	pairJoin:     (*meter).join,
	pairAlong:    (*meter).along,
	pairLook:     (*meter).look,
	pairReach:    (*meter).reach,
	pairDelete:   (*meter).deletes,
}

func each(count func(m *meter, v any) error) func(m *meter, l, r any) error {
	return func(m *meter, l, r any) error {
		if err := count(m, l); err != nil {
			return err
		}
		return count(m, r)
	}
}

// options gives the functions to the compiler.
func (m *meter) options() []gojq.CompilerOption {
	var list []gojq.CompilerOption
	for name, count := range guards {
		list = append(list, gojq.WithFunction(name, 0, 0, func(v any, _ []any) any {
			if err := count(m, v); err != nil {
				return err
			}
			return v
		}))
	}
	for name, count := range pairs {
		list = append(list, gojq.WithFunction(name, 2, 2, func(_ any, args []any) any {
			l, r := args[0], args[1]
			if err := count(m, l, r); err != nil {
				return err
			}
			return []any{l, r}
		}))
	}
	list = append(list, gojq.WithFunction(hasItems, 0, 0, func(v any, _ []any) any {
		if err := m.flat(v); err != nil {
			return err
		}
		switch v.(type) {
		case []any, map[string]any:
			return true
		default:
			return false
		}
	}))
	for n := range maxFrame + 1 {
		list = append(list, gojq.WithFunction(frameName(n), 0, 0, func(v any, _ []any) any {
			if err := m.spend(1 << n); err != nil {
				return err
			}
			return v
		}))
	}
	re := &patterns{meter: m, used: make(map[[2]string]*pattern), last: make(map[[2]string]*pattern)}
	return append(list,
		gojq.WithFunction("%match", 2, 2, re.match), gojq.WithFunction("%test", 2, 2, re.test),
		gojq.WithFunction("%split", 2, 2, re.split), gojq.WithFunction("%pieces", 2, 2, re.pieces))
}

// text counts a value that becomes text, in which a byte may take six.
func (m *meter) text(v any) error {
	before := m.left
	if err := m.tree(v, 1); err != nil {
		return err
	}
	return m.spend(4 * (before - m.left))
}

// bytes counts a string by its bytes.
func (m *meter) bytes(v any, perUnit int) error {
	if s, ok := v.(string); ok {
		return m.spend(len(s) / perUnit)
	}
	return m.flat(v)
}

// format counts a string that says how a time is written: % and a letter make up to 64 bytes, and as many as 1024 where a width stands in between.
func (m *meter) format(v any) error {
	s, ok := v.(string)
	if !ok {
		return m.flat(v)
	}
	units := len(s) / 32
	for _, c := range []byte(s) {
		switch {
		case c == '%':
			units += 2
		case c > '0' && c <= '9':
			units += 32
		}
	}
	return m.spend(units)
}

// counted refuses what takes long to count with: the interpreter reads the number anew at each step.
func (m *meter) counted(v any) error {
	switch n := v.(type) {
	case json.Number:
		if len(n) > maxCounted {
			return m.fail(errCounted)
		}
	case *big.Int:
		if n.BitLen() > maxCounted*10/3 {
			return m.fail(errCounted)
		}
	}
	return nil
}

// parse counts a string that is read, in which there may be no long number.
func (m *meter) parse(v any, perUnit int) error {
	if s, ok := v.(string); ok && longNumber(s) {
		return m.fail(errDigits)
	}
	return m.bytes(v, perUnit)
}

// longNumber says that there is a number in a JSON text that is too long to be calculated with.
func longNumber[T string | []byte](text T) bool {
	if len(text) <= maxDigits {
		return false
	}
	run, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted, run = !quoted, 0
		case quoted:
		case c >= '0' && c <= '9' || c == '.':
			if run++; run > maxDigits {
				return true
			}
		default:
			run = 0
		}
	}
	return false
}

// sort counts the comparisons of sorting.
func (m *meter) sort(v any) error {
	n, err := m.priced(v)
	if list, ok := v.([]any); ok && err == nil {
		return m.spend(n / 4 * bits.Len(uint(len(list))))
	}
	return err
}

// key refuses arrays and objects, which look for many things at once. With grow, an array is made as long as the number says.
func (m *meter) key(v any, grow bool) error {
	switch v.(type) {
	case string, nil, bool:
		return nil
	case int, float64, *big.Int, json.Number:
		if err := m.flat(v); err != nil || !grow {
			return err
		}
		n, _ := gojq.ToInt(v)
		return m.spend(max(n, 0) / 2)
	default:
		return m.fail(errKey)
	}
}

// both prices two values.
func (m *meter) both(l, r any) (a, b int, err error) {
	if a, err = m.priced(l); err == nil {
		b, err = m.priced(r)
	}
	return a, b, err
}

// product counts n·m comparisons; neither is more than the bound of work.
func (m *meter) product(l, r any) error {
	a, b, err := m.both(l, r)
	if err != nil {
		return err
	}
	return m.spend(a * b / 4)
}

func (m *meter) minus(l, r any) error {
	if _, ok := l.([]any); ok {
		return m.product(l, r)
	}
	return each((*meter).flat)(m, l, r)
}

// times counts the repetition of a string, and the merging of objects.
func (m *meter) times(l, r any) error {
	s, isText := l.(string)
	n := r
	if !isText {
		s, isText = r.(string)
		n = l
	}
	if !isText {
		return each(func(m *meter, v any) error { return m.tree(v, 1) })(m, l, r)
	}
	times, ok := gojq.ToFloat64(n)
	if size := float64(len(s)) * times / 32; ok && size > 0 {
		return m.spend(int(min(size, maxWork+1)))
	}
	return nil
}

// over counts the parts of a string.
func (m *meter) over(l, r any) error {
	if s, ok := l.(string); ok {
		return m.spend(len(s) / 2)
	}
	return each((*meter).flat)(m, l, r)
}

func (m *meter) contains(l, r any) error {
	switch l.(type) {
	case []any, map[string]any:
		return m.product(l, r)
	default:
		return each((*meter).flat)(m, l, r)
	}
}

// indices counts the search for a part at each place.
func (m *meter) indices(l, r any) error {
	a, ok := l.(string)
	b, isText := r.(string)
	if !ok || !isText {
		return m.product(l, r)
	}
	if err := m.spend((len(a) + len(b)) / 2); err != nil {
		return err
	}
	return m.spend(len(a) * len(b) / 16)
}

func (m *meter) join(l, r any) error {
	n, err := m.priced(l)
	if sep, ok := r.(string); ok && err == nil {
		return m.spend(n * len(sep) / 32)
	}
	return err
}

// output checks what is put out: its size and its depth.
func (m *meter) output(v any) error {
	size := 0
	return m.outputOf(v, 1, &size)
}

func (m *meter) outputOf(v any, depth int, size *int) error {
	if depth > maxDepth {
		return errDepth
	}
	add := func(n int) error {
		if *size += n + 1; *size > maxOutput {
			return fmt.Errorf("puts out more than %d bytes", maxOutput)
		}
		return m.spend(n / 32)
	}
	switch v := v.(type) {
	case string:
		return add(len(v) + 2)
	case json.Number:
		return add(len(v))
	case *big.Int:
		return add(v.BitLen() * 3 / 10)
	case []any:
		for _, e := range v {
			if err := m.outputOf(e, depth+1, size); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if err := errors.Join(add(len(k)+3), m.outputOf(e, depth+1, size)); err != nil {
				return err
			}
		}
	}
	return add(2)
}

// clip shortens what goes into an error.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
