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
		var stored *store.DeadLetter
		err := r.insist(ctx, func(ctx context.Context) (err error) {
			stored, err = r.m.opts.Store.DeadLetter(ctx, r.def.ID, l.ID)
			return err
		})
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
		one := sink.Batch{
			Number: r.epoch*numbersPerEpoch + r.handed, Body: buf,
			Events: []sink.Event{{ID: e.ID, Listener: &of, Block: e.Block, JSON: buf[1 : len(buf)-1]}},
		}
		if err := r.handOne(ctx, one, l); err != nil {
			return err
		}
	}
	return nil
}

// handOne sends one dead letter, again and again, as a batch goes to the main sink: after retryTimeout the stream is blocked. It gives up when the letter is
// refused for good, or has been for retryTimeout, since then it is in the store all the same.
func (r *run) handOne(ctx context.Context, one sink.Batch, l *store.DeadLetter) error {
	d := r.delivery
	defer d.handed()
	var t trouble
	for one.Attempt = 1; ; one.Attempt++ {
		if err := d.refusal(); err != nil { // the main receiver wants nothing any more, and nobody else finds out meanwhile
			return err
		}
		if !d.toOutlet() { // a change is about to end the run; the letter comes again in the next one
			<-ctx.Done()
			return context.Cause(ctx)
		}
		err := r.sendOut(ctx, one)
		if err == nil {
			r.s.stats.mute.Store(false) // it is worth waiting for
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		now := r.m.opts.Now()
		r.s.stats.fail(fmt.Errorf("deadLetter: %w", err), now)
		t.count(err, now, 0)
		c := t.circumstances(&d.policy, now, 0)
		c.events, c.skip, c.through = 1, true, true // it is alone, and nothing is lost by giving up
		switch judge(err, c) {
		case aside, gone:
			r.log.WithField("event", l.Event).Warnf("The dead letter %s stays in the store alone: %s", l.ID, err)
			return nil
		case again, cut, suspect:
		}
		t.delay(&d.policy, err, now, false)
		d.backFromOutlet(t)
		if err := retry.Sleep(ctx, t.due.Sub(now)); err != nil {
			return err
		}
	}
}

// sendOut sends a dead letter once. It does not wait for a sink that does not answer when ctx is done.
func (r *run) sendOut(ctx context.Context, one sink.Batch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan error, 1)
	done := func(err error) {
		select {
		case answer <- err:
		default: // the first answer counts
		}
	}
	func() {
		defer func() {
			if p := recover(); p != nil {
				done(fmt.Errorf("sink panicked: %v", p))
			}
		}()
		r.outlet.Send(ctx, &one, done)
	}()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var part *sink.Partial
	if errors.As(err, &part) && part.Failed[0] != nil {
		return part.Failed[0]
	}
	return err
}

// toOutlet marks a dead letter as given to the outlet, unless nothing new is sent any more. It counts as being there until the outlet has failed, or its
// event is done: a change that waits for what is sent waits for that.
func (d *delivery) toOutlet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.atOutlet = !d.draining
	return d.atOutlet
}

// backFromOutlet notes that the outlet has failed, and shows in the status what is known of it.
func (d *delivery) backFromOutlet(t trouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outlet, d.atOutlet = t, false
	d.land()
}

// handed ends what the status shows of the outlet.
func (d *delivery) handed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outlet = trouble{}
}
