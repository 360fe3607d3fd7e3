package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The outlet of a stream is the second sink, which its dead letters go to once they are stored. What a stream may say about it is in outletsettings.go.

// hand sends dead letters that are stored to the outlet. It returns when they are delivered, when they never will be, or when ctx is done. A crash before
// the positions move has them stored and sent again, under the same ids.
func (r *run) hand(ctx context.Context, b *batch, letters []*store.DeadLetter) error {
	if r.outlet == nil {
		return nil
	}
	for i, l := range letters {
		stored, err := r.m.opts.Store.DeadLetter(ctx, r.def.ID, l.ID)
		switch {
		case errors.Is(err, store.ErrNotFound): // somebody has deleted it
			continue
		case err != nil:
			return err
		}
		body, err := json.Marshal(letterBody(stored))
		if err != nil {
			return fmt.Errorf("dead letter %s: %w", l.ID, err)
		}
		e := &b.events[i]
		of := *e.Listener
		of.Replay += "/dead letter" // it is something else than its event, and has another id
		buf := append(append([]byte{'['}, body...), ']')
		r.handed++
		one := &sink.Batch{
			Number: r.epoch*numbersPerEpoch + r.handed, Body: buf,
			Events: []sink.Event{{ID: e.ID, Listener: &of, Block: e.Block, JSON: buf[1 : len(buf)-1]}},
		}
		if err := r.handOne(ctx, one, l); err != nil {
			return err
		}
	}
	return nil
}

// handOne sends one dead letter, again and again, unless it is refused for good, or for retryTimeout.
func (r *run) handOne(ctx context.Context, one *sink.Batch, l *store.DeadLetter) error {
	began := r.m.opts.Now()
	return retry.Do(ctx, sendBackoff, func(ctx context.Context, attempt int) error {
		one.Attempt = attempt
		done := make(chan error, 1)
		r.outlet.Send(ctx, one, func(err error) { done <- err })
		err := <-done
		var part *sink.Partial
		if errors.As(err, &part) && part.Failed[0] != nil {
			err = part.Failed[0]
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		now := r.m.opts.Now()
		r.s.stats.fail(fmt.Errorf("deadLetter: %w", err), now)
		if sink.IsPermanent(err) || sink.IsGone(err) || sink.IsRefused(err) && now.Sub(began) >= r.def.RetryTimeout {
			r.log.WithField("event", l.Event).Warnf("The dead letter %s stays in the store alone: %s", l.ID, err)
			return nil
		}
		var later *sink.RetryAfter
		if errors.As(err, &later) {
			_ = retry.Sleep(ctx, min(later.After, maxRetryAfter)) // Do finds out by itself that ctx has ended
		}
		return err
	})
}
