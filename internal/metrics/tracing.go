package metrics

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TracingOptions say where spans go.
type TracingOptions struct {
	Endpoint string  // URL of an OTLP/HTTP collector, e.g. http://127.0.0.1:4318
	Ratio    float64 // of the traces that begin here, 0 to 1; those that come with a request follow its decision
	Errors   func(error)
}

// Tracing sends spans to a collector, in batches and in the background: a collector that is away costs spans, nothing else.
type Tracing struct {
	provider *sdk.TracerProvider
	errors   func(error)
}

const (
	exportTimeout = 5 * time.Second
	queueSpans    = 8192 // what is more is dropped
)

// NewTracing makes the exporter; it connects when the first spans are sent.
func NewTracing(ctx context.Context, o TracingOptions) (*Tracing, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("tracing.endpoint: %q is no URL of a collector: give one like http://127.0.0.1:4318", o.Endpoint)
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithTimeout(exportTimeout)}
	if u.Scheme == "http" {
		options = append(options, otlptracehttp.WithInsecure())
	}
	if u.Path != "" && u.Path != "/" {
		options = append(options, otlptracehttp.WithURLPath(u.Path))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	return newTracing(o, sdk.WithBatcher(&telling{exporter, o.Errors}, sdk.WithMaxQueueSize(queueSpans), sdk.WithExportTimeout(exportTimeout))), nil
}

func newTracing(o TracingOptions, processor sdk.TracerProviderOption) *Tracing {
	return &Tracing{errors: o.Errors, provider: sdk.NewTracerProvider(processor,
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "pyralis"))),
	)}
}

// telling reports the errors of an exporter to whoever keeps the log, instead of a handler that is global to the process.
type telling struct {
	sdk.SpanExporter
	errors func(error)
}

// ExportSpans implements the exporter.
func (t *telling) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := t.SpanExporter.ExportSpans(ctx, spans); err != nil && t.errors != nil {
		t.errors(fmt.Errorf("%d spans were not sent: %w", len(spans), err))
	}
	return nil
}

// Tracer returns the tracer, nil of a nil Tracing.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("pyralis")
}

// Handler lets requests bring their trace, in the W3C header traceparent.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	var format propagation.TraceContext
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(format.Extract(r.Context(), propagation.HeaderCarrier(r.Header))))
	})
}

// Start implements a lifecycle service; there is nothing to do.
func (t *Tracing) Start(context.Context) error { return nil }

// Stop sends what is left, as long as ctx lasts.
func (t *Tracing) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout/2)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && t.errors != nil {
		t.errors(fmt.Errorf("the last spans were not sent: %w", err)) // a collector that is away must not make the stop fail
	}
	return nil
}
