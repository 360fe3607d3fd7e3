package fabric

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestMethodOrdersParams(t *testing.T) {
	t.Parallel()
	const two = `{"name":"transfer","params":[{"name":"id","schema":{"type":"string"}},{"name":"owner","schema":{"type":"string"}}],"returns":[]}`
	const one = `{"name":"put","params":[{"name":"value","schema":{"type":"object"}}]}`
	for name, c := range map[string]struct {
		method      string
		given, want []json.RawMessage
		refused     string
	}{
		"in order":                     {method: two, given: raws(`"a"`, `"bob"`), want: raws(`"a"`, `"bob"`)},
		"by name":                      {method: two, given: raws(` {"owner":"bob","id":"a"}`), want: raws(`"a"`, `"bob"`)},
		"an object is the one param":   {method: one, given: raws(`{"value":1}`), want: raws(`{"value":1}`)},
		"nothing is described":         {method: `{"name":"f"}`, given: raws(`{"value":1}`, `2`, `3`), want: raws(`{"value":1}`, `2`, `3`)},
		"only a name":                  {method: `"f"`, given: raws(`1`), want: raws(`1`)},
		"one is missing":               {method: two, given: raws(`{"id":"a"}`), refused: `params: transfer takes id, owner: "owner" is missing`},
		"one is too much":              {method: two, given: raws(`{"id":"a","owner":"b","x":1}`), refused: `params: transfer takes id, owner: there is no "x"`},
		"too few":                      {method: two, given: raws(`"a"`), refused: `params: transfer takes 2 (id, owner), 1 are given`},
		"too many":                     {method: two, given: raws(`1`, `2`, `3`), refused: `params: transfer takes 2 (id, owner), 3 are given`},
		"none is taken":                {method: `{"name":"list","params":[]}`, given: raws(`1`), refused: `params: list takes 0 (), 1 are given`},
		"a param without a name":       {method: `{"name":"f","params":[null,{}]}`, given: raws(`{"":1}`, `2`, `3`), refused: `params: f takes 2`},
		"params are not a list":        {method: `{"name":"f","params":{"id":"string"}}`, refused: `method: it must be the name`},
		"a description without a name": {method: `{"params":[]}`, refused: `method: it must be the name`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := readMethod(json.RawMessage(c.method))
			var got []json.RawMessage
			if err == nil {
				got, err = m.order(c.given)
			}
			if c.refused != "" {
				requireKind(t, err, ffcapi.InvalidInput, c.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}
