package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aidarkhanov/nanoid"
	"github.com/hyperledger/firefly-common/pkg/log"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// maxErrorText bounds the text of an answer: a chain's words can be long, and there may be many nodes.
const maxErrorText = 8 << 10

// coded is an error whose cause is known here already.
type coded struct {
	code    *msgs.Code
	inserts []string
}

// Error is for the log; the answer is made of the code.
func (e *coded) Error() string {
	args := make([]any, len(e.inserts))
	for i, s := range e.inserts {
		args[i] = s
	}
	return e.code.ID + ": " + fmt.Sprintf(e.code.Format, args...)
}

func newError(code *msgs.Code, inserts ...string) error { return &coded{code, inserts} }

// verdict is what the caller is told about an error.
type verdict struct {
	code    *msgs.Code
	inserts []string
	// final: the same request cannot succeed, and nothing was stored.
	final bool
	retry time.Duration // for Retry-After, where the code's status has it
	// defect: the caller did nothing wrong; the log gets the error.
	defect bool
}

// chainCodes gives every kind of a connector's error its code.
var chainCodes = map[ffcapi.Kind]*msgs.Code{ //nolint:gochecknoglobals // constant
	ffcapi.InvalidInput:      msgs.ChainInvalidInput,
	ffcapi.Unauthorized:      msgs.ChainUnauthorized,
	ffcapi.NotFound:          msgs.ChainNotFound,
	ffcapi.Reverted:          msgs.ChainReverted,
	ffcapi.Endorsement:       msgs.ChainEndorsement,
	ffcapi.InsufficientFunds: msgs.ChainInsufficientFunds,
	ffcapi.Unsupported:       msgs.ChainUnsupported,
	ffcapi.NonceTooLow:       msgs.ChainNonceTooLow,
	ffcapi.Underpriced:       msgs.ChainUnderpriced,
	ffcapi.KnownTransaction:  msgs.ChainKnownTransaction,
	ffcapi.Conflict:          msgs.ChainConflict,
	ffcapi.RateLimited:       msgs.ChainRateLimited,
	ffcapi.Unavailable:       msgs.ChainUnavailable,
	ffcapi.Timeout:           msgs.ChainTimeout,
	ffcapi.Pruned:            msgs.ChainPruned,
	ffcapi.Internal:          msgs.ChainInternal,
}

// storeCodes are the sentinels of the store and of the engines, in the order in which they are looked for.
var storeCodes = []struct { //nolint:gochecknoglobals // constant
	is    error
	code  *msgs.Code
	final bool
}{
	{apitypes.ErrTooManyPending, msgs.TooManyPending, false},
	{apitypes.ErrTooManyWaiting, msgs.TooManyWaiting, false},
	{apitypes.ErrStopping, msgs.Stopping, false},
	{lifecycle.ErrStopped, msgs.Stopping, false},
	{store.ErrFenced, msgs.StoreLost, false},
	{store.ErrFull, msgs.StoreFull, false},
	{store.ErrUnavailable, msgs.StoreUnavailable, false},
	{apitypes.ErrFinished, msgs.TransactionEnded, true},
	{apitypes.ErrMayBeOut, msgs.MayBeSent, true},
	{apitypes.ErrCancelling, msgs.BeingCancelled, true},
	{apitypes.ErrNotFailed, msgs.NotFailed, true},
	{apitypes.ErrNoNonces, msgs.NoNonces, true},
	{apitypes.ErrNonceRefused, msgs.NonceRefused, true},
	{apitypes.ErrDeclared, msgs.Declared, true},
	{store.ErrKeyReused, msgs.KeyReused, true},
	{store.ErrInvalid, msgs.NotStorable, true},
	{store.ErrNoKey, msgs.NoKey, true},
	{store.ErrWiped, msgs.Wiped, true},
	{store.ErrSealed, msgs.Sealed, false},
	{store.ErrConflict, msgs.Conflict, true},
	{store.ErrNotFound, msgs.NotFound, true},
}

// judge decides what the caller is told. ctx is the request's, command tells POST / from the other routes.
func judge(ctx context.Context, err error, command bool) verdict {
	var own *coded
	var invalid *apitypes.Invalid
	var chain *ffcapi.Error
	var wide *store.TooWide
	switch {
	case errors.As(err, &own):
		final := own.code.Status < http.StatusInternalServerError && own.code != msgs.TimedOut
		return verdict{code: own.code, inserts: own.inserts, final: final}
	case errors.As(err, &invalid):
		return verdict{code: msgs.BadField, inserts: []string{err.Error()}, final: true}
	case errors.As(err, &wide):
		return judgeWide(wide)
	case errors.As(err, &chain) && (chain.Kind.Final() || ctx.Err() == nil):
		return judgeChain(chain, err)
	}
	for _, s := range storeCodes {
		if !errors.Is(err, s.is) {
			continue
		}
		code := s.code
		if command && code == msgs.Conflict {
			code = msgs.NotAccepted // a FireFly client takes 409 for "accepted before", and waits for ever
		}
		v := verdict{code: code, final: s.final}
		if strings.Contains(code.Format, "%s") {
			v.inserts = []string{err.Error()}
		}
		return v
	}
	return judgeContext(ctx, err)
}

func judgeWide(wide *store.TooWide) verdict {
	looked := strconv.Itoa(wide.Looked)
	if wide.Last == "" {
		return verdict{code: msgs.CountTooWide, inserts: []string{looked}, final: true}
	}
	next := wide.Last
	if wide.Skipped+wide.Skip > 0 {
		next += " and skip=" + strconv.Itoa(wide.Skip)
	}
	return verdict{code: msgs.SearchTooWide, inserts: []string{looked, wide.Last, next}, final: true}
}

// judgeContext is about errors that come from the end of the request's own context, and about all that nobody knows.
func judgeContext(ctx context.Context, err error) verdict {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return verdict{code: msgs.TimedOut}
	case ctx.Err() != nil:
		return verdict{code: msgs.ClientLeft}
	case errors.Is(err, context.Canceled):
		return verdict{code: msgs.Stopping} // not the caller's doing, so the node's
	default:
		return verdict{code: msgs.Internal, defect: true}
	}
}

func judgeChain(chain *ffcapi.Error, err error) verdict {
	code, known := chainCodes[chain.Kind]
	if !known {
		code = msgs.ChainInternal
	}
	return verdict{
		code: code, inserts: []string{err.Error()}, final: chain.Kind.Final(), retry: chain.RetryAfter,
		defect: code == msgs.ChainInternal,
	}
}

// fail answers with an error.
func (a *api) fail(ctx context.Context, w http.ResponseWriter, r *http.Request, rt *route, err error) {
	v := a.explained(ctx, r, err, rt != nil && rt == a.command)
	if v.busy() {
		w.Header().Set("Retry-After", retryAfter(v.retry))
	}
	a.writeError(w, r, rt, v.code.Status, v.code.Text(ctx, v.inserts...), v.final)
}

// busy tells whether the same request may succeed a little later.
func (v *verdict) busy() bool {
	return v.code.Status == http.StatusServiceUnavailable || v.code.Status == http.StatusTooManyRequests
}

// explained decides what the caller is told about an error, and logs what is the node's own fault.
func (a *api) explained(ctx context.Context, r *http.Request, err error, command bool) verdict {
	v := judge(ctx, err, command)
	switch v.code {
	case msgs.Internal:
		id := requestID(r)
		if id == "" {
			id = nanoid.New()
		}
		v.inserts = []string{id}
		log.L(ctx).WithError(err).WithField("request", id).Errorf("%s %s failed", r.Method, r.URL.Path)
	case msgs.TimedOut:
		limit, _ := a.timeout(r) // it was read before the time began to run
		v.inserts = []string{limit.String()}
	default:
		if v.defect {
			log.L(ctx).WithError(err).Errorf("%s %s failed", r.Method, r.URL.Path)
		}
	}
	for i := range v.inserts {
		v.inserts[i] = clipTo(v.inserts[i], maxErrorText)
	}
	return v
}
