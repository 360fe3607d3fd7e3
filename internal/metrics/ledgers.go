package metrics

import "github.com/prometheus/client_golang/prometheus"

// LedgerState is how far the following of a ledger is.
type LedgerState struct {
	Ledger          string
	Head, Final     uint64 // block numbers
	Reorganisations uint64 // seen since the process began
	Failed          bool   // an alarm has stopped it
}

// ledgers collects from a function, so that a ledger that is no longer followed leaves no series behind.
type ledgers struct {
	states                         func() []LedgerState
	head, final, reorgs, failedNow *prometheus.Desc
}

// RegisterLedgers registers metrics of the ledgers in use. states is asked at each scrape.
func RegisterLedgers(reg prometheus.Registerer, states func() []LedgerState) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"ledger"}, nil)
	}
	reg.MustRegister(&ledgers{
		states:    states,
		head:      desc("pyralis_ledger_head_block", "Number of the newest canonical block seen."),
		final:     desc("pyralis_ledger_final_block", "Number of the newest final block."),
		reorgs:    desc("pyralis_ledger_reorganisations_total", "Times that blocks were replaced."),
		failedNow: desc("pyralis_ledger_failed", "1 if an alarm has stopped the following of the ledger."),
	})
}

// Describe implements prometheus.Collector.
func (l *ledgers) Describe(c chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{l.head, l.final, l.reorgs, l.failedNow} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (l *ledgers) Collect(c chan<- prometheus.Metric) {
	for _, s := range l.states() {
		failed := 0.0
		if s.Failed {
			failed = 1
		}
		c <- prometheus.MustNewConstMetric(l.head, prometheus.GaugeValue, float64(s.Head), s.Ledger)
		c <- prometheus.MustNewConstMetric(l.final, prometheus.GaugeValue, float64(s.Final), s.Ledger)
		c <- prometheus.MustNewConstMetric(l.reorgs, prometheus.CounterValue, float64(s.Reorganisations), s.Ledger)
		c <- prometheus.MustNewConstMetric(l.failedNow, prometheus.GaugeValue, failed, s.Ledger)
	}
}
