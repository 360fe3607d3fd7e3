package node_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// spanCollector is an OTLP collector: it hands on the names of spans with their trace.
func spanCollector(t *testing.T) (url string, spans <-chan [2]string) {
	t.Helper()
	got := make(chan [2]string, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var req collector.ExportTraceServiceRequest
		if proto.Unmarshal(body, &req) != nil {
			return
		}
		for _, rs := range req.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					got <- [2]string{s.GetName(), string(s.GetTraceId())}
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func TestMetricsAndSpansOfATransaction(t *testing.T) {
	t.Parallel()
	url, spans := spanCollector(t)
	cfg := config(t, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0", "PYRALIS_TRACING_ENABLED=true", "PYRALIS_TRACING_ENDPOINT="+url)
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := api(t, n)
	_, _, err := c.Submit(t.Context(), &client.Invocation{
		ID: "measured", From: "alice", To: "assets", Method: "create", Params: []any{"m1", map[string]any{"v": 1}},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, text := get(t, n.MonitoringURL()+"/metrics")
		return strings.Contains(text, `pyralis_transactions_ended_total{status="Succeeded"} 1`)
	}, patience, patience/1000)
	_, text := get(t, n.MonitoringURL()+"/metrics")
	for _, line := range []string{
		`pyralis_transaction_requests_total{result="new"} 1`, `pyralis_transaction_sends_total{answer="taken"} 1`,
		`pyralis_transaction_stage_seconds_count{stage="accept"} 1`, `pyralis_transaction_stage_seconds_count{stage="prepare"} 1`,
		`pyralis_transaction_stage_seconds_count{stage="send"} 1`, `pyralis_transaction_stage_seconds_count{stage="confirm"} 1`,
		`pyralis_transactions_pending 0`, `pyralis_ledger_final_block{ledger=`, `pyralis_http_request_seconds_count{method="POST",route="/",status="202"} 1`,
	} {
		require.Contains(t, text, line)
	}
	require.NoError(t, n.Stop(t.Context())) // sends what is left

	traces := map[string]string{}
	for len(traces) < 4 {
		s := <-spans
		traces[s[0]] = s[1]
	}
	for _, name := range []string{"pyralis.accept", "pyralis.prepare", "pyralis.send", "pyralis.confirm"} {
		require.Equal(t, traces["pyralis.accept"], traces[name], name)
	}
}

func TestACollectorThatIsAwayCostsNothingElse(t *testing.T) {
	t.Parallel()
	n := start(t, config(t, "PYRALIS_TRACING_ENABLED=true", "PYRALIS_TRACING_ENDPOINT=http://127.0.0.1:1"))
	_, _, err := api(t, n).Submit(t.Context(), &client.Invocation{ID: "a", From: "alice", To: "assets", Method: "create", Params: []any{"m1", 1}})
	require.NoError(t, err)
}
