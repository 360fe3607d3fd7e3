package node_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// TestFees: wherever a fee comes from, it is offered, raised while the ledger finds it too little, and shown.
func TestFees(t *testing.T) {
	t.Parallel()
	oracle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "pyralis" || password != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"fast":1200}`)
	}))
	t.Cleanup(oracle.Close)
	bump := []string{
		"PYRALIS_POLICIES_SIMPLE_BUMP_PERCENT=50", "PYRALIS_POLICIES_SIMPLE_BUMP_MAX=2000", "PYRALIS_POLICIES_SIMPLE_BACKOFF_INITIAL=1ms",
	}
	for name, c := range map[string]struct {
		env      []string
		fee      string
		attempts int
	}{
		"fixed":     {[]string{"PYRALIS_FEES_SOURCE=fixed", `PYRALIS_FEES_FIXED={"gasPrice":1500}`}, `{"gasPrice":1500}`, 1},
		"connector": {[]string{"PYRALIS_FEES_SOURCE=connector"}, `"1000"`, 1},
		"rest": {[]string{
			"PYRALIS_FEES_SOURCE=rest", "PYRALIS_FEES_REST_URL=" + oracle.URL, `PYRALIS_FEES_REST_TEMPLATE={"gasPrice":"{{ .fast }}"}`,
			"PYRALIS_FEES_REST_AUTH_USERNAME=pyralis", "PYRALIS_FEES_REST_AUTH_PASSWORD=s3cret",
		}, `{"gasPrice":"1200"}`, 1},
		"raised": {append([]string{"PYRALIS_FEES_SOURCE=fixed", `PYRALIS_FEES_FIXED={"gasPrice":"500"}`}, bump...), `{"gasPrice":"1125"}`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := start(t, config(t, append(c.env, "PYRALIS_DEVLEDGER_GASPRICE=1000")...))
			client := api(t, n)
			submit(t, client, "a")
			tx, err := client.Await(t.Context(), "a", false, patience)
			require.NoError(t, err)
			require.Equal(t, "Succeeded", tx.Status, tx.ErrorMessage)
			require.JSONEq(t, c.fee, string(tx.GasPrice))
			require.Equal(t, c.attempts, tx.Attempt)
		})
	}
}

func TestBadFeesAreNamedBeforeAnythingIsOpened(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"PYRALIS_FEES_SOURCE=fixed": "fees.fixed", "PYRALIS_FEES_SOURCE=rest": "fees.rest.url",
	} {
		require.ErrorContains(t, node.Check(config(t, env), builtin.Plugins()), want)
	}
	_, err := node.New(t.Context(), node.Options{
		Config: config(t, "PYRALIS_FEES_SOURCE=connector", "PYRALIS_DEVLEDGER_SEQUENCED=false"), Plugins: builtin.Plugins(), Log: quiet(),
	})
	require.ErrorContains(t, err, "fees.source")
}
