package metrics

import "github.com/prometheus/client_golang/prometheus"

// Acceptance is what became of a transaction that was to be accepted.
type Acceptance int

// The results of an acceptance.
const (
	AcceptedNew Acceptance = iota
	AcceptedReplay
	Refused // by validation, by the chain, or because its key was used with another body
	Overloaded
	Failed // by the store or a node: the same request can be repeated
	acceptances
)

var acceptanceNames = [acceptances]string{"new", "replay", "refused", "overloaded", "failed"}

// Transactions counts what happens to transactions.
type Transactions struct {
	accepted        [acceptances]prometheus.Counter
	ended, answered *prometheus.CounterVec
	renewed         *prometheus.CounterVec
}

// Load is how busy the transaction manager is.
type Load struct {
	Pending int // transactions that are not final
	Sending int // batches being sent
	Limit   int // batches that may be sent at once: shrinks when the chain asks to slow down
	Signers int // with open transactions
	InLine  int // that wait for their turn on their conflict keys
}

// NewTransactions registers the metrics.
func NewTransactions(reg prometheus.Registerer) *Transactions {
	accepted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pyralis_transaction_requests_total", Help: "Transactions that were to be accepted, one by one, in a batch, as a retry or to fill a nonce, by what became of that.",
	}, []string{"result"})
	t := &Transactions{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyralis_transactions_ended_total", Help: "Transactions that have ended.",
		}, []string{"status"}),
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyralis_transaction_sends_total", Help: "Submit calls, by the kind of answer; \"taken\" for success.",
		}, []string{"answer"}),
	}
	t.renewed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pyralis_transaction_renewals_total",
		Help: "Transactions prepared afresh: \"conflict\" after a block held them as failed, \"unsent\" before they were sent, because others had changed what they had read.",
	}, []string{"reason"})
	for a, name := range acceptanceNames {
		t.accepted[a] = accepted.WithLabelValues(name)
	}
	reg.MustRegister(accepted, t.ended, t.answered, t.renewed)
	return t
}

// RegisterLoad registers metrics of the load, which is asked for at each scrape.
func RegisterLoad(reg prometheus.Registerer, load func() Load) {
	for name, g := range map[string]struct {
		help string
		of   func(Load) int
	}{
		"pyralis_transactions_pending":        {"Transactions that are not final.", func(l Load) int { return l.Pending }},
		"pyralis_transaction_sends_in_flight": {"Batches of sends under way.", func(l Load) int { return l.Sending }},
		"pyralis_transaction_sends_limit":     {"Batches of sends that may be under way; it shrinks when the chain asks to slow down.", func(l Load) int { return l.Limit }},
		"pyralis_transactions_signers":        {"Signers with transactions that are not final.", func(l Load) int { return l.Signers }},
		"pyralis_transactions_in_line":        {"Transactions that wait until others have ended that change the same keys of a ledger.", func(l Load) int { return l.InLine }},
	} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help}, func() float64 { return float64(g.of(load())) }))
	}
}

// Accepted counts a transaction that was to be accepted, whichever way it came.
func (t *Transactions) Accepted(a Acceptance) {
	if t != nil {
		t.accepted[a].Inc()
	}
}

// Ended counts the end of a transaction.
func (t *Transactions) Ended(status string) {
	if t != nil {
		t.ended.WithLabelValues(status).Inc()
	}
}

// Renewed counts a transaction that was prepared afresh. conflict: because a block held it as failed.
func (t *Transactions) Renewed(conflict bool) {
	if t == nil {
		return
	}
	reason := "unsent"
	if conflict {
		reason = "conflict"
	}
	t.renewed.WithLabelValues(reason).Inc()
}

// Sent counts a Submit call; kind is the kind of its error, "" for success.
func (t *Transactions) Sent(kind string) {
	if t == nil {
		return
	}
	if kind == "" {
		kind = "taken"
	}
	t.answered.WithLabelValues(kind).Inc()
}
