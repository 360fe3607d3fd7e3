package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const someTransaction = `{"headers":{"type":"SendTransaction","id":"a"},"from":"alice"}`

func TestErrorsOfTheEngines(t *testing.T) {
	t.Parallel()
	chain := func(kind ffcapi.Kind) error { return fmt.Errorf("tx a: %w", ffcapi.Errorf(kind, "words")) }
	for _, c := range []struct {
		err      error
		status   int
		text     string
		rejected bool
		retry    string
		logged   bool
	}{
		{chain(ffcapi.InvalidInput), 400, "PY10200: tx a: words", true, "", false},
		{chain(ffcapi.Unauthorized), 403, "PY10201: tx a: words", true, "", false},
		{chain(ffcapi.NotFound), 404, "PY10202: tx a: words", true, "", false},
		{chain(ffcapi.Reverted), 422, "PY10203: tx a: words", true, "", false},
		{chain(ffcapi.Endorsement), 422, "PY10204: tx a: words", true, "", false},
		{chain(ffcapi.InsufficientFunds), 422, "PY10205: tx a: words", true, "", false},
		{chain(ffcapi.Unsupported), 501, "PY10206: tx a: words", true, "", false},
		{chain(ffcapi.NonceTooLow), 503, "PY10207: tx a: words", false, "1", false},
		{chain(ffcapi.Underpriced), 503, "PY10208: tx a: words", false, "1", false},
		{chain(ffcapi.KnownTransaction), 503, "PY10209: tx a: words", false, "1", false},
		{chain(ffcapi.Conflict), 503, "PY10210: tx a: words", false, "1", false},
		{&ffcapi.Error{Kind: ffcapi.RateLimited, Message: "slow down", RetryAfter: 1500 * time.Millisecond}, 503, "PY10211: slow down", false, "2", false},
		{chain(ffcapi.Unavailable), 503, "PY10212: tx a: words", false, "1", false},
		{chain(ffcapi.Timeout), 503, "PY10213: tx a: words", false, "1", false},
		{chain(ffcapi.Pruned), 410, "PY10214: tx a: words", false, "", false},
		{chain(ffcapi.Internal), 500, "PY10215: tx a: words", false, "", true},
		{chain("new"), 500, "PY10215: tx a: words", false, "", true},
		{fmt.Errorf("x: %w", apitypes.Invalidf("from", "give another", "is %q", "!")), 400, `PY10003: x: from is "!": give another`, true, "", false},
		{fmt.Errorf("stream %q: %w", "s", store.ErrNotFound), 404, `PY10100: stream "s": not found`, true, "", false},
		{store.ErrConflict, 422, "PY10104: changed meanwhile or already there", true, "", false},
		{store.ErrKeyReused, 422, "PY10103: headers.id was used before with another body: idempotency key was used with another body", true, "", false},
		{store.ErrInvalid, 400, "PY10110: value cannot be stored", true, "", false},
		{store.ErrNoKey, 501, "PY10112: what is secret of it cannot be encrypted", true, "", false},
		{store.ErrWiped, 409, "PY10113: it was secret, and was wiped when the transaction ended: post it anew, with another headers.id", true, "", false},
		{fmt.Errorf("x: %w: no key", store.ErrSealed), 501, "PY10114: x: what is secret of it cannot be decrypted: no key", false, "", false},
		{apitypes.ErrTooManyPending, 429, "PY10105: too many transactions are pending", false, "1", false},
		{apitypes.ErrStopping, 503, "PY10106: the server is stopping", false, "1", false},
		{lifecycle.ErrStopped, 503, "PY10106: the server is stopping", false, "1", false},
		{context.Canceled, 503, "PY10106: the server is stopping", false, "1", false},
		{fmt.Errorf("x: %w", store.ErrFull), 503, "PY10107: no space is left in the store", false, "1", false},
		{store.ErrUnavailable, 503, "PY10108: the store cannot be reached", false, "1", false},
		{store.ErrFenced, 503, "PY10109: another process has taken over", false, "1", false},
		{errors.New("pg: password=secret"), 500, "PY10900: something went wrong in the server; its log tells what, under request r-1", false, "", true},
	} {
		g := newRig()
		g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
			return nil, false, c.err
		}
		w := g.do(t, "POST /", someTransaction, "X-FireFly-Request-ID: r-1")
		var answer apitypes.SubmissionErrorBody
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, c.text, answer.Error)
		require.Equal(t, c.status, w.Code, c.text)
		require.Equal(t, c.rejected, answer.SubmissionRejected, c.text)
		require.Equal(t, c.retry, w.Header().Get("Retry-After"), c.text)
		require.Equal(t, c.logged, g.log.Len() > 0, "%s: %s", c.text, g.log.String())
		if c.logged {
			require.Contains(t, g.log.String(), c.err.Error())
			require.Contains(t, g.log.String(), "r-1")
		}
	}
}

func TestConflictElsewhereIs409(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.streams.err = fmt.Errorf("stream %q: %w", "s", store.ErrConflict)
	w := g.do(t, "POST /eventstreams", `{"name":"s"}`)
	require.Equal(t, http.StatusConflict, w.Code)
	require.JSONEq(t, `{"error":"PY10102: stream \"s\": changed meanwhile or already there"}`, w.Body.String())
}

func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(ctx context.Context, _ *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		<-ctx.Done()
		return nil, false, fmt.Errorf("tx a: %w", ffcapi.AsError(ctx.Err()))
	}
	w := g.do(t, "POST /", someTransaction, "Request-Timeout: 5ms")
	require.Equal(t, http.StatusRequestTimeout, w.Code)
	require.JSONEq(t, `{"error":"PY10015: the request was not done within 5ms","submissionRejected":false}`, w.Body.String())
	require.Empty(t, g.log.String())
}

func TestRequestTimeoutHeader(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]time.Duration{"": 30 * time.Second, "2": 2 * time.Second, "1.5s": 1500 * time.Millisecond, "2h": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig()
			var left time.Duration
			g.tx.submit = func(ctx context.Context, _ *apitypes.Submission) (*apitypes.Transaction, bool, error) {
				until, _ := ctx.Deadline()
				left = time.Until(until)
				return &apitypes.Transaction{}, false, nil
			}
			require.Equal(t, http.StatusAccepted, g.do(t, "POST /", someTransaction, "Request-Timeout: "+given).Code)
			require.Equal(t, want, left, given)
		})
	}
	for _, bad := range []string{"soon", "-1s", "0", "1e3"} {
		w := newRig().do(t, "POST /", someTransaction, "Request-Timeout: "+bad)
		require.Equal(t, http.StatusBadRequest, w.Code, bad)
		require.Contains(t, w.Body.String(), `PY10007: header Request-Timeout is \"`+bad+`\": give a duration such as 30s, or seconds`)
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return nil, false, ffcapi.Errorf(ffcapi.Reverted, "%s", strings.Repeat("ü", 100_000))
	}
	w := g.do(t, "POST /", someTransaction)
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Less(t, w.Body.Len(), 9000)
	require.True(t, json.Valid(w.Body.Bytes()))
}

func TestAnswerThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return &apitypes.Transaction{PolicyInfo: json.RawMessage("{")}, false, nil
	}
	require.Equal(t, http.StatusInternalServerError, g.do(t, "POST /", someTransaction).Code)
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return nil, false, nil
	}
	require.Equal(t, http.StatusInternalServerError, g.do(t, "POST /", someTransaction).Code)
	require.Contains(t, g.log.String(), "neither an answer nor an error")
}
