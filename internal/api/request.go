package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// defaultPage is the length of a list of transactions that asks for none.
const defaultPage = 25

// request is one request of a route.
type request struct {
	ctx    context.Context //nolint:containedctx // it is the request, and lives as long
	api    *api
	route  *route
	w      http.ResponseWriter
	r      *http.Request
	values url.Values
	wait   time.Duration // of a route that waits
	status int           // overrides the route's
}

func (rq *request) path(name string) string { return rq.r.PathValue(name) }

func (rq *request) statusOr(usual int) int {
	if rq.status != 0 {
		return rq.status
	}
	return usual
}

// parseQuery decodes the query and refuses parameters that the route does not know.
func (rq *request) parseQuery() error {
	if rq.r.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(rq.r.URL.RawQuery)
	if err != nil {
		return newError(msgs.BadParameter, err.Error())
	}
	if rq.route.filters {
		values = canonicalNames(values, rq.route.query)
	}
	for name := range values {
		if rq.route.filters && strings.HasPrefix(name, labelPrefix) {
			continue
		}
		if !slices.ContainsFunc(rq.route.query, func(p parameter) bool { return p.name == name }) {
			return newError(msgs.UnknownParameter, clip(name), knownParameters(rq.route))
		}
	}
	rq.values = values
	return nil
}

func knownParameters(rt *route) string {
	if len(rt.query) == 0 {
		return "this route knows none"
	}
	names := make([]string, len(rt.query))
	for i, p := range rt.query {
		names[i] = p.name
	}
	return "this route knows " + strings.Join(names, ", ")
}

// flag reads a parameter that is true, false, or named without a value.
func (rq *request) flag(name string) (bool, error) {
	if !rq.values.Has(name) {
		return false, nil
	}
	switch v := rq.values.Get(name); strings.ToLower(v) {
	case "true", "":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, badParameter(name, v, "give true or false")
	}
}

// limit reads the length of a page.
func (rq *request) limit(usual int) (int, error) {
	if !rq.values.Has("limit") {
		return min(usual, rq.api.MaxPage), nil
	}
	v := rq.values.Get("limit")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > rq.api.MaxPage {
		return 0, badParameter("limit", v, fmt.Sprintf("give a number from 1 to %d", rq.api.MaxPage))
	}
	return n, nil
}

// answering is what is kept of a request's time for the answer, after the waiting.
const answering = time.Second

// lengthen reads the parameter wait. The request then takes that much longer, within the maximum; a caller who named a limit gets his
// answer within that.
func (rq *request) lengthen(limit time.Duration) (time.Duration, error) {
	if !rq.values.Has("wait") {
		return limit, nil
	}
	v := rq.values.Get("wait")
	d, err := parseTimeout(v)
	if err != nil || d < 0 {
		return 0, badParameter("wait", v, "give a duration such as 30s, or seconds")
	}
	d = min(d, rq.api.MaxRequestTimeout)
	if rq.r.Header.Get(timeoutHeader) == "" {
		limit = min(limit+d, rq.api.MaxRequestTimeout)
	}
	rq.wait = min(d, limit-min(answering, limit/4))
	return limit, nil
}

func badParameter(name, value, fix string) error {
	return newError(msgs.BadParameter, fmt.Sprintf("%s is %q: %s", name, clip(value), fix))
}

// body reads the body: JSON of at most MaxBodySize bytes. Without one, the result is nil.
func (rq *request) body() ([]byte, error) {
	r, limit := rq.r, rq.api.MaxBodySize
	if r.ContentLength == 0 {
		return nil, nil
	}
	// Nothing but the deadline ends the reading of a body that trickles in. It stays after a failure, when net/http reads on to find
	// the next request; otherwise it goes, or it would look like a caller who left.
	until, _ := rq.ctx.Deadline()
	conn := http.NewResponseController(rq.w)
	bounded := conn.SetReadDeadline(until) == nil // a writer that is no connection has no deadlines
	badType := checkContentType(r.Header)
	if badType != nil && r.ContentLength > 0 {
		return nil, badType
	}
	tooLarge := newError(msgs.BodyTooLarge, strconv.FormatInt(limit, 10))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	raw, err := readAll(http.MaxBytesReader(rq.w, r.Body, limit), r.ContentLength)
	if err == nil && bounded {
		err = conn.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case err == nil && len(raw) == 0:
		return nil, nil // of unknown length, and then there is none
	case err == nil:
		return raw, badType
	case errors.As(err, &large):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, newError(msgs.TimedOut) // the context does not tell: net/http has cancelled it for the failed read
	default:
		return nil, newError(msgs.BodyUnreadable, err.Error())
	}
}

// firstRead is how much of a body, in bytes, memory is set aside for before any of it has arrived.
const firstRead = 64 << 10

// readAll reads a body into a slice of its own, which the receiver may keep. Beyond firstRead its memory follows what arrives.
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length < 0 {
		return io.ReadAll(r)
	}
	var raw []byte
	for int64(len(raw)) < length {
		have := len(raw)
		next := int(min(max(int64(have), firstRead), length-int64(have)))
		raw = slices.Grow(raw, next)[:have+next]
		if n, err := io.ReadFull(r, raw[have:]); err != nil {
			return raw[:have+n], err
		}
	}
	return raw, nil
}

// checkContentType refuses everything but JSON. Forms and plain text are refused, too: a web page of any origin may send those
// to a server on the reader's own machine without asking.
func checkContentType(h http.Header) error {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return newError(msgs.NotJSONType, fmt.Sprintf("Content-Encoding is %q", clip(e)))
	}
	given := h.Get("Content-Type")
	if given == "application/json" {
		return nil
	}
	if given == "" {
		return newError(msgs.NotJSONType, "there is no Content-Type")
	}
	t, _, err := mime.ParseMediaType(given)
	if err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")) {
		return nil
	}
	return newError(msgs.NotJSONType, fmt.Sprintf("Content-Type is %q", clip(given)))
}

// object reads a body that is a JSON object and binds its members to the fields of dst. A route whose body is optional takes
// none for {}.
func (rq *request) object(dst any, s shape) error {
	raw, err := rq.body()
	if err != nil {
		return err
	}
	if len(raw) == 0 && rq.route.optional {
		return nil
	}
	if err := checkObject(raw); err != nil {
		return err
	}
	return bind(raw, dst, s)
}

// nothing reads a body that has nothing to say: it may be absent, or {}.
func (rq *request) nothing() error {
	return rq.object(&struct{}{}, shape{of: "this request"})
}

// required makes the error of a missing field.
func required(field, fix string) error {
	return apitypes.Invalidf(field, fix, "is missing")
}
