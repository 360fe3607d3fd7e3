package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Stream is an event stream.
type Stream struct {
	Seq     int64
	ID      string // UUID
	Name    string // unique
	Created time.Time
	Updated time.Time

	Suspended         bool
	SuspendedReason   string // why, if it was not asked for
	Type              string // of its sink
	ErrorHandling     string // block | skip
	BatchSize         int
	BatchTimeout      time.Duration
	RetryTimeout      time.Duration
	BlockedRetryDelay time.Duration
	Confirmations     *int            // blocks that must follow an event's own; nil: as configured
	Sink              json.RawMessage // configuration of the sink, as the sink's Validate returned it
	DeadLetter        *SinkConfig     // where dead letters go besides the store; nil: nowhere

	// Declared: the configuration says what it is. Undeclared: it did, and does no longer.
	Declared, Undeclared bool

	Epoch int64 // of the newest run; raised by NewEpoch
}

// SinkConfig is a sink beside that of a stream.
type SinkConfig struct {
	Type   string          `json:"type"`
	Config json.RawMessage `json:"config"` // as the sink's Validate returned it
}

// Listener is a listener of a stream.
type Listener struct {
	Seq       int64
	ID        string // UUID
	StreamID  string
	Name      string // unique in the stream
	Type      string // events, blocks or transactions
	Created   time.Time
	Updated   time.Time
	FromBlock string            // as given
	ToBlock   *uint64           // last block to deliver; nil: there is none
	Filters   []json.RawMessage // as given
	Options   json.RawMessage   // as given
	Where     string            // jq predicate; "": all events
	Transform string            // jq program; "": events as they are
	Resolved  ffcapi.Listener   // as the connector resolved it

	// DeclaredFrom is the FromBlock that the configuration has for it, "" if it was not declared there. FromBlock differs after a reset.
	DeclaredFrom string
	Undeclared   bool // it was declared, and is no longer: it is not delivered, and keeps its position
}

// Checkpoint says that everything of a listener before Cursor is delivered.
type Checkpoint struct {
	Listener string
	Cursor   ffcapi.Cursor
	// Block is the highest block read when the checkpoint was made, with its hash, so that a chain that changed below it is noticed.
	// Zero: none was read yet.
	Block ffcapi.BlockRef
	// Older are some blocks below Block on the same chain, newest first, so that the place can be found where a chain forked. nil in a write
	// keeps those that are stored.
	Older   []ffcapi.BlockRef
	Updated time.Time
}

// Position is where a listener stands: at its checkpoint or, without one, at its start.
type Position struct {
	Stream string // id
	Type   string // of the listener
	Ledger string
	Cursor ffcapi.Cursor

	ToBlock *uint64 // of the listener
}

// Streams is the aggregate of streams, listeners, checkpoints and dead letters. Lists are in order of Seq.
type Streams interface {
	DeadLetters

	// InsertStream: ErrConflict if the name or id is taken. Seq and Epoch are filled in.
	InsertStream(ctx context.Context, s *Stream) error
	// UpdateStream overwrites everything but ID, Seq, Created and Epoch. ErrNotFound, ErrConflict (name).
	UpdateStream(ctx context.Context, s *Stream) error
	// DeleteStream deletes it with its listeners, checkpoints and dead letters; ErrNotFound.
	DeleteStream(ctx context.Context, id string) error
	// Stream finds by id or, if no id matches, by name.
	Stream(ctx context.Context, idOrName string) (*Stream, error)
	Streams(ctx context.Context, after int64, limit int) ([]*Stream, error)

	// InsertListener: ErrConflict if the name or id is taken in the stream; ErrNotFound for the stream.
	InsertListener(ctx context.Context, l *Listener) error
	// UpdateListener overwrites Name, Updated, FromBlock, ToBlock, Filters, Options, Where, Transform, Resolved.
	UpdateListener(ctx context.Context, l *Listener) error
	// DeleteListener deletes it with its checkpoint. Its dead letters stay: they are the only trace of their events.
	DeleteListener(ctx context.Context, id string) error
	Listener(ctx context.Context, id string) (*Listener, error)
	// Listeners of one stream, or of all if stream is "".
	Listeners(ctx context.Context, stream string, after int64, limit int) ([]*Listener, error)

	// NewEpoch starts a new run of a stream: from now on only checkpoints of the returned epoch are taken.
	NewEpoch(ctx context.Context, f Fence, stream string) (epoch int64, err error)
	// Checkpoints of all listeners of a stream that have one.
	Checkpoints(ctx context.Context, stream string) ([]Checkpoint, error)
	// Positions says where the listeners of some streams stand, in no order.
	Positions(ctx context.Context, streams []string) ([]Position, error)
	// WriteCheckpoints stores cps if epoch is the stream's newest; else ErrFenced and nothing is stored. A listener that no longer
	// exists is passed over.
	WriteCheckpoints(ctx context.Context, f Fence, stream string, epoch int64, cps []Checkpoint) error
	// ResetCheckpoints removes the checkpoints of some listeners, stores what they are now, with their new starts, and starts a new epoch of
	// their streams: all of them or, with an error, none.
	ResetCheckpoints(ctx context.Context, f Fence, ls []*Listener) error
}
