package api

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// plain is what encoding/json makes of an answer.
func plain(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(v))
	return b.String()
}

// sample is a value of a field's type that is not empty.
func sample(t *testing.T, field reflect.StructField) reflect.Value {
	t.Helper()
	at := fftypes.FFTime(time.Date(2026, 3, 1, 12, 0, 0, 120_000, time.FixedZone("CET", 3600)))
	n, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	seven := 7
	for _, v := range []any{
		"name & <tag> \"quoted\" é \xff \u2028", 3, &seven, &at, (*fftypes.FFBigInt)(n), json.RawMessage(`{ "a":"<b>" }`), map[string]string{"b": "<1>", "a": "2"},
		apitypes.Progress{Status: "InProgress", Message: "m"}, &apitypes.Stuck{Since: &at, Reason: "because"},
	} {
		if reflect.TypeOf(v) == field.Type {
			return reflect.ValueOf(v)
		}
	}
	t.Fatalf("field %s: there is no sample of a %s", field.Name, field.Type)
	return reflect.Value{}
}

// Each field, alone and all together, is written as encoding/json does.
func TestAppendTransaction(t *testing.T) {
	t.Parallel()
	same := func(tx *apitypes.Transaction) {
		t.Helper()
		a := appender{}
		require.True(t, a.answer(tx))
		require.Equal(t, plain(t, tx), string(a.b))
		items := []*apitypes.BatchItem{{Status: 202, Transaction: tx, Replay: true}, {Status: 400, Error: "PY10001: <x>", SubmissionRejected: true}, {Status: 202, Transaction: tx}}
		a = appender{}
		require.True(t, a.answer(items))
		require.Equal(t, plain(t, items), string(a.b))
	}
	var all apitypes.Transaction
	same(&all)
	kind := reflect.TypeFor[apitypes.Transaction]()
	for i := range kind.NumField() {
		var one apitypes.Transaction
		v := sample(t, kind.Field(i))
		reflect.ValueOf(&one).Elem().Field(i).Set(v)
		reflect.ValueOf(&all).Elem().Field(i).Set(v)
		same(&one)
	}
	same(&all)
	zero := fftypes.FFTime{}
	same(&apitypes.Transaction{Created: &zero, FirstSubmit: &zero, From: "plain", To: "tab\t"})

	a := appender{}
	require.False(t, a.answer(&apitypes.Transaction{PolicyInfo: json.RawMessage("{")}), "what cannot be encoded is no answer")
	a = appender{}
	require.False(t, a.answer(struct{}{}))
}
