package turn

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Slot is what a delivery holds while it is its turn. It is safe for concurrent use.
type Slot struct {
	life context.Context //nolint:containedctx // ends with the sink, and with it every delivery
	end  context.CancelCauseFunc
	held chan struct{}
}

// New makes a slot that nobody holds. It has the values of ctx, and ends with Close alone.
func New(ctx context.Context) *Slot {
	s := &Slot{held: make(chan struct{}, 1)}
	s.life, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return s
}

// Life ends when Close is called, with the cause sink.ErrClosed.
func (s *Slot) Life() context.Context { return s.life }

// Send does as sink.Sink.Send has to: it returns when deliver has, whose context ends with the sink as well.
func (s *Slot) Send(ctx context.Context, b *sink.Batch, done func(error), deliver func(ctx context.Context, b *sink.Batch) error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })()
	select {
	case s.held <- struct{}{}:
		done(s.hold(ctx, b, deliver))
	case <-ctx.Done():
		done(context.Cause(ctx))
	}
}

// hold delivers a batch and gives the slot back.
func (s *Slot) hold(ctx context.Context, b *sink.Batch, deliver func(ctx context.Context, b *sink.Batch) error) error {
	defer func() { <-s.held }()
	if err := context.Cause(s.life); err != nil { // the end of the sink may have made room before it ended ctx
		return err
	}
	return deliver(ctx, b)
}

// End ends every delivery, as Close does, and waits for none.
func (s *Slot) End() { s.end(sink.ErrClosed) }

// Close does as sink.Sink.Close has to. last is what is left to do when the last delivery has ended, even if that is later than ctx; nil: nothing.
func (s *Slot) Close(ctx context.Context, last func()) error {
	s.End()
	leave := func() {
		defer func() { <-s.held }()
		if last != nil {
			last()
		}
	}
	select {
	case s.held <- struct{}{}: // also if ctx is over
		leave()
		return nil
	default:
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		s.held <- struct{}{}
		leave()
	}()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a delivery does not end: %w", context.Cause(ctx))
	}
}
