package txn

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func form(t require.TestingT, raw string) string {
	out, _, err := canonical(nil, []byte(raw))
	require.NoError(t, err, raw)
	return string(out)
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{}`:                                  `{}`,
		` { "b" : 1 , "a" : [ ] } `:           `{"a":[],"b":1}`,
		`{"a":{"d":4,"c":[3,{"f":1,"e":2}]}}`: `{"a":{"c":[3,{"e":2,"f":1}],"d":4}}`,
		`[56,{"d":true,"10":null,"1":[]}]`:    `[56,{"1":[],"10":null,"d":true}]`,
		// The examples of RFC 8785, but for the first number, which has more digits than a float.
		`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`:                                                                           `{"literals":[null,true,false],"numbers":[33333333333333329E-8,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		"{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}": "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		`[-0, 0, 0.0, 0e9, -0.0E-3]`:                      `[0,0,0,0,0]`,
		`[1e0, 1.0, 10E-1, 100e-2]`:                       `[1,1,1,1]`,
		`[9007199254740992, 9007199254740993]`:            `[9007199254740992,9007199254740993E0]`,
		`[100000000000000000000, 1000000000000000000000]`: `[100000000000000000000,1e+21]`,
		`[1e400, 10e399, -1e400, 1e-400]`:                 `[1E400,1E400,-1E400,1E-400]`,
		`[0.000001, 0.0000001, 123456789012345678]`:       `[0.000001,1e-7,123456789012345678E0]`,
		`["\ud800"]`:                 "[\"\uFFFD\"]",
		`["\u0007\u001f\b\f\n\r\t"]`: `["\u0007\u001f\b\f\n\r\t"]`,
	} {
		require.Equal(t, want, form(t, raw), raw)
		require.Equal(t, form(t, want), form(t, form(t, raw)), "once is enough: %s", raw)
	}
}

// TestNumbersDoNotCollide: amounts of tokens have more digits than a float holds.
func TestNumbersDoNotCollide(t *testing.T) {
	t.Parallel()
	same := [][]string{
		{`9007199254740993`, `9007199254740993.0`, `9007199254740993e0`, `90071992547409930E-1`},
		{`9007199254740992`, `9007199254740992.00`},
		{`9007199254740994`},
		{`1000000000000000000000001`, `1000000000000000000000001.0`, `0.1000000000000000000000001e25`},
		{`1000000000000000000000000`, `1e24`},
		{`0.1`, `1e-1`, `0.10`},
		{`0.10000000000000000000001`},
		{`-9007199254740993`},
		{`"9007199254740993E0"`},
	}
	seen := map[string]int{}
	for i, group := range same {
		for _, n := range group {
			f := form(t, `[`+n+`]`)
			if other, ok := seen[f]; ok {
				require.Equal(t, i, other, "%s is taken for another number", n)
			}
			seen[f] = i
		}
		require.Equal(t, form(t, `[`+group[0]+`]`), form(t, `[`+group[len(group)-1]+`]`))
	}
	require.Len(t, seen, len(same))
}

func TestHeadersIDIsCutOut(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"headers":{"id":"x","type":"T"},"from":"a"}`:            `{"headers":{"type":"T"},"from":"a"}`,
		`{"headers":{"type":"T", "id" : "x" },"from":"a"}`:        `{"headers":{"type":"T" },"from":"a"}`,
		`{"headers":{"a":1,"id":{"b":[1]},"type":"T"}}`:           `{"headers":{"a":1,"type":"T"}}`,
		`{"from":"a","headers":{"id":"x"}}`:                       `{"from":"a","headers":{}}`,
		`{"headers":{"type":"T"},"id":"x","params":[{"id":"y"}]}`: `{"headers":{"type":"T"},"id":"x","params":[{"id":"y"}]}`,
		`{"params":{"headers":{"id":"x"}}}`:                       `{"params":{"headers":{"id":"x"}}}`,
	} {
		out, cut, err := canonical(nil, []byte(raw))
		require.NoError(t, err)
		left := append(bytes.Clone([]byte(raw[:cut[0]])), raw[cut[1]:]...)
		require.Equal(t, want, string(left))
		require.Equal(t, form(t, want), string(out), "the hash is that of what is left")
	}
}

func TestNoJSON(t *testing.T) {
	t.Parallel()
	deep := bytes.Repeat([]byte("["), 1<<20)
	for _, raw := range []string{
		``, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `[1,]`, `[1 2]`, `{} {}`, `{a:1}`, `"x`, `"\`, `01`, `-`, `1e`, `.5`, `+1`, `tru`, "\"\x01\"", `{"a" 1}`, string(deep),
	} {
		_, _, err := canonical(nil, []byte(raw))
		require.ErrorIs(t, err, errJSON, "%.20q", raw)
	}
}

// TestDepth: the API lets through what nests 200 deep.
func TestDepth(t *testing.T) {
	t.Parallel()
	for deep, fine := range map[int]bool{200: true, 202: false} {
		_, _, err := canonical(nil, []byte(strings.Repeat(`{"a":`, deep)+"1"+strings.Repeat("}", deep)))
		require.Equal(t, fine, err == nil, "%d: %v", deep, err)
	}
}

// TestCanonicalMeansTheSame: for any JSON, the form is JSON with the same content.
func TestCanonicalMeansTheSame(t *testing.T) {
	t.Parallel()
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		kinds := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Float64Range(-1e300, 1e300).AsAny(), rapid.Int32().AsAny(), rapid.String().AsAny(),
		}
		if depth < 4 {
			kinds = append(kinds,
				rapid.Deferred(func() *rapid.Generator[any] { return rapid.SliceOfN(value(depth+1), 0, 4).AsAny() }),
				rapid.Deferred(func() *rapid.Generator[any] { return rapid.MapOfN(rapid.String(), value(depth+1), 0, 4).AsAny() }))
		}
		return rapid.OneOf(kinds...)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value(0).Draw(t, "value")
		var indent bytes.Buffer
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Indent(&indent, raw, "", "\t"))
		got := form(t, indent.String())
		require.JSONEq(t, string(raw), got)
		require.Equal(t, form(t, string(raw)), got)
		require.Equal(t, got, form(t, got))
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"headers":{"id":"x","type":"T"},"params":[1e9,"\u20ac",null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, cut, err := canonical(nil, raw)
		if err != nil {
			return
		}
		require.True(t, json.Valid(out), "%q of %q", out, raw)
		require.True(t, json.Valid(append(bytes.Clone(raw[:cut[0]]), raw[cut[1]:]...)), "what is left of %q", raw)
	})
}
