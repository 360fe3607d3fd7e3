package apitypes

import (
	"errors"
	"fmt"
)

// Invalid reports input that cannot be accepted: which field, what is wrong with it, and what would be right.
type Invalid struct {
	Field   string // path in the body ("headers.id", "filters[0].event") or name of a query parameter; "" for the whole body
	Problem string // e.g. `is "bogus"`
	Fix     string // e.g. `must be "block" or "skip"`
}

// Error returns "field problem: fix".
func (e *Invalid) Error() string {
	s := e.Problem
	if e.Field != "" {
		s = e.Field + " " + s
	}
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Invalidf makes an Invalid.
func Invalidf(field, fix, problem string, args ...any) *Invalid {
	return &Invalid{Field: field, Problem: fmt.Sprintf(problem, args...), Fix: fix}
}

// The refusals that are nobody's fault.
var (
	ErrTooManyPending = errors.New("too many transactions are pending")
	ErrTooManyWaiting = errors.New("too many requests wait for transactions")
	ErrStopping       = errors.New("the server is stopping")
)

// ErrorBody is the body of every error answer.
type ErrorBody struct {
	Error string `json:"error"` // "PY10nnn: text"
}

// SubmissionErrorBody is the body of an error answer to POST /.
type SubmissionErrorBody struct {
	Error              string `json:"error"`
	SubmissionRejected bool   `json:"submissionRejected"` // final: the same request cannot succeed, nothing was stored
}
