package expr

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// patterns are the regular expressions of a program. They are compiled once; those that a program makes out of the event are kept for a while.
type patterns struct {
	meter *meter
	kept  map[[2]string]*pattern
}

const (
	maxPatterns    = 32
	maxPattern     = 1000 // bytes
	maxPatternSize = 4096 // steps of the machine that matches
)

type pattern struct {
	re   *regexp.Regexp
	size int
	all  bool // flag g
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
	p := ps.kept[[2]string{re, flags}]
	if p == nil {
		var err error
		if p, err = ps.compile(re, flags); err != nil {
			return nil, "", err
		}
	}
	return p, text, ps.meter.spend(len(text)/8 + len(text)*p.size/16)
}

func (ps *patterns) compile(re, flags string) (*pattern, error) {
	source, p := re, &pattern{}
	for _, f := range flags {
		switch f {
		case 'g':
			p.all = true
		case 'i':
			source = "(?i)" + source
		case 'm':
			source = "(?s)" + source
		default:
			return nil, fmt.Errorf("the flag %q of a regular expression is none of g, i and m", f)
		}
		if len(source) > maxPattern {
			return nil, fmt.Errorf("the regular expression has more than %d bytes", maxPattern)
		}
	}
	if len(source) > maxPattern {
		return nil, fmt.Errorf("the regular expression has more than %d bytes", maxPattern)
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
	if p.re, err = regexp.Compile(source); err != nil {
		return nil, fmt.Errorf("the regular expression cannot be used: %w", err)
	}
	if ps.kept == nil || len(ps.kept) >= maxPatterns {
		ps.kept = make(map[[2]string]*pattern)
	}
	ps.kept[[2]string{strings.Clone(re), flags}] = p
	return p, nil
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

// places are the matches, at most as many as there is work left for.
func (ps *patterns) places(p *pattern, text string, all bool) ([][]int, error) {
	each := 16 * (p.re.NumSubexp() + 1)
	limit := 1
	if all {
		limit = max(ps.meter.left/each, 0) + 1
	}
	found := p.re.FindAllStringSubmatchIndex(text, limit)
	return found, ps.meter.spend(len(found) * each)
}

func (ps *patterns) test(v any, args []any) any {
	p, text, err := ps.find(v, args)
	if err != nil {
		return err
	}
	return p.re.MatchString(text)
}

// match returns the matches as jq describes them. Places are counted in characters.
func (ps *patterns) match(v any, args []any) any {
	p, text, err := ps.find(v, args)
	if err != nil {
		return err
	}
	found, err := ps.places(p, text, p.all)
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
	p, text, err := ps.find(v, args)
	if err != nil {
		return err
	}
	found, err := ps.places(p, text, true)
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
	p, text, err := ps.find(v, args)
	if err != nil {
		return err
	}
	found, err := ps.places(p, text, p.all)
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
