package expr

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// patterns are the regular expressions of a program. Those that an evaluation uses are kept for it and for the next one. Each costs an evaluation
// the same, whether it was kept or not, so that the work for an event does not depend on the events before.
type patterns struct {
	meter *meter
	used  map[[2]string]*pattern // in evaluation run, at most maxPatterns; by text and flags
	last  map[[2]string]*pattern // in the one before
	run   int
}

const (
	maxPatterns    = 32
	maxPattern     = 1000 // bytes
	maxPatternSize = 4096 // steps of the machine that matches
)

type pattern struct {
	name  [2]string // text and flags
	re    *regexp.Regexp
	after *regexp.Regexp // one character and then what re matches: to go on with re where something stands before
	size  int
	all   bool // flag g
	price int  // units to make it
}

// find returns the pattern, and the text to match.
func (ps *patterns) find(v any, args []any) (*pattern, string, error) {
	text, ok := v.(string)
	re, isText := args[0].(string)
	if !ok || !isText {
		return nil, "", errors.New("a regular expression is a string, and is matched against a string")
	}
	flags := ""
	if args[1] != nil {
		if flags, ok = args[1].(string); !ok {
			return nil, "", errors.New("the flags of a regular expression are a string")
		}
	}
	if ps.run != ps.meter.run {
		ps.run, ps.last, ps.used = ps.meter.run, ps.used, ps.last
		clear(ps.used)
	}
	name := [2]string{re, flags}
	if p := ps.used[name]; p != nil {
		return p, text, nil
	}
	p := ps.last[name]
	var err error
	if p != nil {
		err = ps.meter.spend(p.price)
	} else {
		p, err = ps.compile(re, flags)
	}
	if err != nil {
		return nil, "", err
	}
	if len(ps.used) >= maxPatterns {
		clear(ps.used)
	}
	ps.used[p.name] = p
	return p, text, nil
}

var errPatternLength = fmt.Errorf("the regular expression has more than %d bytes", maxPattern)

// source is a regular expression with its flags.
func (p *pattern) source(re, flags string) (string, error) {
	if len(flags) > maxPattern {
		return "", errPatternLength
	}
	for _, f := range flags {
		switch f {
		case 'g':
			p.all = true
		case 'i':
			re = "(?i)" + re
		case 'm':
			re = "(?s)" + re
		default:
			return "", fmt.Errorf("the flag %q of a regular expression is none of g, i and m", f)
		}
		if len(re) > maxPattern {
			return "", errPatternLength
		}
	}
	if len(re) > maxPattern {
		return "", errPatternLength
	}
	return re, nil
}

func (ps *patterns) compile(re, flags string) (*pattern, error) {
	before, p := ps.meter.left, &pattern{name: [2]string{strings.Clone(re), strings.Clone(flags)}}
	source, err := p.source(re, flags)
	if err != nil {
		return nil, err
	}
	if err := ps.meter.spend(readPrice(source)); err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the regular expression cannot be used: %w", err)
	}
	if p.size = size(parsed); p.size > maxPatternSize {
		return nil, errors.New("the regular expression repeats too much")
	}
	if err := ps.meter.spend(8 * p.size); err != nil {
		return nil, err
	}
	if p.re, err = regexp.Compile(source); err == nil {
		if p.after, err = regexp.Compile("(?s:.)(?:" + source + ")"); err != nil {
			p.after, err = regexp.Compile("(?s:.)(?:" + source + `\E)`) // what is quoted may go on to the end
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the regular expression cannot be used: %w", err)
	}
	p.price = before - ps.meter.left
	return p, nil
}

var (
	ignoresCase = regexp.MustCompile(`\(\?[msU-]*i`)
	wideRange   = regexp.MustCompile(`[^\\]-[^!-\[\]-~]`) // it ends with an escape, or with no ASCII
)

// readPrice is what it takes to read a regular expression. A class of Unicode is a table of a thousand entries; to ignore case in a range, each character
// of it is looked at.
func readPrice(source string) int {
	price := 8*len(source) + 800*(strings.Count(source, `\p`)+strings.Count(source, `\P`))
	if ignoresCase.MatchString(source) {
		price += 40_000 * len(wideRange.FindAllStringIndex(source, -1))
	}
	return price
}

// size is about how many steps the machine for a regular expression has. It stops to count beyond the bound.
func size(re *syntax.Regexp) int {
	n := 2 + len(re.Rune)/4
	for _, sub := range re.Sub {
		if n += size(sub); n > maxPatternSize {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// looked hands a text to the machine that matches, and counts what that looks at, which for each of many matches may be all that is left.
// The text ends early when the evaluation does.
type looked struct {
	meter *meter
	text  string
	at    int
	price int // of a character, in sixteenths of a unit
	owed  int
}

func (l *looked) ReadRune() (rune, int, error) {
	if l.owed += l.price; l.owed >= 16 {
		n := l.owed / 16
		l.owed %= 16
		if l.meter.spend(n) != nil {
			return 0, 0, io.EOF
		}
	}
	if l.at >= len(l.text) {
		return 0, 0, io.EOF
	}
	r, n := utf8.DecodeRuneInString(l.text[l.at:])
	l.at += n
	return r, n, nil
}

// places are the matches in a text, each as regexp has them; without all, the first. As in jq, an empty one may follow another one at once.
func (ps *patterns) places(p *pattern, text string, all bool) ([][]int, error) {
	l := &looked{meter: ps.meter, text: text, price: 8 + p.size}
	var found [][]int
	for from := 0; from <= len(text); {
		at := p.next(l, from)
		if err := ps.meter.spend(16 * (p.re.NumSubexp() + 1)); err != nil {
			return nil, err
		}
		if at == nil {
			break
		}
		found = append(found, at)
		if !all {
			break
		}
		from = at[1]
		if at[0] == at[1] {
			_, n := utf8.DecodeRuneInString(text[from:])
			from += max(n, 1)
		}
	}
	return found, nil
}

// next is the first match from a place on, nil if there is none.
func (p *pattern) next(l *looked, from int) []int {
	if l.at = from; from == 0 {
		return p.re.FindReaderSubmatchIndex(l)
	}
	_, n := utf8.DecodeLastRuneInString(l.text[:from])
	l.at -= n
	start := l.at
	at := p.after.FindReaderSubmatchIndex(l)
	if at == nil {
		return nil
	}
	for i := range at {
		if at[i] >= 0 {
			at[i] += start
		}
	}
	_, n = utf8.DecodeRuneInString(l.text[at[0]:])
	at[0] += n
	return at
}

func (ps *patterns) test(v any, args []any) any {
	p, text, err := ps.find(v, args)
	if err != nil {
		return err
	}
	if err := ps.meter.spend(len(text)/8 + len(text)*p.size/16); err != nil {
		return err
	}
	return p.re.MatchString(text)
}

// matches returns the pattern, the text and the matches in it.
func (ps *patterns) matches(v any, args []any, all bool) (*pattern, string, [][]int, error) {
	p, text, err := ps.find(v, args)
	if err != nil {
		return nil, "", nil, err
	}
	found, err := ps.places(p, text, all || p.all)
	return p, text, found, err
}

// match returns the matches as jq describes them. Places are counted in characters.
func (ps *patterns) match(v any, args []any) any {
	p, text, found, err := ps.matches(v, args, false)
	if err != nil {
		return err
	}
	list := make([]any, len(found))
	c := &counter{text: text}
	for i, at := range found {
		list[i] = p.describe(c, at)
	}
	return list
}

// counter turns places in bytes into places in characters. They come nearly in order.
type counter struct {
	text         string
	bytes, chars int
}

func (c *counter) at(i int) int {
	if i < c.bytes {
		return c.chars - utf8.RuneCountInString(c.text[i:c.bytes])
	}
	c.chars += utf8.RuneCountInString(c.text[c.bytes:i])
	c.bytes = i
	return c.chars
}

func (p *pattern) describe(c *counter, at []int) map[string]any {
	start := c.at(at[0])
	names := p.re.SubexpNames()
	captures := make([]any, 0, len(names)-1)
	for i := 1; i < len(names); i++ {
		var name any
		if names[i] != "" {
			name = names[i]
		}
		group := map[string]any{"name": name, "offset": -1, "length": 0, "string": nil}
		if from, to := at[2*i], at[2*i+1]; from >= 0 {
			group["offset"], group["string"], group["length"] = c.at(from), c.text[from:to], utf8.RuneCountInString(c.text[from:to])
		}
		captures = append(captures, group)
	}
	part := c.text[at[0]:at[1]]
	return map[string]any{"offset": start, "length": utf8.RuneCountInString(part), "string": part, "captures": captures}
}

// split returns what is between the matches.
func (ps *patterns) split(v any, args []any) any {
	_, text, found, err := ps.matches(v, args, true)
	if err != nil {
		return err
	}
	list, from := make([]any, 0, len(found)+1), 0
	for _, at := range found {
		list = append(list, text[from:at[0]])
		from = at[1]
	}
	return append(list, text[from:])
}

// pieces returns what is between the matches and, in between, for each match its named groups.
func (ps *patterns) pieces(v any, args []any) any {
	p, text, found, err := ps.matches(v, args, false)
	if err != nil {
		return err
	}
	names := p.re.SubexpNames()
	list, from := make([]any, 0, 2*len(found)+1), 0
	for _, at := range found {
		groups := make(map[string]any)
		for i, name := range names {
			switch {
			case name == "":
			case at[2*i] < 0:
				groups[name] = nil
			default:
				groups[name] = text[at[2*i]:at[2*i+1]]
			}
		}
		list = append(list, text[from:at[0]], groups)
		from = at[1]
	}
	return append(list, text[from:])
}
