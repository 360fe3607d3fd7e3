package sqlstore_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
)

// TestOutcomesAreEncodedAsJSON, whatever is in them, and come back as they were.
func TestOutcomesAreEncodedAsJSON(t *testing.T) {
	t.Parallel()
	words := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.String())
	results := rapid.SampledFrom([]string{"", `{"a":1}`, `{"a": [1, 2]}`, `"<&>"`, "null", "\n[]"})
	rapid.Check(t, func(t *rapid.T) {
		o := &store.Outcome{
			Index: rapid.Uint64().Draw(t, "index"), Success: rapid.Bool().Draw(t, "success"), Reason: words.Draw(t, "reason"),
			Retryable: rapid.Bool().Draw(t, "retryable"), Final: rapid.Bool().Draw(t, "final"), By: words.Draw(t, "by"),
			Result: json.RawMessage(results.Draw(t, "result")), ContractLocation: json.RawMessage(results.Draw(t, "location")),
		}
		o.Block.Number, o.Block.Hash = rapid.Uint64().Draw(t, "number"), words.Draw(t, "hash")
		if rapid.Bool().Draw(t, "of its own") {
			o.Required = new(int)
			*o.Required = rapid.Int().Draw(t, "required")
		}
		if len(o.Result) == 0 {
			o.Result = nil
		}
		if len(o.ContractLocation) == 0 {
			o.ContractLocation = nil
		}
		got, want, err := sqlstore.OutcomeTexts(o)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
