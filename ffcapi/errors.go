package ffcapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what an error means for what happens next.
type Kind string

// The final kinds: repeating the same call cannot succeed.
const (
	InvalidInput      Kind = "invalid_input"      // the request is wrong; the message names the field
	Unauthorized      Kind = "unauthorized"       // the signer may not do this
	NotFound          Kind = "not_found"          // the thing asked for is not on the canonical chain
	Reverted          Kind = "reverted"           // the contract refused
	Endorsement       Kind = "endorsement"        // the endorsing nodes refused
	InsufficientFunds Kind = "insufficient_funds" // the signer cannot pay
	Unsupported       Kind = "unsupported"        // the chain has no such thing
)

// The kinds that are not final.
const (
	NonceTooLow      Kind = "nonce_too_low"     // the nonce is used already: reconcile, do not resend blindly
	Underpriced      Kind = "underpriced"       // the fee is too low
	KnownTransaction Kind = "known_transaction" // the node has it already; Error.Hash is set
	Conflict         Kind = "conflict"          // lost a race on the chain; a fresh preparation may succeed
	RateLimited      Kind = "rate_limited"      // slow down; Error.RetryAfter may be set
	Unavailable      Kind = "unavailable"       // no usable answer: nodes away, behind, or of different opinions
	Timeout          Kind = "timeout"           // the deadline passed
	Pruned           Kind = "pruned"            // the node no longer has the block; Error.FirstBlock is the first it has
	Internal         Kind = "internal"          // a defect of the connector or an answer that makes no sense
)

// Final reports whether repeating the same call cannot succeed.
func (k Kind) Final() bool {
	switch k {
	case InvalidInput, Unauthorized, NotFound, Reverted, Endorsement, InsufficientFunds, Unsupported:
		return true
	default:
		return false
	}
}

// Sent says whether bytes of a transaction may have left the process.
type Sent string

const (
	SentNo    Sent = "no"    // certainly nothing left
	SentMaybe Sent = "maybe" // the zero value of a Submit error means this, too
	SentYes   Sent = "yes"   // a node has it
)

// Error is the one error type of a connector.
type Error struct {
	Kind       Kind
	Sent       Sent   // Submit only
	Stage      string // where it happened, in the chain's terms: "prepare", "endorse", "submit", "commit", ...
	Message    string // for people; no trailing newline
	Peers      []PeerError
	Hash       string        // of the transaction, where known
	RetryAfter time.Duration // 0: the caller decides
	FirstBlock uint64        // Pruned: the first block that can be had
	Err        error         // cause, may be nil
}

// PeerError is the answer of one node.
type PeerError struct {
	Address string `json:"address"`
	MSP     string `json:"mspId,omitempty"`
	Message string `json:"message"`
}

// Error returns the message with stage and every peer's words.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Stage != "" {
		b.WriteString(e.Stage)
		b.WriteString(": ")
	}
	switch {
	case e.Message != "":
		b.WriteString(e.Message)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		b.WriteString(string(e.Kind))
	}
	for _, p := range e.Peers {
		fmt.Fprintf(&b, "; %s", p.Address)
		if p.MSP != "" {
			fmt.Fprintf(&b, " (%s)", p.MSP)
		}
		fmt.Fprintf(&b, ": %s", p.Message)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind. A %w verb sets the cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// AsError returns the *Error in err's chain. Anything else becomes Timeout when a context ended and Internal otherwise, so that
// the result is nil only for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	kind := Internal
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		kind = Timeout
	}
	return &Error{Kind: kind, Message: err.Error(), Err: err}
}

// KindOf returns the kind of err as AsError sees it, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return AsError(err).Kind
}
