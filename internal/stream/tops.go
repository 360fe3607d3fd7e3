package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

var readBackoff = retry.Backoff{Initial: 50 * time.Millisecond, Max: 10 * time.Second, Factor: 2, Jitter: true}

// tries spaces the attempts of reading something.
type tries struct {
	failures int       // in a row
	retryAt  time.Time // not tried before
}

// failed notes that a ledger could not be read, and returns the time to the next attempt.
func (r *reader) failed(t *tries, ledger string, err error) time.Duration {
	now := r.run.m.opts.Now()
	t.failures++
	wait := readBackoff.Delay(t.failures, nil)
	t.retryAt = now.Add(wait)
	r.run.s.stats.fail(err, now)
	r.run.log.WithError(err).WithField("ledger", ledger).Debug("Reading failed; it is tried again")
	return wait
}

// foothold is how it is known that the newest block read of a ledger still stands.
type foothold struct {
	seen  ffcapi.BlockRef // the safe head when it stood
	asked tries
}

// stand ends a run that has read a block which is no longer on the chain, also where nothing is read any more because all listeners are
// complete. wait is the time to the next attempt where that could not be told.
func (r *reader) stand(ctx context.Context) (wait time.Duration, err error) {
	wait = forever
	for ledger, top := range r.tops {
		if top.IsZero() {
			continue
		}
		f := r.footholds[ledger]
		if f == nil {
			f = &foothold{}
			r.footholds[ledger] = f
		}
		d, err := r.stands(ctx, ledger, *top, f)
		if err != nil {
			return 0, err
		}
		wait = min(wait, d)
	}
	return wait, nil
}

// stands is stand for one ledger. A block that is too old to be known is asked for only when the chain may have changed since the last look.
func (r *reader) stands(ctx context.Context, ledger string, top ffcapi.BlockRef, f *foothold) (wait time.Duration, err error) {
	safe, ok, _ := r.run.safe(ledger)
	hash, known := r.run.m.opts.Chain.Canonical(ledger, top.Number)
	switch {
	case known && hash != top.Hash:
		return 0, fmt.Errorf("%w: block %d of ledger %q was %s and is %s", errChainChanged, top.Number, ledger, top.Hash, hash)
	case known, r.grown(ledger, f.seen):
	default:
		if d := f.asked.retryAt.Sub(r.run.m.opts.Now()); d > 0 {
			return d, nil
		}
		err := r.oneChain(ctx, ledger)
		if ctx.Err() != nil || errors.Is(err, errChainChanged) {
			return 0, err
		}
		if err != nil {
			return r.failed(&f.asked, ledger, err), nil
		}
	}
	f.asked = tries{}
	if ok {
		f.seen = safe
	}
	return forever, nil
}

// grown says that the chain has only grown since a block was on it.
func (r *reader) grown(ledger string, since ffcapi.BlockRef) bool {
	hash, known := r.run.m.opts.Chain.Canonical(ledger, since.Number)
	return known && hash == since.Hash
}
