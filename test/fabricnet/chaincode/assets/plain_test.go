package assets

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlainFunctions(t *testing.T) {
	t.Parallel()
	s := newFake()
	s.transient = map[string][]byte{"secret": []byte("abc")}
	ok := func(want, fn string, args ...string) {
		t.Helper()
		got, err := Invoke(s, alice, fn, args)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	ok(``, "put", "a", "\xff raw")
	ok(``, "put", "gone", "")
	ok(``, "del", "gone")
	ok(``, "del", "never there")
	ok(`1`, "incr", "n")
	ok(`2`, "incr", "n")
	ok(``, "putMany", `[{"key":"x","value":"1"},{"key":"y","value":"2"},{"key":"x","value":"3"},{"key":"y","delete":true}]`)
	ok(``, "putTransient", "h", "secret")
	ok(``, "ping")
	require.Equal(t, map[string]string{
		"a": "\xff raw", "n": "2", "x": "3",
		"h": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // SHA-256 of abc
	}, s.data)
	require.Empty(t, s.events)
	ok(`1`, "incrPrivate", "c", "n")
	ok(`2`, "incrPrivate", "c", "n")
	require.Equal(t, "2", s.data["c/n"])
	delete(s.data, "c/n")
	ok(``, "putPrivate", "c", "p", "secret")
	ok(`"abc"`, "readPrivate", "c", "p")
	require.Equal(t, "abc", s.data["c/p"])
	delete(s.data, "c/p")
	ok(`4`, "tally", "t")
	ok(`5`, "tally", "t")
	require.Equal(t, "5", s.data["t"])

	before := maps.Clone(s.data)
	ok(``, "event", "Odd", "\x00\xff {not JSON")
	require.Equal(t, []string{"Odd \x00\xff {not JSON"}, s.events, "byte for byte")
	began := time.Now()
	ok(``, "sleep", "30")
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	require.Equal(t, before, s.data)
}

func TestPlainRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fn   string
		args []string
		want string
	}{
		{"put", []string{"", "1"}, "the asset id is empty"},
		{"del", []string{"a\x00"}, `asset id "a\x00" is not plain UTF-8 text`},
		{"incr", []string{""}, "the asset id is empty"},
		{"incr", []string{"text"}, `key text holds "x", which is no number to count on from`},
		{"incr", []string{"full"}, `key full holds "9223372036854775807", which is no number to count on from`},
		{"putMany", []string{`{`}, "changes: unexpected end of JSON input"},
		{"putMany", []string{`[{"key":"a","value":"1"},{"key":""}]`}, "the asset id is empty"},
		{"putTransient", []string{"k", "secret"}, `there is no transient value "secret"`},
		{"incrPrivate", []string{"c", ""}, "the asset id is empty"},
		{"tally", []string{""}, "the asset id is empty"},
		{"garble", nil, "\xff"},
		{"putPrivate", []string{"c", "k", "secret"}, `there is no transient value "secret"`},
		{"putPrivate", []string{"c", "", "secret"}, "the asset id is empty"},
		{"readPrivate", []string{"c", "k"}, "asset k not found"},
		{"event", []string{"", "x"}, "the event name is empty"},
		{"sleep", []string{"-1"}, `milliseconds is "-1", want a number up to 120000`},
		{"sleep", []string{"120001"}, `milliseconds is "120001", want a number up to 120000`},
		{"sleep", []string{"soon"}, `milliseconds is "soon", want a number up to 120000`},
	} {
		t.Run(fmt.Sprint(c.fn, c.args), func(t *testing.T) {
			t.Parallel()
			s := newFake()
			s.data["text"], s.data["full"] = "x", "9223372036854775807"
			before := maps.Clone(s.data)
			_, err := Invoke(s, alice, c.fn, c.args)
			require.EqualError(t, err, c.want)
			require.Equal(t, before, s.data, "a refused call must not write")
			require.Empty(t, s.events)
		})
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "on purpose", func() { _, _ = Invoke(newFake(), alice, "panic", nil) })
}

func TestListTakesWhatPutHasWritten(t *testing.T) {
	t.Parallel()
	s := newFake()
	for key, value := range map[string]string{"a": "not JSON", "b": "", "c": `{"n": 1}`} {
		_, err := Invoke(s, alice, "put", []string{key, value})
		require.NoError(t, err)
	}
	out, err := Invoke(s, alice, "list", nil)
	require.NoError(t, err)
	require.Equal(t, `["not JSON","",{"n":1}]`, string(out))
}
