package expr_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
)

const sample = `{"a":{"b":[1,2]},"c":[1,2,3],"s":"one two","n":12345678901234567890123,"m":1e-30,"d":0.1000000000000000055511151231257827}`

func value(t *testing.T, source, event string) (string, bool, error) {
	t.Helper()
	p, err := expr.New().Compile(source)
	require.NoError(t, err, source)
	require.Equal(t, source, p.String())
	out, keep, err := p.Value(t.Context(), []byte(event))
	return string(out), keep, err
}

// meanings are programs with what they make of the sample; "" if that is more than one value.
var meanings = []struct{ source, want string }{
	{`.`, `{"a":{"b":[1,2]},"c":[1,2,3],"d":0.1000000000000000055511151231257827,"m":1e-30,"n":12345678901234567890123,"s":"one two"}`},
	{`.a.b[1]`, `2`}, {`.["a"]["b"][-1]`, `2`}, {`."a"."b" | first`, `1`}, {`.a["b"][.c[0]]`, `2`}, {`.c[1:]`, `[2,3]`}, {`.s[4:]`, `"two"`}, {`.none?.x`, `null`},
	{`[.c[] | select(. > 1)]`, `[2,3]`}, {`[.c[] | if . == 1 then "a" elif . == 2 then "b" else "c" end]`, `["a","b","c"]`}, {`.c | map(. * 2 - 1) | add`, `9`},
	{`.c as [$x, $y] | $x + $y`, `3`}, {`. as {a: {b: $q}} | $q`, `[1,2]`}, {`. as {"a": $q} | $q.b`, `[1,2]`}, {`. as {("a", "a" | select(. == "a")): $q} | $q | length`, ``}, {`. as {("a" + ""): $q} | $q.b[0]`, `1`},
	{`def f(x): x + 1; f(.c[0])`, `2`}, {`def f($x; y): [$x, x, y]; [f(.c[0], .c[1]; 9)]`, `[[1,1,2,9],[2,1,2,9]]`}, {`def fac: if . < 2 then 1 else . * (. - 1 | fac) end; 30 | fac`, `265252859812191058636308480000000`},
	{`reduce .c[] as $x (0; . + $x)`, `6`}, {`[foreach .c[] as $x (0; . + $x; [$x, .])]`, `[[1,1],[2,3],[3,6]]`}, {`[label $f | 1, break $f, 2]`, `[1]`}, {`try error("x") catch .`, `"x"`}, {`[.c[] | (1 / (. - 1))?]`, `[1,0.5]`},
	{`"\(.a.b[0])-\(.s)"`, `"1-one two"`}, {`@base64 "x\(.c)"`, `"xWzEsMiwzXQ=="`}, {`.c | @csv`, `"1,2,3"`}, {`"ab" * 3`, `"ababab"`}, {`.c[1] as $n | "ab" * $n`, `"abab"`}, {`-.c[0]`, `-1`}, {`[1, 2] - [2]`, `[1]`}, {`"a,b" / ","`, `["a","b"]`},
	{`{a: {b: 1}} * {a: {c: 2}}`, `{"a":{"b":1,"c":2}}`}, {`7 % 4`, `3`}, {`{s, x: .c[0], ("k" + "l"): 1, "m\(1)": 2} | del(.s)`, `{"kl":1,"m1":2,"x":1}`}, {`null // 1`, `1`}, {`(.c[0] == 1) and (.s != "x" or false) | not`, `false`},
	{`.a.b |= map(. + 1) | .a`, `{"b":[2,3]}`}, {`.a.b[0] += 5 | .a.b`, `[6,2]`}, {`.a.zz[2] = 1 | .a.zz`, `[null,null,1]`}, {`(.a.b[], .c[]) |= . * 2 | [.a.b, .c]`, `[[2,4],[2,4,6]]`}, {`.x //= 7 | .x`, `7`}, {`.c |= . + [4] | .c`, `[1,2,3,4]`},
	{`[.c[] = (1, 2) | .c]`, `[[1,1,1],[2,2,2]]`}, {`.c[.c[0]] = 9 | .c`, `[1,9,3]`}, {`.c[1:] = ["x"] | .c`, `[1,"x"]`}, {`getpath(["c", 0]) = 9 | .c`, `[9,2,3]`}, {`(.c | first) = 5 | .c`, `[5,2,3]`}, {`first(.c[]) = 5 | .c`, `[5,2,3]`},
	{`(.. | select(type == "number")) |= 0 | [.a.b, .n]`, `[[0,0],0]`}, {`(if .a then .c else .s end) = 1 | .c`, `1`}, {`.c | map_values(empty)`, `[]`}, {`.c | (.[] | select(. >= 2)) |= empty`, `[1]`}, {`reduce .c[] as $x ({}; .["k\($x)"] += $x)`, `{"k1":1,"k2":2,"k3":3}`},
	{`setpath(["x", 1]; 5) | .x`, `[null,5]`}, {`getpath(["a", "b", 0])`, `1`}, {`[paths] | length`, `12`}, {`pick(.a.b[0])`, `{"a":{"b":[1]}}`}, {`[path(.a.b[])]`, `[["a","b",0],["a","b",1]]`}, {`delpaths([["a"], ["c"]]) | keys`, `["d","m","n","s"]`},
	{`.a | to_entries`, `[{"key":"b","value":[1,2]}]`}, {`.a | with_entries(.value |= length)`, `{"b":2}`}, {`[{name: "x", value: 1}] | from_entries`, `{"x":1}`}, {`walk(if type == "number" then 0 else . end) | .c`, `[0,0,0]`}, {`[.c | .. ] | length`, `4`}, {`[.c | recurse] | length`, `4`},
	{`.c | sort_by(-.)`, `[3,2,1]`}, {`.c | group_by(. > 1)`, `[[1],[2,3]]`}, {`.c + .c | unique`, `[1,2,3]`}, {`.c | unique_by(. % 2)`, `[2,1]`}, {`.c | [min, max, min_by(-.), max_by(-.)]`, `[1,3,3,1]`}, {`[3, 1] | sort`, `[1,3]`}, {`[[1, [2]], 3] | flatten, flatten(1) | length`, ``},
	{`.c | [index(3), contains([1]), any(. > 2), all(. > 2), IN(.[]; 9)]`, `[2,true,true,false,false]`}, {`[1] | inside([1, 2])`, `true`}, {`.c[0] | IN(1, 2)`, `true`}, {`[{k: "a"}] | INDEX(.k)`, `{"a":{"k":"a"}}`}, {`"a,b,a" | [indices("a")[], rindex("a"), index("b")]`, `[0,4,4,2]`},
	{`.s | [length, utf8bytelength, startswith("one"), endswith("x"), ltrimstr("one "), rtrimstr("two"), ascii_upcase, split(" ")]`, `[7,7,true,false,"two","one ","ONE TWO",["one","two"]]`}, {`" x " | [trim, ltrim, rtrim]`, `["x","x "," x"]`}, {`["a", 1, null] | join("-")`, `"a-1-"`},
	{`"ä€" | [length, explode, (explode | implode), .[1:]]`, `[2,[228,8364],"ä€","€"]`}, {`"[1,{\"a\":1.10}]" | fromjson | tojson`, `"[1,{\"a\":1.10}]"`}, {`"12.50" | tonumber`, `12.5`}, {`.n | tostring`, `"12345678901234567890123"`},
	{`"foo bar" | [test("BAR"; "i"), test("^b"), [scan("o")], sub("o"; "0"), gsub("(?<l>[oa])"; "<\(.l)>"), [splits(" ")], split("o+"; null)]`, `[true,false,["o","o"],"f0o bar","f<o><o> b<a>r",["foo","bar"],["f"," bar"]]`},
	{`"äxäy" | [match("ä(?<c>.)(z)?"; "g") | {offset, length, c: .captures[0].string, z: .captures[1].offset}]`, `[{"c":"x","length":2,"offset":0,"z":-1},{"c":"y","length":2,"offset":2,"z":-1}]`}, {`"k=v" | capture("(?<a>.)=(?<b>.)")`, `{"a":"k","b":"v"}`}, {`"abc" | [match(["B", "i"]).offset]`, `[1]`},
	{`"2020-01-01T00:00:00Z" | fromdate`, `1577836800`}, {`0 | todate`, `"1970-01-01T00:00:00Z"`}, {`0 | strftime("%Y")`, `"1970"`}, {`[limit(2; .c[]), first(.c[]), last(.c[]), nth(1; .c[]), (.c | nth(2))]`, `[1,2,1,3,2,3]`}, {`[range(3), range(1; 3), range(0; 6; 3)]`, `[0,1,2,1,2,0,3]`},
	{`[1 | until(. > 50; . * 2), ([while(. < 4; . + 1)] | length)]`, `[64,3]`}, {`[2 | pow(.; 10), sqrt, floor]`, `[1024,1.4142135623730951,2]`}, {`.c[1:][] |= . + 1 | .c`, `[1,3,4]`}, {`.c[1:][0] = 9 | .c`, `[1,9,3]`}, {`[paths(type == "number")] | length`, `8`}, {`.a | walk(if type == "array" then reverse else . end)`, `{"b":[2,1]}`},
	{`.c | map_values(. + 1, 0)`, `[2,3,4]`}, {`.c | map_values(select(. != 2))`, `[1,3]`}, {`.a | map_values(empty)`, `{}`}, {`"abc" | getpath([1])`, `"b"`}, {`.c[.c[0]:.c[1] + 1]`, `[2,3]`}, {`[.c | recurse(.[]?; . != 2)]`, `[[1,2,3],1,3]`},
	{`def f: 7; (.c[1:] | select(f == 7)) |= [f] | .c`, `[1,7]`}, {`def f(x): .. |= (numbers |= x); def g: 1; .c | f(g) | [.[] = (def h: 3; h), (.[1:] = [g])]`, `[[3,3,3],[1,1]]`}, {`.c[.c[.a.b[1:] |= [0] | .a.b[1]]:] += ["x"] | .c`, `[1,2,3,"x"]`},
	{`del(.c[0:2]) | .c`, `[3]`}, {`.c | del(.[1:], .[0])`, `[]`}, {`[.c | (.. | numbers) |= empty]`, `[[]]`}, {`0 | strftime("%4Y|%e|%j|%%")`, `"1970| 1|001|%"`}, {`[.s | ..]`, `["one two"]`}, {`isempty(.c[])`, `false`}, {`.c | has(0), (.[0] | in([5])) | [.]`, ``}, {`[.c[] | tostring] | add`, `"123"`}, {`add(.c[])`, `6`}, {`.a | map_values(length)`, `{"b":2}`},
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, test := range meanings {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			out, keep, err := value(t, test.source, sample)
			if test.want == "" {
				require.ErrorContains(t, err, "more than one value")
				return
			}
			require.NoError(t, err)
			require.True(t, keep)
			require.Equal(t, test.want, out)
		})
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"12345678901234567890", "-98765432109876543210987654321098765432109876543210987654321098765432109876543210", "1e-30", "0.10000000000000000000000000000000001", "1.0", "100e2", "1E400"} {
		for _, source := range []string{`.x`, `{x: [.x]} | .x[0]`, `[.x, .x] | map(.) | .[1]`, `.y = 1 | .x`, `walk(.) | .x`, `[.x] | sort | first`, `with_entries(.) | .x`, `tojson | fromjson | .x`} {
			out, _, err := value(t, source, `{"x":`+number+`}`)
			require.NoError(t, err)
			require.Equal(t, number, out, source)
		}
	}
	out, _, err := value(t, `.x + 1`, `{"x":123456789012345678901234567890}`)
	require.NoError(t, err)
	require.Equal(t, "123456789012345678901234567891", out)
	_, _, err = value(t, `.x`, `{"x":`+strings.Repeat("9", 5000)+`}`)
	require.ErrorContains(t, err, "4096 digits")
	out, _, err = value(t, `.x | length`, `{"x":"`+strings.Repeat("9", 5000)+`"}`)
	require.NoError(t, err, "that is a text")
	require.Equal(t, "5000", out)
}

func TestTruth(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`true`: true, `false`: false, `null`: false, `0`: true, `""`: true, `[]`: true, `empty`: false, `.none`: false, `.a`: true, `.c[] | select(. == 3)`: true, `.c[] | select(. > 5)`: false,
		`.s == "one two"`: true, `.c | length > 3`: false, `.n == 12345678901234567890123`: true, `.n > 12345678901234567890122`: true, `.d < 0.2`: true,
	} {
		p, err := expr.New().Compile(source)
		require.NoError(t, err, source)
		got, err := p.Bool(t.Context(), []byte(sample))
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

// TestAnErrorIsNoAnswer: what fails is never taken for false.
func TestAnErrorIsNoAnswer(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`.s.x`:                              `expected an object but got: string`,
		`.c[]`:                              `more than one value`,
		`true, false`:                       `more than one value`,
		`.a, error("late")`:                 `late`,
		`error`:                             `fails`,
		`error(null)`:                       `fails`,
		`try repeat(empty) catch false`:     `steps`,
		`(try repeat(empty) catch 1) // 2`:  `steps`,
		`[.c[] | try ("x" * 1e9) catch 1]`:  `steps`,
		`isempty(try ("x" * 1e9) catch .)`:  `steps`,
		`first(try ("x" * 1e9) catch true)`: `steps`,
	} {
		p, err := expr.New().Compile(source)
		require.NoError(t, err, source)
		got, err := p.Bool(t.Context(), []byte(sample))
		require.ErrorContains(t, err, want, source)
		require.False(t, got)
		_, keep, err := p.Value(t.Context(), []byte(sample))
		require.ErrorContains(t, err, want, source)
		require.False(t, keep)
	}
	for _, event := range []string{``, `{`, `{} x`, `nul`, `{"a"}`, `{"a":1,}`, `[1,]`, `[1 2]`, `01`, `1.`, `1e`, `-`, `.5`, `"a`, "\"\n\"", `"\x"`, `{a:1}`, `truex`, strings.Repeat("[", 20000)} {
		_, _, err := value(t, `.`, event)
		require.ErrorContains(t, err, "cannot read the event", event)
	}
}

func TestRefusedPrograms(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		``:                                      `is empty`,
		"  \n":                                  `is empty`,
		".a | | .b":                             `line 1, column 6: unexpected token "|"`,
		".a |\n  ä":                             `line 2, column 3: `,
		".a\n| foo(1)":                          `line 2, column 3: "foo" is not a function that is known here`,
		`.foo | foo`:                            `line 1, column 8: "foo" is not`,
		`"abc`:                                  `unterminated string literal`,
		`{a: 1`:                                 `unexpected EOF`,
		`$x`:                                    `line 1, column 1: variable not defined: $x`,
		`sort(1)`:                               `"sort" does not take 1 arguments`,
		`break $x`:                              `x`,
		`@foo "a"`:                              `"@foo" is not a format`,
		`input`:                                 `line 1, column 1: "input" reaches beyond the event`,
		`[inputs]`:                              `"inputs" reaches`,
		`env.PATH`:                              `"env" reaches`,
		`$ENV`:                                  `"$ENV" reaches`,
		`{$ENV}`:                                `"$ENV" reaches`,
		`debug | stderr`:                        `"debug" reaches`,
		`halt`:                                  `"halt" reaches`,
		`halt_error("x")`:                       `"halt_error" reaches`,
		`now`:                                   `"now" gives another answer`,
		`import "a" as a; .`:                    `import`,
		`include "a"; .`:                        `import`,
		`_sort_by(.)`:                           `"_sort_by" is not a function`,
		`_flat`:                                 `"_flat" is not a function`,
		`1 = 2`:                                 `"1" makes a value and no place`,
		`(.a + .b) = 2`:                         `"+" makes a value`,
		`map(.) |= 2`:                           `"map" is not available in what is assigned to`,
		`def f: .a; f = 1`:                      `"f" is not available in what is assigned to`,
		`def inc(p): p += 1; inc(.a)`:           `"p" is not available in what is assigned to`,
		`"\(1)" |= 2`:                           `no place`,
		`transpose`:                             `is not a function`,
		`"` + strings.Repeat(`\(.)`, 101) + `"`: `"string interpolation" takes at most 100 values`,
		strings.Repeat("(", 20000):              `20000 bytes; 16384 are allowed`,
		"\xff":                                  `UTF-8`,
	} {
		_, err := expr.New().Compile(source)
		var bad *expr.SyntaxError
		require.ErrorAs(t, err, &bad, source)
		require.ErrorContains(t, err, want, source)
	}
}

// TestEndsWithItsContext: a program that takes long stops with its caller, also while it waits for others, and says that there is no answer.
func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := expr.New()
	p, err := c.Compile(`[range(1e9)] | length`)
	require.NoError(t, err)
	cause := errors.New("the stream stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err = p.Bool(ctx, []byte(sample))
	require.ErrorIs(t, err, cause)

	release := c.Occupy()
	ctx, cancel = context.WithCancelCause(t.Context())
	var ended sync.WaitGroup
	for range 2 { // one waits to be heavy, the other for its turn
		ended.Go(func() {
			_, err := p.Bool(ctx, []byte(sample))
			require.ErrorIs(t, err, cause)
		})
	}
	light, err := c.Compile(`.c | map(. + 1) | length == 3`)
	require.NoError(t, err)
	ok, err := light.Bool(t.Context(), []byte(sample))
	require.NoError(t, err, "what is light waits for nobody")
	require.True(t, ok)
	cancel(cause)
	ended.Wait()
	release()
	_, err = p.Bool(t.Context(), []byte(sample))
	require.ErrorContains(t, err, "steps")
}

// witness is a context that tells when it is asked.
type witness struct {
	context.Context
	asked func()
}

func (w witness) Err() error {
	w.asked()
	return w.Context.Err()
}

// TestSlowProgramsTakeTurns: what is slow waits for what was slow before, and for nothing that came later.
func TestSlowProgramsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := expr.NewOf(1)
		release := c.Occupy()
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			order []string
		)
		asked := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			if len(order) == 0 || order[len(order)-1] != name {
				order = append(order, name)
			}
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			p, err := c.Compile(`[range(30000)] | length`)
			require.NoError(t, err)
			all.Go(func() {
				_, err := p.Bool(witness{t.Context(), func() { asked(name) }}, []byte(sample))
				require.NoError(t, err)
			})
			synctest.Wait() // until it waits
		}
		mu.Lock()
		order = nil
		mu.Unlock()
		release()
		all.Wait()
		require.Equal(t, []string{"a", "b", "c", "d"}, order)
	})
}

// TestSharedProgram: a program may be used by several goroutines, and nothing of one event gets into another one's answer.
func TestSharedProgram(t *testing.T) {
	t.Parallel()
	p, err := expr.New().Compile(`{x, k: [.l[] | {v: .}]} | .k[0].v += 1 | del(.k[1])`)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				out, keep, err := p.Value(t.Context(), []byte(`{"x":1,"l":[1,2,3]}`))
				require.NoError(t, err)
				require.True(t, keep)
				require.JSONEq(t, `{"x":1,"k":[{"v":2},{"v":3}]}`, string(out))
			}
		})
	}
	all.Wait()
}
