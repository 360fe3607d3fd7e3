package broker

import (
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// path is a jq expression that does nothing but name a member of a member, such as .data.key. Most keys are of that kind, and what the interpreter makes
// for them, a map of every object of an event, takes several times as long as all else that is done for a message.
type path []string

// pathOf is nil if a program is anything else.
func pathOf(program string) path {
	names, begins := strings.CutPrefix(strings.TrimSpace(program), ".")
	if !begins {
		return nil
	}
	var p path
	for name := range strings.SplitSeq(names, ".") {
		if !isIdentifier(name) {
			return nil
		}
		p = append(p, name)
	}
	return p
}

func isIdentifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

const (
	mostRead    = 64 << 10 // bytes of an event: less work than the interpreter may do
	mostNumeral = 15       // digits of a number that stays as it is written
)

// of is what the interpreter puts out for an event, if that is a text without escapes, a short whole number, true or false. What is not plain is left to
// the interpreter, and so is what is wrong.
func (p path) of(event []byte) (text string, ok bool) {
	if len(p) == 0 || len(event) > mostRead || !gjson.ValidBytes(event) {
		return "", false
	}
	value := gjson.ParseBytes(event)
	for _, name := range p {
		if !value.IsObject() {
			return "", false
		}
		var member gjson.Result
		value.ForEach(func(key, v gjson.Result) bool {
			if key.Str == name {
				member = v // the last one counts
			}
			return true
		})
		value = member
	}
	switch value.Type {
	case gjson.String:
		return value.Str, len(value.Raw) == len(value.Str)+len(`""`) && utf8.ValidString(value.Str)
	case gjson.Number:
		whole := strings.TrimPrefix(value.Raw, "-")
		return value.Raw, len(whole) <= mostNumeral && !strings.ContainsAny(whole, ".eE") && value.Raw != "-0"
	case gjson.True, gjson.False:
		return value.Raw, true
	default:
		return "", false
	}
}
