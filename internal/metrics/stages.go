package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Stage is a part of a transaction's way.
type Stage int

// The stages.
const (
	Accept Stage = iota
	Prepare
	Send
	Confirm
	stages // how many there are
)

var stageNames = [stages]string{"accept", "prepare", "send", "confirm"}

// String returns the stage's name in metrics and traces.
func (s Stage) String() string { return stageNames[s] }

// Stages measures how long the stages of transactions take.
type Stages struct {
	took   [stages]prometheus.Observer
	failed [stages]prometheus.Counter
	tracer trace.Tracer // nil: no tracing
}

// NewStages registers the metrics. tracer may be nil.
func NewStages(reg prometheus.Registerer, tracer trace.Tracer) *Stages {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pyralis_transaction_stage_seconds", Help: "How long a stage of a transaction took, failed or not.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"stage"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pyralis_transaction_stage_failures_total", Help: "Stages that ended with an error, or with a failed transaction.",
	}, []string{"stage"})
	reg.MustRegister(took, failed)
	s := &Stages{tracer: tracer}
	for st, name := range stageNames {
		s.took[st], s.failed[st] = took.WithLabelValues(name), failed.WithLabelValues(name)
	}
	return s
}

// Span is one stage of one transaction under way. The zero value measures nothing.
type Span struct {
	stages *Stages
	stage  Stage
	began  time.Time
	span   trace.Span
}

// Begin begins a stage. The context carries its span, so that stages begun with it are its children. tx may be "" while it has no id.
func (s *Stages) Begin(ctx context.Context, stage Stage, tx string) (context.Context, Span) {
	if s == nil {
		return ctx, Span{}
	}
	sp := Span{stages: s, stage: stage, began: time.Now()}
	if s.tracer != nil {
		ctx, sp.span = s.tracer.Start(ctx, "pyralis."+stage.String())
		sp.name(tx)
	}
	return ctx, sp
}

func (sp Span) name(tx string) {
	if tx != "" {
		sp.span.SetAttributes(attribute.String("pyralis.transaction", tx))
	}
}

// End ends the stage. tx names the transaction, if Begin did not.
func (sp Span) End(tx string, err error) {
	if sp.stages == nil {
		return
	}
	sp.stages.took[sp.stage].Observe(time.Since(sp.began).Seconds())
	if err != nil {
		sp.stages.failed[sp.stage].Inc()
	}
	if sp.span == nil {
		return
	}
	sp.name(tx)
	if err != nil {
		sp.span.SetStatus(codes.Error, err.Error())
	}
	sp.span.End()
}

// Trace is what later stages of a transaction need of an earlier one to be in its trace; nil for none.
type Trace struct{ parent trace.SpanContext }

// Trace returns the trace that ctx is in, nil if none is recorded.
func (s *Stages) Trace(ctx context.Context) *Trace {
	if s == nil || s.tracer == nil {
		return nil
	}
	if parent := trace.SpanContextFromContext(ctx); parent.IsSampled() {
		return &Trace{parent}
	}
	return nil
}

// Into returns ctx inside the trace.
func (t *Trace) Into(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, t.parent)
}

// Confirmed measures the confirm stage of a transaction that has ended. began is its first send.
func (s *Stages) Confirmed(t *Trace, tx, status string, success bool, began, ended time.Time) {
	if s == nil || began.IsZero() || ended.Before(began) {
		return
	}
	s.took[Confirm].Observe(ended.Sub(began).Seconds())
	if !success {
		s.failed[Confirm].Inc()
	}
	if s.tracer == nil {
		return
	}
	_, span := s.tracer.Start(t.Into(context.Background()), "pyralis."+Confirm.String(), trace.WithTimestamp(began),
		trace.WithAttributes(attribute.String("pyralis.transaction", tx), attribute.String("pyralis.status", status)))
	if !success {
		span.SetStatus(codes.Error, status)
	}
	span.End(trace.WithTimestamp(ended))
}
