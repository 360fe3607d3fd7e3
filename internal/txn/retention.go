package txn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	// removeStep is how many transactions are looked at in one go: so few that what they cost nobody notices who waits behind them.
	removeStep = 50
	trimStep   = 500
	// warnInterval is how often it is said that somebody keeps things from being removed.
	warnInterval = 24 * time.Hour
)

// RetentionOptions is what a Retention gets from its surroundings.
type RetentionOptions struct {
	Store store.Store
	Fence func() store.Fence // asked for each write
	Keep  time.Duration      // how long a transaction is kept after it ended; 0: for ever
	// Consumed is the position in the status log up to which nobody needs its rows any more. What lies behind it is kept, and with it the
	// transactions that those rows are about. nil: nobody needs any.
	Consumed func() int64
	Interval time.Duration // between two rounds; 1 min

	Now func() time.Time // nil: time.Now
	Log *logrus.Entry    // nil: the standard logger
}

// Retention removes what has been kept long enough: transactions, rows of the status log, and keys. It is a lifecycle.Service.
//
// It works in small steps at the lowest class of the store's writer, and rests after each as long as it took, so that what the node is
// there for goes first. A step that fails is taken again in the next round.
type Retention struct {
	lifecycle.Group
	RetentionOptions

	warned time.Time // belongs to the goroutine of run
}

// NewRetention makes a Retention; nothing runs before Start.
func NewRetention(o RetentionOptions) (*Retention, error) {
	if o.Store == nil || o.Fence == nil {
		return nil, errors.New("txn: a retention needs a store and a fence")
	}
	if o.Consumed == nil {
		o.Consumed = func() int64 { return math.MaxInt64 }
	}
	if o.Interval <= 0 {
		o.Interval = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	return &Retention{RetentionOptions: o}, nil
}

// Start begins to work, with the first round at once.
func (r *Retention) Start(ctx context.Context) error {
	if err := r.Group.Start(ctx); err != nil {
		return err
	}
	r.Go("retention", r.run)
	return nil
}

func (r *Retention) run(ctx context.Context) {
	for {
		err := r.round(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrFenced):
			r.Log.WithError(err).Error("Another owner has taken over: nothing more is removed")
			return
		case err != nil:
			r.Log.WithError(err).Warn("What has been kept long enough could not be removed; it is tried again")
		}
		if retry.Sleep(ctx, r.Interval) != nil {
			return
		}
	}
}

// round removes all that is due.
func (r *Retention) round(ctx context.Context) error {
	var errs []error
	if r.Keep > 0 {
		errs = append(errs, r.removeEnded(ctx))
	}
	return errors.Join(append(errs, r.steps(ctx, trimStep, func() (int, error) { return r.Store.ForgetKeys(ctx, r.Fence(), trimStep) }))...)
}

func (r *Retention) removeEnded(ctx context.Context) error {
	before, consumed, err := r.due(ctx)
	if err != nil {
		return err
	}
	sum := 0
	for next := int64(0); ; {
		began := time.Now()
		var n int
		if n, next, err = r.Store.Remove(ctx, r.Fence(), before, next, removeStep); err != nil {
			return err
		}
		if sum += n; next == 0 {
			break
		}
		if err := retry.Sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	if sum > 0 {
		r.Log.WithField("transactions", sum).Info("Transactions that ended long ago were removed")
	}
	return r.steps(ctx, trimStep, func() (int, error) { return r.Store.TrimStatus(ctx, r.Fence(), consumed, before, trimStep) })
}

// due is before when something must have ended to be removed: nothing that a row of the status log is about which somebody still needs.
func (r *Retention) due(ctx context.Context) (before time.Time, consumed int64, err error) {
	before, consumed = r.Now().Add(-r.Keep), r.Consumed()
	if consumed == math.MaxInt64 {
		return before, consumed, nil
	}
	needed, err := r.Store.Status(ctx, consumed, 2)
	if err != nil {
		return before, consumed, fmt.Errorf("read what is still needed: %w", err)
	}
	// The first one may be the newest that all have taken; the second one somebody has not.
	if len(needed) > 1 && needed[1].Time.Before(before) {
		r.warn(needed[1].Time)
	}
	for i := range needed { // the second one is the older one if the clock was put back between them
		if needed[i].Time.Before(before) {
			before = needed[i].Time
		}
	}
	return before, consumed, nil
}

// warn says once a day that a listener that may have been forgotten makes the database grow.
func (r *Retention) warn(since time.Time) {
	now := r.Now()
	if !r.warned.IsZero() && now.Sub(r.warned) < warnInterval {
		return
	}
	r.warned = now
	r.Log.WithField("since", since).Warn("Transactions that ended long ago are kept, because a listener of type transactions has not taken what became of them. " +
		"The stream that has lagTransactions in GET /eventstreams is the one: resume it, or delete or reset the listener")
}

// steps repeats one until it finds less than a full one to do.
func (r *Retention) steps(ctx context.Context, full int, one func() (int, error)) error {
	for {
		began := time.Now()
		n, err := one()
		if err != nil || n < full {
			return err
		}
		if err := retry.Sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}
