package expr_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
)

// hostile are programs that run for ever, or make something huge in few steps. $N stands for a value that shares its parts: small in memory,
// endless to walk through.
var hostile = []string{
	// for ever
	`def f: f; f`, `def f: f + 1; f`, `def f: f, f; f`, `def f: [f]; f`, `def f(g): f(g | g); f(.)`, `def f: try f catch f; f`, `def f: label $o | f | f; f`,
	`[range(1e9)]`, `last(range(1e12))`, `[limit(1e9; repeat(1))]`, `0 | until(false; . + 1)`, `[while(true; .)]`, `last(recurse(.))`,
	`reduce range(1e9) as $i (0; . + 1)`, `[foreach range(1e9) as $i (0; . + 1)]`, `reduce repeat(1) as $x (null; $x)`, `[recurse([.]) | 1]`, `first(repeat(empty))`,
	`def f: def g: f; g | g; f`, `[range(1e9) | {a: .}]`, `[range(1e9) | {(tostring): .}]`, `any(repeat(false); .)`, `skip(1e9; repeat(1))`,
	`try (def f: f; f) catch false`, `(def f: f; f) // 1`, `isempty(repeat(empty))`, `try error([range(1e9)]) catch .`,
	// huge
	`"x" * 1e9`, `"x" * 2e6 * 2e6`, `. as $x | "0123456789" * 1e8 | length`, `reduce range(60) as $i ("ab"; . + .)`, `reduce range(60) as $i ("ab"; . * 2)`,
	`reduce range(60) as $i ("ab"; "\(.)\(.)")`, `reduce range(60) as $i ([1]; . + .)`, `reduce range(60) as $i ("ab"; [., .] | add)`, `reduce range(60) as $i ("ab"; [., .] | join("."))`,
	`reduce range(60) as $i ("ab"; @json)`, `reduce range(60) as $i ("\""; tojson)`, `reduce range(60) as $i ("ab"; gsub(""; "xx"))`, `reduce range(60) as $i ({}; .a = . | .b = .) | tojson`,
	`[] | .[500000000] = 1`, `.["a"][99999999] |= 1`, `[] | .[1e8] += 1`, `[] | setpath([400000000]; 1)`, `setpath(["a", 400000000]; 1)`, `[] | getpath([400000000]) = 1`, `[range(100000) | [] | .[999999] = 1]`,
	`[] | pick(.[300000000])`, `pick(.a[300000000])`, `first = 1 | .[3e8] = 1`, `[limit(100000; repeat("0123456789" * 1000))] | add`, `("x" * 1e6) as $s | [range(1e5) | $s + "y"]`,
	`[range(1e5) | "` + strings.Repeat("x", 8000) + `" + "y"]`, `[range(1e5) | "` + strings.Repeat("x", 8000) + `\(.)"]`,
	`("1" * 1e6) | tonumber`, `("1" * 1e6) | fromjson`, `reduce range(60) as $i (10; . * .)`, `reduce range(1e5) as $i (1; . * 1000000007)`, `("[" * 1e5 + "]" * 1e5) | fromjson`,
	`("{\"a\":1}," * 4e5 + "{}") | "[" + . + "]" | fromjson`, `("x" * 1e6) | explode | implode | explode`, `("x" * 3e6) / ""`, `("x" * 1e6) | [range(1e4) as $i | .[$i:]] | map(. + "x")`,
	`("x" * 1e6) | [match(""; "g")] | length`, `("x" * 1e6) | [splits("")]`, `("x" * 1e6) | gsub("x"; "yyyyyyyy")`, `@html "\("<" * 3e6)"`, `("<" * 3e6) | @html | @html | @html`,
	`("ab" * 1e6) | test("(a|b|ab)*c")`, `test("((a{900}){1}b{900}){1}c{900}")?, ("a" * 1e6 | test("(a?){900}a{900}"))`, `[range(1e6) | tostring as $p | "x" | test($p)]`,
	`[("a" * 1e5) | indices("a" * 1e4)]`, `[range(1e5)] - [range(1e5)]`, `[range(1e5)] | contains([range(1e5)])`, `[range(3e5) | -.] | sort | unique | length`, `[range(1e5)] | [range(1e5) as $i | sort]`,
	`[range(1e4)] as $a | [range(1e9) | $a | map(.)]`, `[range(1e4)] as $a | [range(1e9) | $a + [1]]`, `[range(1e4)] as $a | [foreach range(1e9) as $i ($a; .[0] = $i)]`,
	`[range(1e4) as $i | {"\($i)": $i}] | add | [foreach range(1e9) as $i (.; .a = $i)]`, `[range(1e4)] as $a | [foreach range(1e9) as $i ({b: {c: $a}}; .b.c[0] = $i)]`,
	`[range(1e4)] as $a | [range(1e9) | $a | reverse]`, `[range(1e5)] as $a | [range(1e9) | first($a[])]`, `[range(1e5)] as $a | [range(1e9) as $i | [$a | (.[$i][0]?, .) |= .]]`,
	// many variables, in what is called often
	`def f: if . > 0 then (. - 1 | f) as $x | $x elif . < 0 then [` + strings.Repeat(`[.],`, 3800) + `.] else 1 end; 3e4 | f`, `def b(f): f; def f: b((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.); 0 | f`,
	`def f: ((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.) + 1; 0 | f`, `[limit(1e5; 1 | recurse([.], if . == 0 then ` + strings.Repeat(`[.],`, 3800) + `1 else empty end))]`,
	`def f: "\((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.)"; 0 | f`, `def f: .[(. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.]; 0 | f`, `def f: ((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.)[.]; 0 | f`,
	`def f: . as {((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.): $y} | $y; 0 | f`, `def f: [.] | .[0] |= ((. + 1 | f) as $x | $x, ` + strings.Repeat(`[.],`, 3800) + `.); 0 | f`,
	// regular expressions
	`("a" * 300000) | [match("a.*b|a"; "g")]`, `("a" * 300000) | gsub("(.*b)?"; "x")`, `("a" * 300000) | split("a.*b|a"; null)`, `("a" * 300000) | [scan("(a.*b)?")]`, `("ab" * 1e6) | [match("(a|b|ab)*c")]`,
	`("ab" * 1e5) | [match("(((((((((a|b)*)*)*)*)*)*)*)*)*c|a"; "g")]`, `[range(1e6) | try test("(?i)[b-\\x{1e942}]") catch 1]`, `[range(1e6) as $i | try ("x" | test("(?i)[b-\\x{1e942}]\($i)")) catch 1]`,
	`[range(1e6) | try ("x" | test("\\pL" * 300)) catch 1]`, `[range(1e6) as $i | try ("x" | test("\\pL" * 10 + "\($i)")) catch 1]`, `[range(1e6) | try ("x" | test("(a" * 500)) catch .]`,
	`[range(1e6) | try ("x" | test("x"; "g" * 900000)) catch .]`,
	// times
	`0 | strftime("%1024d" * 1500000)`, `[range(30000) | strftime("%1024d" * 20)]`, `[range(60000) | strftime("%0512c%+" * 20)]`, `[range(1e5) | strftime("%c%c%c%c%c%c%c%c")]`,
	`("\u0001" * 3000) as $s | [range(9000) | try ($s | strptime("")) catch .]`, `("\u0001" * 3000) as $s | [range(9000) | try ($s | fromdate) catch .]`,
	// paths
	`$D | [paths]`, `$D | [paths(true)]`, `$D | [path(..)]`, `$D | [path(recurse)]`, `$D | del(.. | select(false))`, `$D | (.. | select(false)) |= 1`, `$D | (.. | select(false)) = 1`, `$D | walk(.)`, `$D | pick(..)`,
	`reduce range(900) as $i ([range(5000)]; [.]) | [paths]`, `reduce range(900) as $i ([range(5000)]; [.]) | .. |= .`, `reduce range(900) as $i ([range(9000)]; [.]) | .. = 1`, `reduce range(900) as $i ([range(9000)]; [.]) | recurse(.[]?) = 1`,
	`[range(2e4)] | .[1:][] |= 1`, `[range(4e4)] | .[1:][] = 1`, `[[range(4e4)]] | .[0:][0][1:][] = 1`, `[range(4e4)] | getpath([{start: 1, end: null}])? // .[1:][] = 1`, `[range(2e5)] | delpaths([range(3e4) | [{start: 0, end: null}]])`,
	`([range(1e5) | {"\(.)": 1}] | add) as $m | [range(1e5) | [$m] | setpath([{start: 0, end: 1}, 0, "x"]; 1)]`,
	`("x" * 1e6) as $s | [range(1e5) | $s | getpath([0])]`, `("x" * 1e6) as $s | [range(1e5) | [[$s]] | getpath([0, 0, 3])]`, `("x" * 1e6) as $s | [range(1e5) | $s | (getpath([3]) = 1)?]`,
	`[range(1e5)] as $a | [range(1e5) | first($a | ..)]`, `[range(1e5)] as $a | [range(1e5) | [limit(2; $a | ..)]]`, `([range(1e5) | {"\(.)": 1}] | add) as $m | [range(1e5) | [limit(2; $m | recurse)]]`,
	strings.Repeat(`(.. | select(`, 200) + `true` + strings.Repeat(`)) |= 1`, 200), strings.Repeat(`.[`, 200) + `0:` + strings.Repeat(`] |= [1]`, 200),
	`[range(1000) | "a"] as $p | [range(1e6) | null | setpath($p; 1)]`, `[range(900) | "a"] as $p | [range(1e6) | null | getpath($p) = 1]`,
	// long numbers
	`$B as $n | [range(1e6) | $n > 1]`, `$B as $n | [range(1e6) | "x" == $n]`, `$B as $n | [range(1e6) | limit($n; 1)]`, `$B as $n | [range(1e6) | skip($n; 1)]`, `$B as $n | [range(1e6) | nth($n; 1)]`, `$B as $n | [range(1e6) | [][$n:]]`,
	`$B as $n | [range(1e6) | $n | isnan]`, `$B as $n | [range(1e5) | $n] | implode`, `$B as $n | [range(1e6) | try ([2000, $n] | mktime) catch 1]`, `$B as $n | [range(1e6) | $n | in([1])]`, `$B as $n | [range(1e6) | [] | flatten($n)]`,
	`$B as $n | [range(0; $n; $n - 1)]`, `$B as $n | [range(0; $n)]`, `$B as $n | [range(1e6) | -$n | length]`, `$B as $n | [range(1e6) | $n + 1 > 1.5]`,
	// what is put in the place of others
	`[1, 2] | .[] |= if . == 1 then $N else empty end`, `{a: 1, b: 2} | map_values(if . == 1 then $N else empty end)`, `{a: 1, b: 2} | walk(if . == 1 then $N elif . == 2 then empty else . end)`,
	`{a: 1, b: 2} | (.. | numbers) |= if . == 1 then $N else empty end`,
	// shared parts
	`$N | tojson`, `$N == $N`, `$N | . == [.]`, `$N | tostring | length`, `$N | flatten`, `$N`, `[$N] | unique`, `[$N, $N] | sort`, `[$N, $N] | group_by(.)`, `[$N, $N] | min`, `$N | del(.[0])`,
	`$N | walk(.)`, `$N | [..]`, `$N | [paths] | length`, `$N | .[0] |= empty`, `$N | map_values(empty)`, `$N | contains($N)`, `$N | index($N)`, `[$N] - [$N]`, `$N | @text`, `"\($N)"`, `error($N)`,
	`$N | error`, `try error($N) catch (. == $N)`, `$N | IN($N)`, `{a: $N} * {a: $N} | tojson`, `$N | join(",")`, `$N | @csv`, `[$N, $N] | sort_by(.)`, `[$N, $N] | max_by(.)`, `$N < $N`, `$N | add | add | tojson`,
	`reduce range(1e5) as $i (0; [.]) | tojson`, `reduce range(1e5) as $i (0; [.]) | . == .`, `reduce range(1e5) as $i (0; [.]) | flatten`, `reduce range(1e5) as $i (0; {a: .}) | del(.b)`,
}

const endless = `(reduce range(60) as $i (0; [., .])) as $N | `

// with gives a program the values that it names: $N, $D, which is nested deep, and $B, which is a long number.
func with(source string) string {
	if strings.Contains(source, "$N") {
		source = endless + source
	}
	return strings.NewReplacer("$D", `reduce range(12000) as $i (0; [.])`, "$B", `("[" + "7" * 4000 + "]" | fromjson | .[0])`).Replace(source)
}

// TestHostileProgramsEnd: each ends, with an error, soon, and takes little memory.
func TestHostileProgramsEnd(t *testing.T) { //nolint:paralleltest // it looks at the memory of the whole process
	c := expr.New()
	event := []byte(`{"a":{"b":[1,2,3]},"s":"text"}`)
	for _, source := range hostile {
		t.Run(clip(source, 80), func(t *testing.T) {
			p, err := c.Compile(with(source))
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			p.Limit(share)
			runtime.GC()
			peak, stop := watchHeap()
			began := time.Now()
			out, keep, err := p.Value(t.Context(), event)
			took := time.Since(began)
			stop()
			t.Logf("%s, %d MB, %v", took.Round(time.Millisecond), peak()>>20, err)
			require.Error(t, err, "it put out %d bytes, %v", len(out), keep)
			require.Less(t, peak(), uint64(256<<20))
		})
	}
}

// TestDeepEventsEnd: the paths of an event may not take more than others either.
func TestDeepEventsEnd(t *testing.T) { //nolint:paralleltest // it looks at the memory of the whole process
	event := []byte(strings.Repeat("[", 10000) + strings.Repeat("]", 10000))
	for _, source := range []string{`[paths]`, `[path(..)]`, `[paths(arrays)] | length`, `del(.. | select(false))`, `walk(.)`, `.. |= .`, `pick(..)`, `tojson`, `.`, `[..]`, `[leaf_paths]`, `tostream`, `to_entries`} {
		p, err := expr.New().Compile(source)
		if err != nil {
			t.Logf("refused: %v", err)
			continue
		}
		runtime.GC()
		peak, stop := watchHeap()
		_, _, err = p.Value(t.Context(), event)
		stop()
		t.Logf("%s: %d MB, %v", source, peak()>>20, err)
		require.Error(t, err, source)
		require.Less(t, peak(), uint64(256<<20))
	}
	out, _, err := value(t, `[..] | length`, string(event))
	require.NoError(t, err)
	require.Equal(t, "10000", out)
}

// TestLargeEventsEnd: an event is counted by what it takes when it is read, which is up to fifty times its size.
func TestLargeEventsEnd(t *testing.T) { //nolint:paralleltest // it looks at the memory of the whole process
	p, err := expr.New().Compile(`true`)
	require.NoError(t, err)
	for _, member := range []string{`{"":1}`, `[]`, `{}`, `1`, `""`, `{"a":{"a":{"a":{}}}}`, `"\u0001"`} {
		event := []byte("[" + strings.Repeat(member+",", 1_000_000) + "1]")
		runtime.GC()
		peak, stop := watchHeap()
		_, err := p.Bool(t.Context(), event)
		stop()
		t.Logf("%s: %d MB, %v", member, peak()>>20, err)
		require.ErrorContains(t, err, "steps")
		require.Less(t, peak(), uint64(256<<20))
	}
}

// watchHeap samples how far the heap grows.
func watchHeap() (peak func() uint64, stop func()) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before, highest := sample[0].Value.Uint64(), uint64(0)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			highest = max(highest, sample[0].Value.Uint64())
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { return highest - min(before, highest) }, func() { close(quit); <-ended }
}

func clip(s string, n int) string {
	if len(s) > n {
		return fmt.Sprintf("%s… (%d)", s[:n], len(s))
	}
	return s
}
