package policy

import (
	"context"
	"encoding/json"
)

// FeeSource knows what to offer for a transaction. The transaction manager asks it, never an engine.
type FeeSource interface {
	// Fee returns the fee to offer on a ledger now, in the chain's own form; nil for none. It is called before each first
	// send, by many goroutines, with a deadline; a source that has to ask somebody caches.
	Fee(ctx context.Context, ledger string) (json.RawMessage, error)
}

// Fixed is a FeeSource that always offers the same; nil offers nothing.
type Fixed json.RawMessage

// Fee implements FeeSource.
func (f Fixed) Fee(context.Context, string) (json.RawMessage, error) { return json.RawMessage(f), nil }
