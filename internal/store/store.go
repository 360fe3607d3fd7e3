package store

import (
	"context"
	"errors"
	"io"
)

// Sentinel errors; decide with errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrConflict  = errors.New("changed meanwhile or already there")
	ErrFenced    = errors.New("owner is no longer current")
	ErrKeyReused = errors.New("idempotency key was used with another body")
	ErrFull      = errors.New("no space left in the store")
	ErrInvalid   = errors.New("value cannot be stored") // a name, key, signer or hash that is too long or not plain text
	ErrNoKey     = errors.New("what is secret of it cannot be encrypted")
	ErrSealed    = errors.New("what is secret of it cannot be decrypted")
	ErrWiped     = errors.New("it was secret, and was wiped when the transaction ended: post it anew, with another headers.id")
	// ErrUnavailable from a write leaves open whether it was carried out: the connection broke and did not come back in time.
	// Repeat an Accept (its key makes that safe), read again before an Update.
	ErrUnavailable = errors.New("store cannot be reached")
	ErrInUse       = errors.New("store is in use by another process")
	ErrTooNew      = errors.New("store was written by a newer version")
)

// Fence names the owner on whose behalf a write is made. On a store with a single owner the generation is constant for as
// long as the store is open.
type Fence struct {
	Lease      string
	Generation int64
}

// Store is everything.
type Store interface {
	Transactions
	Ledgers
	Streams
	StatusLog
	Retention

	// Fence is what this process writes with, as the single owner of the whole store. The generation is raised by every open, so
	// that what an earlier process claimed is told from what this one did.
	Fence() Fence

	// Ping reports whether the database answers and takes writes; ErrFull when the last write found no space.
	Ping(ctx context.Context) error

	// Lost is closed when another process may have taken the store over (a lost lock). Everything that sends or
	// delivers must stop at once.
	Lost() <-chan struct{}

	io.Closer
}
