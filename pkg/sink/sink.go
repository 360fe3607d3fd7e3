// Package sink is the contract between the event engine and what delivers events: WebSocket, webhook, a broker.
//
//	engine ── Send(batch n, done) ─▶ sink ─▶ receiver
//	engine ◀─ done(nil | error) ───  sink ◀─ acknowledgement
//
// The engine surrounds a sink: retries, back-off, window, checkpoints, metrics, stopping and panics are the engine's. A sink only
// gets a batch to a receiver and says what became of it.
package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
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
	// Send delivers a batch. The engine calls it in batch order from one goroutine; it may block while no receiver has
	// room, until ctx is done. done is called exactly once, from any goroutine, also when ctx is done: nil means
	// that the batch is durable at the receiver.
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

// Batch is a batch of encoded events. It is read-only and shared by all receivers and retries.
type Batch struct {
	Number  int64 // never names two contents
	Attempt int   // from 1
	Events  []Event
	// Body is the JSON array of all events, encoded once.
	Body []byte
}

// Event is one encoded event of a batch.
type Event struct {
	ID         string // the same at each delivery
	DedupID    string // the same at each delivery to this listener; differs for a wanted replay
	ListenerID string
	Block      uint64
	JSON       []byte // a part of Batch.Body
}

// Permanent marks a refusal by the receiver: the same batch will be refused again.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanent
	return errors.As(err, &p)
}

type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

// RetryAfter is an error that says when to try again.
type RetryAfter struct {
	After time.Duration
	Err   error
}

func (r *RetryAfter) Error() string { return fmt.Sprintf("%v (retry after %s)", r.Err, r.After) }

// Unwrap returns the cause.
func (r *RetryAfter) Unwrap() error { return r.Err }

// ErrNobody says that the batch was not delivered because no receiver took it or the receiver went away. It is no failure of the
// batch: the engine sends it again as soon as a receiver is there.
var ErrNobody = errors.New("no receiver")

// Sync makes a Send of a function that returns when the batch is delivered.
func Sync(deliver func(ctx context.Context, b *Batch) error) func(context.Context, *Batch, func(error)) {
	return func(ctx context.Context, b *Batch, done func(error)) { done(deliver(ctx, b)) }
}
