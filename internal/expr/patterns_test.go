package expr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
)

// TestMatchesAreThoseOfTheInterpreter compares with the regular expressions of the interpreter, where they begin in the middle of a text above all.
func TestMatchesAreThoseOfTheInterpreter(t *testing.T) {
	t.Parallel()
	sources := []string{
		`[match($re; "g")]`, `[match($re; null)]`, `[match($re; "gi")]`, `[match($re; "gm")]`, `[splits($re)]`, `split($re; "i")`, `[scan($re)]`, `gsub($re; "<\(.x)>")`, `sub($re; "<\(.x)>")`, `test($re)`,
		`[capture($re; "g")]`,
	}
	ours := make(map[string]*expr.Program)
	theirs := make(map[string]*gojq.Code)
	for _, source := range sources {
		source = `. as [$text, $re] | $text | ` + source
		p, err := expr.New().Compile(source)
		require.NoError(t, err)
		q, err := gojq.Parse(source)
		require.NoError(t, err)
		code, err := gojq.Compile(q)
		require.NoError(t, err)
		ours[source], theirs[source] = p, code
	}
	for _, re := range []string{
		``, `a`, `a*`, `a*?`, `a|b*`, `(?<x>a)?b`, `(?<x>a)|(b)`, `^`, `$`, `^a`, `a$`, `(?m)^`, `(?m)$`, `(?m)^.`, `\b`, `\B`, `\ba`, `\Aa`, `a\z`, `(?<x>.)`, `(?s)..`, `a.*b|a`, `(.*b)?`, `ä`, `[äöü]+`, `\b\w+\b`, `[^a]`,
		`(?<x>a(?<y>b)?)+`, `\Qab`, `\Qa.\E|b`, `(?:)`, `()`, `a{0}`, `a{2}`, `(?i)A`, `x*`, `(a|ab)(c|bcd)`, `\s*,\s*`, `(?U)a+`, `\pL`, `€|^$`, `.`, `\n`,
	} {
		for _, text := range []string{``, `a`, `b`, `aa`, `ab`, `aab`, `abcd`, `ba`, `bab`, `aXb, Ab`, `äaöb€`, "a\nb\n", "\n\n", `€€`, `aaabaaab`, `one, two ,three`, `abab abba`, "ä\na", `a.ba.b`, "\ufffda\ufffd"} {
			for source, code := range theirs {
				name := fmt.Sprintf("%q | %s with %s", text, source, re)
				event, err := json.Marshal([]string{text, re})
				require.NoError(t, err)
				want, _ := code.Run([]any{text, re}).Next()
				out, _, err := ours[source].Value(t.Context(), event)
				if failed, ok := want.(error); ok {
					require.Error(t, err, "%s: %v", name, failed)
					continue
				}
				require.NoError(t, err, name)
				text, err := gojq.Marshal(want)
				require.NoError(t, err)
				require.Equal(t, string(text), string(out), name)
			}
		}
	}
}

// countdown is a context that ends after it was asked some times.
type countdown struct {
	context.Context
	left int
	end  context.CancelCauseFunc
}

var errCounted = errors.New("the stream stops")

func (c *countdown) Err() error {
	if c.left--; c.left == 0 {
		c.end(errCounted)
	}
	return c.Context.Err()
}

// TestMatchingEndsWithItsContext: what looks at a text many times asks in between.
func TestMatchingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`[match("a.*b|a"; "g")]`, `split("a.*b|a"; null)`, `gsub("(.*b)?"; "x")`, `[scan("(.*b)?")]`} {
		p, err := expr.New().Compile(source)
		require.NoError(t, err)
		parent, end := context.WithCancelCause(t.Context())
		ctx := &countdown{Context: parent, left: 100, end: end}
		_, _, err = p.Value(ctx, []byte(`"`+strings.Repeat("a", 100_000)+`"`))
		require.ErrorIs(t, err, errCounted, source)
	}
}

// TestPatternsCostTheSameEachTime: what an evaluation may do does not depend on the expressions that one before it made.
func TestPatternsCostTheSameEachTime(t *testing.T) {
	t.Parallel()
	p, err := expr.New().Compile(`. as $n | [range($n) | tostring | . as $re | [range(20) | "7" | test("a{500}\($re)")]] | length`)
	require.NoError(t, err)
	most := 0
	for n := 33; n < 1000; n++ {
		_, _, err := p.Value(t.Context(), fmt.Append(nil, n))
		if err != nil {
			require.ErrorContains(t, err, "steps")
			break
		}
		most = n
	}

	require.Greater(t, most, 32, "more than are kept")
	for range 3 {
		_, _, err = p.Value(t.Context(), fmt.Append(nil, most))
		require.NoError(t, err)
		_, _, err = p.Value(t.Context(), fmt.Append(nil, most+1))
		require.ErrorContains(t, err, "steps")
	}
}
