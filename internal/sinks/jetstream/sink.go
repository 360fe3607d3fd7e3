package jetstream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// out is the sink of one stream.
type out struct {
	factory *Factory
	stream  sink.Stream
	cfg     apitypes.JetStreamConfig
	maker   broker.Maker

	turn *turn.Slot // there is one delivery at a time, which keeps their order

	link     *link // nil: the next delivery connects; guarded by turn
	warnings atomic.Pointer[[]string]
}

var _ sink.Advising = (*out)(nil)

// Send implements sink.Sink. It returns when the server has acknowledged every message, or one has failed.
func (o *out) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	o.turn.Send(ctx, b, done, o.deliver)
}

// Close implements sink.Sink.
func (o *out) Close(ctx context.Context) error {
	return o.turn.Close(ctx, o.disconnect)
}

// Warnings implements sink.Advising. They are those of the last connection.
func (o *out) Warnings() []string {
	if w := o.warnings.Load(); w != nil {
		return *w
	}
	return nil
}

// deliver publishes a batch.
func (o *out) deliver(ctx context.Context, b *sink.Batch) error {
	messages, bad := o.maker.Make(ctx, b)
	delivered, err := o.publish(ctx, messages)
	if ctx.Err() != nil && (err != nil || bad != nil) {
		return context.Cause(ctx)
	}
	return o.maker.Outcome(b, messages, broker.Upto(len(messages), delivered, err), bad)
}

// publish says how many of the first messages are stored, and what is wrong with the next.
func (o *out) publish(ctx context.Context, messages []broker.Message) (stored int, err error) {
	if len(messages) == 0 {
		return 0, nil
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err := o.ready(ctx); err != nil {
		return 0, err
	}
	abort := context.AfterFunc(ctx, o.link.abort) // so that no write outlives ctx
	stored, err = o.link.publish(ctx, messages)
	if !abort() || o.link.doubtful {
		o.disconnect()
	}
	return stored, err
}

// ready sees to it that there is a connection, and that it is known how the stream is set up.
func (o *out) ready(ctx context.Context) (err error) {
	if o.link != nil && !o.link.nc.IsConnected() {
		o.disconnect()
	}
	switch {
	case o.link == nil:
		if o.link, err = o.connect(ctx); err != nil {
			return err
		}
	case time.Since(o.link.looked) < lookAgain:
		return nil
	default:
		if err = o.link.look(ctx); err != nil {
			err = o.link.failed(ctx, err)
			o.disconnect()
			return err
		}
	}
	w := o.link.warnings()
	o.warnings.Store(&w)
	return nil
}

// disconnect ends the connection. What is not yet on its way to the server stays here.
func (o *out) disconnect() {
	if o.link != nil {
		o.link.close()
		o.link = nil
	}
}
