package broker_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
)

// A member of a member is read without the interpreter where it is plain, and nothing else is.
func TestPlain(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"a":{"b":"x"}}`: "x",
		` { "z" : [ 1 , { "a" : null } ] , "a" : {"b":"x"} } `: "x",
		`{"a":{"b":""}}`:                                        "",
		`{"a":{"b":"größer"}}`:                                  "größer",
		`{"a":{"b":-12}}`:                                       "-12",
		`{"a":{"b":0}}`:                                         "0",
		`{"a":{"b":123456789012345}}`:                           "123456789012345",
		`{"a":{"b":true},"x":"\u00e9\n\"","y":-1.5e+7}`:         "true",
		`{"b":1,"c":{"a":{"b":2}},"a":{"c":{"b":3},"b":false}}`: "false",
		`{"a":{"b":1,"b":2}}`:                                   "2", // the last one counts
		`{"a":{"b":1},"a":{"b":3}}`:                             "3",
		`{"a":{"b":1,"\u0062":2}}`:                              "2",
		`{"\u0061":{"b":2},"a":{"b":1}}`:                        "1",
	} {
		text, ok := broker.Plain(".a.b", event)
		require.True(t, ok, event)
		require.Equal(t, want, text)
		same(t, event)
	}
	for _, event := range []string{
		``, `{}`, `null`, `[]`, `"a"`, `{"a":{}}`, `{"a":{"c":1}}`, `{"a":1}`, `{"a":[]}`, `{"a":null}`, `{"b":"x"}`, // nothing there
		`{"a":{"b":null}}`, `{"a":{"b":[1]}}`, `{"a":{"b":{"c":1}}}`, // no text
		`{"a":{"b":"\u0041"}}`, `{"a":{"b":"` + "\xff" + `"}}`, `{"a":{"b":1.0}}`, `{"a":{"b":1e3}}`, `{"a":{"b":-0}}`, `{"a":{"b":1234567890123456}}`, // written in another way
		`{"a":{"b":1},"a":{}}`, `{"a":{"b":1,"b":null}}`, // the last one counts
		`{"a":{"b":1}`, `{"a":{"b":1}}x`, `{"a":{"b":1}}` + "\x00", `{"a":{"b":1},}`, `{"a":{"b":1},"c":}`, `{"a":{"b":1},"c":nul}`, `{"a":{"b":01}}`, // no JSON
		`{"a":{"b":1},"c":"\x"}`, `{"a":{"b":1},"c":"\u12g4"}`, `{"a":{"b":1},"c":"` + "\n" + `"}`, `{"a":{"b":1},"c":"longer than eight` + "\x1f" + `, by more"}`, `{"a":{"b":1},"c":1.}`, `{"a":{"b":1},"c":1e}`, `{"a":{"b":1},"c":-}`,
		`{"a":{"b":1},"c":[1 2]}`, `{"a":{"b":1},"c":[1}]}`, `{"a":{"b":1} "c":2}`, `{"a":{"b":1},c:2}`, `{"a":{"b":"x}}`, `{"a":{"b":1},"c":"\`, `{"a":{"b":1},"c":"\u1`,
		`{"a":{"b":1},"c":"` + strings.Repeat("x", 64<<10) + `"}`, // too much
	} {
		_, ok := broker.Plain(".a.b", event)
		require.False(t, ok, event)
		same(t, event)
	}
	for _, program := range []string{"", ".", ".a[0]", ".a?", `."a"`, ".a|.b", "..", ".a.", ".a .b", ".é", ".a-b", "a", "$a"} {
		_, ok := broker.Plain(program, `{"a":{"b":1}}`)
		require.False(t, ok, program)
	}
}

// same checks that the interpreter says the same of an event as what may do without it.
func same(t require.TestingT, event string) {
	text := func(program string) (string, string) {
		made, err := broker.NewText(expr.New(), "key", "="+program, nil)
		require.NoError(t, err)
		out, err := made.Of(context.Background(), []byte(event))
		if err != nil {
			return out, err.Error()
		}
		return out, ""
	}
	got, gotErr := text(" .a.b ")
	want, wantErr := text("(.a.b)")
	require.Equal(t, want, got, event)
	require.Equal(t, wantErr, gotErr, event)
}

// Whatever the event, it makes no difference whether the interpreter was asked.
func TestPlainIsWhatTheInterpreterSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		event := value(t, rapid.IntRange(1, 4).Draw(t, "depth"))
		if rapid.Bool().Draw(t, "there") {
			event = `{"c":` + event + `,"a":{"b":` + value(t, 0) + `}}`
		}
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			at := rapid.IntRange(0, len(event)).Draw(t, "at")
			event = event[:at] + rapid.SampledFrom([]string{"", " ", ",", `"`, "{", "}", "]", "0", "\\", "e", "-", "\x00", "\xff"}).Draw(t, "put") + event[min(at+rapid.IntRange(0, 1).Draw(t, "taken"), len(event)):]
		}
		same(t, event)
	})
}

// value writes some JSON in which there may be an .a.b.
func value(t *rapid.T, depth int) string {
	simple := []string{`"x"`, `""`, `"é"`, `"\u0041"`, `"\""`, `"\ud800"`, "\"\xff\"", "0", "-0", "7", "-12", "1.50", "1e5", "12345678901234567890", "true", "false", "null", " 3 ",
		`"longer than eight"`, `"longer than eight\n"`, "\"longer than eight\x1f\"", "\"longer than eight\x00, and more\"", `"größer als acht, und mehr"`, `"longer, by some \x more"`}
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		return rapid.SampledFrom(simple).Draw(t, "simple")
	}
	var members []string
	array := rapid.IntRange(0, 5).Draw(t, "array") == 0
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		one := value(t, depth-1)
		if !array {
			one = rapid.SampledFrom([]string{`"a"`, `"b"`, `"a"`, `"b"`, `"c"`, `"\u0061"`, "\"a\xff\"", ` "a" `}).Draw(t, "name") + ":" + one
		}
		members = append(members, one)
	}
	if array {
		return "[" + strings.Join(members, ",") + "]"
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func BenchmarkText(b *testing.B) {
	event := []byte(`{"id":"0/1","data":{"key":"k1","text":"` + strings.Repeat("some text, ", 40) + `"}}`)
	for _, program := range []string{".data.key", "(.data.key)"} {
		b.Run(strconv.Quote(program), func(b *testing.B) {
			text, err := broker.NewText(expr.New(), "key", "="+program, nil)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := text.Of(b.Context(), event)
				require.NoError(b, err)
			}
		})
	}
}
