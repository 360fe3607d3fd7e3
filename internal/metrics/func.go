package metrics

import "github.com/prometheus/client_golang/prometheus"

// Func is a metric that is asked for at each scrape.
type Func struct {
	Name, Help string
	Labels     []string
	Counter    bool // it only grows
	Read       func(emit func(value float64, labels ...string))
}

// Register registers the metric.
func (f Func) Register(reg prometheus.Registerer) error {
	c := &function{Func: f, desc: prometheus.NewDesc(f.Name, f.Help, f.Labels, nil), kind: prometheus.GaugeValue}
	if f.Counter {
		c.kind = prometheus.CounterValue
	}
	return reg.Register(c)
}

type function struct {
	Func
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Describe implements prometheus.Collector.
func (f *function) Describe(c chan<- *prometheus.Desc) { c <- f.desc }

// Collect implements prometheus.Collector. Labels that do not fit are an error of the scrape.
func (f *function) Collect(c chan<- prometheus.Metric) {
	f.Read(func(value float64, labels ...string) {
		m, err := prometheus.NewConstMetric(f.desc, f.kind, value, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(f.desc, err)
		}
		c <- m
	})
}
