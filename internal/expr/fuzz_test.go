package expr_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
)

// FuzzPrograms: whatever the program and the event, there is an answer or an error, soon, and the same one again.
func FuzzPrograms(f *testing.F) {
	for _, source := range meanings {
		f.Add(source.source, sample)
	}
	for _, source := range hostile {
		f.Add(with(source), sample)
	}
	f.Fuzz(func(t *testing.T, source, event string) {
		p, err := expr.New().Compile(source)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		p.Limit(20)
		out, keep, err := p.Value(t.Context(), []byte(event))
		again, keptAgain, errAgain := p.Value(t.Context(), []byte(event))
		require.Equal(t, err == nil, errAgain == nil)
		require.Equal(t, keep, keptAgain)
		if err != nil {
			require.Equal(t, err.Error(), errAgain.Error())
			require.False(t, keep)
		}
		require.Equal(t, string(out), string(again))
		require.True(t, !keep || json.Valid(out), "%s", out)
	})
}

// TestGuardsChangeNoMeaning compares with the interpreter as it is.
func TestGuardsChangeNoMeaning(t *testing.T) {
	t.Parallel()
	for _, m := range meanings {
		t.Run(m.source, func(t *testing.T) {
			t.Parallel()
			q, err := gojq.Parse(m.source)
			require.NoError(t, err)
			code, err := gojq.Compile(q)
			require.NoError(t, err)
			d := json.NewDecoder(strings.NewReader(sample))
			d.UseNumber()
			var event any
			require.NoError(t, d.Decode(&event))
			outputs := code.Run(event)
			v, some := outputs.Next()
			_, more := outputs.Next()
			out, keep, err := value(t, m.source, sample)
			if more {
				require.Error(t, err)
				return
			}
			require.Equal(t, some, keep)
			want, err := gojq.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, string(want), out)
		})
	}
}

// FuzzDecode: events are read as encoding/json reads them.
func FuzzDecode(f *testing.F) {
	for _, event := range []string{sample, transfer, `{"a":{},"b":[],"a":1}`, `[0,-0,1.50,-1e+3,2E-7]`, `"a\u00e4\ud83d\ude00\n\"\/"`, "\"\xff\u00e4\"", ` [ null , true,false ] `, `{"a" : "\\"}`, `01`, `1.`, `tru`, `{} {}`} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		d := json.NewDecoder(bytes.NewReader(event))
		d.UseNumber()
		var want any
		err := d.Decode(&want)
		if _, end := d.Token(); err == nil && !errors.Is(end, io.EOF) {
			err = errors.New("something follows")
		}
		got, failed := expr.Decode(event)
		require.Equal(t, err == nil, failed == nil, "%v, %v", err, failed)
		if err == nil {
			require.Equal(t, want, got)
		}
	})
}
