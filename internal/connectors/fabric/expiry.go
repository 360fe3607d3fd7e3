package fabric

import (
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

const oneDay = 24 * time.Hour

// warnings are the times before the end of a certificate at which there is one, the last when it is over.
var warnings = []time.Duration{30 * oneDay, 7 * oneDay, oneDay, 0}

// tlsCertificate is what the certificate for mutual TLS is called beside the names of identities.
const tlsCertificate = "fabric.tls.clientCertificate"

// expiry knows when certificates end, and warns before: once at each of the times, and once more for a certificate that was found late.
type expiry struct {
	log *logrus.Entry
	now func() time.Time

	mu   sync.Mutex
	ends map[string]ending // guarded by mu
}

type ending struct {
	at     time.Time
	warned int // how many of the warnings are over
}

func newExpiry(log *logrus.Entry) *expiry {
	return &expiry{log: log, now: time.Now, ends: map[string]ending{}}
}

// note looks at a certificate as it is now.
func (e *expiry) note(name string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.ends[name]
	if !known.at.Equal(at) {
		known = ending{at: at}
	}
	left := at.Sub(e.now())
	passed := len(slices.DeleteFunc(slices.Clone(warnings), func(w time.Duration) bool { return left > w }))
	if passed > known.warned {
		log := e.log.WithField("certificate", name).WithField("until", at.UTC().Format(time.RFC3339))
		if left <= 0 {
			log.Error("A certificate has expired. Renew it, there is no need for a restart")
		} else {
			log.WithField("days", int(left/oneDay)).Warn("A certificate expires soon. Renew it, there is no need for a restart")
		}
	}
	known.warned = passed
	e.ends[name] = known
}

// forget is for an identity that is no more.
func (e *expiry) forget(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ends, name)
}

// left tells how long each certificate is still valid.
func (e *expiry) left(tell func(left time.Duration, name string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	for name, end := range e.ends {
		tell(end.at.Sub(now), name)
	}
}

// lookEvery is how often all certificates are looked at, used or not.
const lookEvery = time.Minute

// lookAtCertificates reads all certificates that there are, for the warnings and the metric.
func (c *Connector) lookAtCertificates() {
	now := time.Now().UnixNano()
	if last := c.looked.Load(); now-last < int64(lookEvery) || !c.looked.CompareAndSwap(last, now) {
		return
	}
	if c.client != nil {
		c.client.current()
	}
	names, err := c.wallet.names()
	if err != nil {
		c.log.WithError(err).Warn("The identities cannot be listed")
		return
	}
	for _, name := range names {
		if _, err := c.wallet.find("identity", name); err != nil {
			c.log.WithError(err).Debug("An identity cannot be used")
		}
	}
}
