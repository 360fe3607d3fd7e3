package sqlstore

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/store"
)

// outcomeValue is an outcome as it is stored. What the chain says is not to be argued with: what is no JSON becomes a string.
func outcomeValue(o *store.Outcome) (any, error) {
	if o == nil {
		return nil, nil //nolint:nilnil // a NULL
	}
	if !encoded(o.Result) || !encoded(o.ContractLocation) {
		quoted := *o
		for _, m := range []*json.RawMessage{&quoted.Result, &quoted.ContractLocation} {
			if encoded(*m) {
				continue
			}
			s, err := jsonText(string(*m))
			if err != nil {
				return nil, err
			}
			*m = json.RawMessage(s)
		}
		o = &quoted
	}
	if len(o.ContractLocation) > 0 || !plain(o.Block.Hash) || !plain(o.Reason) || !plain(o.By) || bytes.ContainsAny(o.Result, " \t\r\n") {
		return jsonText(o)
	}
	return text(string(appendOutcome(make([]byte, 0, 192+len(o.Result)), o))), nil
}

// encoded reports whether a value is JSON, or none.
func encoded(m json.RawMessage) bool { return len(m) == 0 || json.Valid(m) }

// plain reports whether s stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendOutcome encodes an outcome of plain strings, a result without spaces and no deployment, as jsonText does. Each block writes two for each of its
// transactions.
func appendOutcome(b []byte, o *store.Outcome) []byte {
	quoted := func(key, s string) {
		b = append(append(append(b, key...), '"'), s...)
		b = append(b, '"')
	}
	b = strconv.AppendUint(append(b, `{"block":{"number":`...), o.Block.Number, 10)
	quoted(`,"hash":`, o.Block.Hash)
	b = strconv.AppendUint(append(b, `},"index":`...), o.Index, 10)
	b = strconv.AppendBool(append(b, `,"success":`...), o.Success)
	if o.Reason != "" {
		quoted(`,"reason":`, o.Reason)
	}
	if o.Retryable {
		b = append(b, `,"retryable":true`...)
	}
	if len(o.Result) > 0 {
		b = append(append(b, `,"result":`...), o.Result...)
	}
	b = strconv.AppendBool(append(b, `,"final":`...), o.Final)
	if o.Required != nil {
		b = strconv.AppendInt(append(b, `,"required":`...), int64(*o.Required), 10)
	}
	if o.By != "" {
		quoted(`,"by":`, o.By)
	}
	return append(b, '}')
}
