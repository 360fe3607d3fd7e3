package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts what the REST API answers.
type Requests struct{ took *prometheus.HistogramVec }

// NewRequests registers the metrics.
func NewRequests(reg prometheus.Registerer) *Requests {
	r := &Requests{took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pyralis_http_request_seconds", Help: "Requests to the REST API by method, route and status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"method", "route", "status"})}
	reg.MustRegister(r.took)
	return r
}

// Observe counts an answer. route is a route's path with its parameters' names; "" for requests that met none, whose method may be
// anything and is left out.
func (r *Requests) Observe(method, route string, status int, took time.Duration) {
	if route == "" {
		method, route = "", "none"
	}
	r.took.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}
