package metrics

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// of returns the metric of a stage.
func of(t *testing.T, reg *prometheus.Registry, name, stage string) *dto.Metric {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == stage {
				return m
			}
		}
	}
	require.Fail(t, "there is no metric "+name+" of "+stage)
	return nil
}

func TestNilMeasuresNothing(t *testing.T) {
	t.Parallel()
	var s *Stages
	ctx, span := s.Begin(t.Context(), Accept, "a")
	span.End("a", nil)
	require.Equal(t, t.Context(), ctx)
	require.Nil(t, s.Trace(ctx))
	s.Confirmed(nil, "a", "Succeeded", true, time.Now(), time.Now())
	var c *Transactions
	c.Accepted(AcceptedNew)
	c.Ended("Succeeded")
	c.Sent("")
	var tr *Tracing
	require.Nil(t, tr.Tracer())
}

func TestStagesCountTimeAndFailures(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	s := NewStages(reg, nil)
	_, span := s.Begin(t.Context(), Send, "a")
	span.End("", nil)
	_, span = s.Begin(t.Context(), Send, "a")
	span.End("", errors.New("no"))
	now := time.Now()
	s.Confirmed(nil, "a", "Succeeded", true, now.Add(-2*time.Second), now)
	s.Confirmed(nil, "b", "Failed", false, time.Time{}, now) // never sent: it was never waited for

	require.Equal(t, 4, testutil.CollectAndCount(reg, "pyralis_transaction_stage_seconds"), "one series for each stage")
	const took = "pyralis_transaction_stage_seconds"
	require.InDelta(t, 1, of(t, reg, "pyralis_transaction_stage_failures_total", "send").GetCounter().GetValue(), 0)
	require.EqualValues(t, 2, of(t, reg, took, "send").GetHistogram().GetSampleCount())
	confirmed := of(t, reg, took, "confirm").GetHistogram()
	require.EqualValues(t, 1, confirmed.GetSampleCount())
	require.InDelta(t, 2, confirmed.GetSampleSum(), 1e-9)
}

func TestSpansOfATransactionShareATrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	tracing := newTracing(TracingOptions{Ratio: 1}, sdk.WithSyncer(spans))
	s := NewStages(prometheus.NewRegistry(), tracing.Tracer())

	ctx, accept := s.Begin(t.Context(), Accept, "")
	_, prepare := s.Begin(ctx, Prepare, "")
	prepare.End("", nil)
	mine := s.Trace(ctx)
	accept.End("tx-1", nil)
	_, send := s.Begin(mine.Into(t.Context()), Send, "tx-1")
	send.End("", errors.New("refused"))
	now := time.Now()
	s.Confirmed(mine, "tx-1", "Succeeded", true, now.Add(-time.Minute), now)

	got := spans.GetSpans()
	require.Len(t, got, 4)
	names := make([]string, 0, 4)
	for _, sp := range got {
		names = append(names, sp.Name)
		require.Equal(t, got[0].SpanContext.TraceID(), sp.SpanContext.TraceID(), sp.Name)
	}
	require.ElementsMatch(t, []string{"pyralis.accept", "pyralis.prepare", "pyralis.send", "pyralis.confirm"}, names)
	for _, sp := range got {
		switch sp.Name {
		case "pyralis.confirm":
			require.Equal(t, time.Minute, sp.EndTime.Sub(sp.StartTime))
		case "pyralis.send":
			require.Equal(t, "refused", sp.Status.Description)
		default:
		}
		if sp.Name != "pyralis.prepare" {
			require.Contains(t, sp.Attributes[0].Value.AsString(), "tx-1", sp.Name)
		}
	}
	require.NoError(t, tracing.Stop(t.Context()))
}

func TestEndpointMustBeAURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "collector:4318", "ftp://x", "http://"} {
		_, err := NewTracing(t.Context(), TracingOptions{Endpoint: bad, Ratio: 1})
		require.ErrorContains(t, err, "tracing.endpoint", bad)
	}
}

func TestLedgersAreCollected(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	RegisterLedgers(reg, func() []LedgerState {
		return []LedgerState{{Ledger: "a", Head: 9, Final: 7, Reorganisations: 2}, {Ledger: "b", Failed: true}}
	})
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP pyralis_ledger_final_block Number of the newest final block.
# TYPE pyralis_ledger_final_block gauge
pyralis_ledger_final_block{ledger="a"} 7
pyralis_ledger_final_block{ledger="b"} 0
# HELP pyralis_ledger_failed 1 if an alarm has stopped the following of the ledger.
# TYPE pyralis_ledger_failed gauge
pyralis_ledger_failed{ledger="a"} 0
pyralis_ledger_failed{ledger="b"} 1
`), "pyralis_ledger_final_block", "pyralis_ledger_failed"))
}

func TestUnknownRoutesMakeNoSeries(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	r := NewRequests(reg)
	for _, method := range []string{"A", "B", "C"} {
		r.Observe(method, "", 404, time.Millisecond)
	}
	require.Equal(t, 1, testutil.CollectAndCount(reg, "pyralis_http_request_seconds"))
}
