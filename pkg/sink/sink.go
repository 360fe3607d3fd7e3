package sink

import (
	"context"
	"encoding/json"
)

// Factory makes the sinks of one type.
type Factory interface {
	// Type is the value of a stream's "type" and the name of the field that holds its configuration.
	Type() string
	// Validate checks a configuration (nil if the stream has none) and returns it with defaults filled in. It does no
	// I/O. Errors are *apitypes.Invalid with the field relative to the configuration.
	Validate(cfg json.RawMessage) (json.RawMessage, error)
	// Open makes the sink of one stream. It is called for suspended streams too, returns soon, and connects later.
	Open(ctx context.Context, s Stream, cfg json.RawMessage) (Sink, error)
}

// Stream names the stream a sink works for.
type Stream struct {
	ID   string
	Name string
}

// Sink delivers the batches of one stream.
type Sink interface {
	// Send delivers a batch. It may block while no receiver has room, until ctx is done. done is called exactly once, from any
	// goroutine, during Send or after it, also when ctx is done: nil means that the batch is durable at the receiver. The
	// context stays the batch's own after Send has returned: when it ends before done was called, the batch is void
	// and done is called with an error soon. done does not block.
	Send(ctx context.Context, b *Batch, done func(error))
	// Close ends everything; every outstanding done is called. It returns within ctx.
	Close(ctx context.Context) error
}

// Waiter is implemented by sinks that have nothing to do while no receiver is there. The engine reads nothing until it returns nil.
type Waiter interface {
	// Wait blocks until a receiver is there or ctx is done.
	Wait(ctx context.Context) error
}

// Windowed is implemented by sinks that take several batches before the first is done, and keep their order.
type Windowed interface {
	// Window is the number of batches that may be in flight now, at least 1.
	Window() int
}

// Unordered is implemented by sinks that do not keep the order of batches, when it returns true: the failure of one batch leaves those sent
// after it alone.
type Unordered interface {
	Unordered() bool
}

// Confidential is implemented by factories whose configuration holds secrets. Both methods get what Validate returned or, for cfg of Keep, what
// a client sent, in which apitypes.Masked stands for a secret. Validate refuses masks.
type Confidential interface {
	// Mask returns the configuration as it may be shown: every secret replaced by a mask.
	Mask(cfg json.RawMessage) json.RawMessage
	// Keep makes a whole configuration of one that is to change the stored one: fields that cfg lacks keep their value, and masks become the secrets
	// that they stand for. A secret that is stored for another target than that of cfg, and a mask that stands for nothing stored, is an
	// *apitypes.Invalid: nobody may learn a secret by having it sent elsewhere.
	Keep(cfg, stored json.RawMessage) (json.RawMessage, error)
}

// Prober is implemented by factories that can try a receiver before a stream is made or changed.
type Prober interface {
	// Probe connects with a configuration that Validate returned, and delivers nothing. It may create at the receiver what the configuration
	// asks for. Errors are *apitypes.Invalid with the field relative to the configuration where one is at fault, and hold no secret.
	Probe(ctx context.Context, s Stream, cfg json.RawMessage) error
}

// Advising is implemented by sinks that look at how their receiver is set up.
type Advising interface {
	// Warnings says what the receiver lacks that guarantees may hang on, a sentence each. It does no I/O.
	Warnings() []string
}

// Sync makes a Send of a function that returns when the batch is delivered.
func Sync(deliver func(ctx context.Context, b *Batch) error) func(context.Context, *Batch, func(error)) {
	return func(ctx context.Context, b *Batch, done func(error)) { done(deliver(ctx, b)) }
}
