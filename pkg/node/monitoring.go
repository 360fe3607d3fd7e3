package node

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// sideTimeout is what requests of operators that are under way may take of a stop: the profile of a minute must not cost the transactions
// their part of it.
const sideTimeout = time.Second

// addSideServers adds the metrics and profile servers, as configured.
func (n *Node) addSideServers() {
	if cfg := n.cfg.Monitoring; cfg.Enabled {
		n.add("monitoring", n.sideServer("monitoring", cfg.Address, cfg.Port, n.metrics()))
	}
	if cfg := n.cfg.Debug; cfg.Enabled {
		n.add("debug", n.sideServer("debug", cfg.Address, cfg.Port, profiles()))
	}
}

// sideServer serves something for operators on a port of its own.
func (n *Node) sideServer(section, address string, port int, h http.Handler) *api.Server {
	return api.NewServer(api.ServerOptions{
		Section: section, Address: address, Port: port, Handler: h,
		MaxRequestTime: n.cfg.API.MaxRequestTimeout, ShutdownTimeout: min(n.cfg.API.ShutdownTimeout, sideTimeout), Log: n.part(section),
	})
}

// metrics serves /metrics, and /livez and /readyz for orchestrators.
func (n *Node) metrics() http.Handler {
	reg := n.registry
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pyralis_ready", Help: "1 if the chain and the store can be used."}, func() float64 {
			if ready, _ := n.ready(context.Background()); ready { // a gauge has no context, ready its own time limit
				return 1
			}
			return 0
		}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	answer := func(well func(context.Context) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !well(r.Context()) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	mux.HandleFunc("GET /livez", answer(func(context.Context) bool { return n.live() }))
	mux.HandleFunc("GET /readyz", answer(func(ctx context.Context) bool { ready, _ := n.ready(ctx); return ready }))
	return mux
}

// measure makes what the parts are measured with; nothing is measured that nobody sees.
func (n *Node) measure(ctx context.Context) (err error) {
	if !n.cfg.Monitoring.Enabled && !n.cfg.Tracing.Enabled {
		return nil
	}
	n.registry = prometheus.NewRegistry()
	if cfg := n.cfg.Tracing; cfg.Enabled {
		log := n.part("tracing")
		n.tracing, err = metrics.NewTracing(ctx, metrics.TracingOptions{
			Endpoint: cfg.Endpoint, Ratio: float64(cfg.Percent) / 100,
			Errors: func(err error) { log.WithError(err).Warn("Spans are lost") },
		})
		if err != nil {
			return err
		}
		n.add("tracing", n.tracing)
	}
	n.stages, n.counts = metrics.NewStages(n.registry, n.tracing.Tracer()), metrics.NewTransactions(n.registry)
	return nil
}

// observe registers the metrics that ask the parts.
func (n *Node) observe(chain *confirm.Engine, transactions *txn.Manager, streams *stream.Manager) {
	if n.registry == nil {
		return
	}
	metrics.RegisterLedgers(n.registry, chain.States)
	metrics.RegisterLoad(n.registry, transactions.Load)
	metrics.RegisterStreams(n.registry, streams.States)
}

// measurer takes what plug-ins measure; nil: nothing is.
func (n *Node) measurer() func(plugin.Metric) error {
	if n.registry == nil {
		return nil
	}
	return func(m plugin.Metric) error { return metrics.Func(m).Register(n.registry) }
}

// requests is what the REST API tells its answers to; nil: nobody.
func (n *Node) requests() func(method, route string, status int, took time.Duration) {
	if n.registry == nil {
		return nil
	}
	return metrics.NewRequests(n.registry).Observe
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
