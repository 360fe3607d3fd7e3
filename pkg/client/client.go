package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// DefaultURL is where a node serves its API unless told otherwise.
const DefaultURL = "http://127.0.0.1:5008"

// callTimeout bounds a call whose context has no deadline.
const callTimeout = 2 * time.Minute

// Client calls the REST API of a node. It is safe for concurrent use.
type Client struct {
	http *resty.Client
	bad  error // of its URL
}

// Option changes how a Client calls.
type Option func(*resty.Client)

// WithTransport makes the client use a transport of the caller's, e.g. for TLS settings or tests.
func WithTransport(t http.RoundTripper) Option {
	return func(c *resty.Client) { c.SetTransport(t) }
}

// WithHeader adds a header to every request.
func WithHeader(name, value string) Option {
	return func(c *resty.Client) { c.SetHeader(name, value) }
}

// New makes a client of the API at a URL such as DefaultURL, which may hold a user name and a password. What is wrong with it is said by each call.
func New(url string, options ...Option) *Client {
	c := resty.New().SetBaseURL(strings.TrimSuffix(url, "/")).SetRedirectPolicy(resty.NoRedirectPolicy())
	for _, o := range options {
		o(c)
	}
	_, err := parse(url, "http", "https")
	return &Client{http: c, bad: err}
}

// Close gives up the connections that are kept for the next call. The client can still be used.
func (c *Client) Close() { c.http.GetClient().CloseIdleConnections() }

// Error is an answer that is no success.
type Error struct {
	Status             int    // HTTP status
	Code               string // "PY10nnn", or "" when the answer did not come from a node
	Message            string // with the code
	SubmissionRejected bool   // of Submit: final, and nothing was stored
	RetryAfter         time.Duration
}

// Error returns the server's words.
func (e *Error) Error() string { return e.Message }

// IsNotFound reports whether err says that there is no such thing.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// IsConflict reports whether err says that a name is taken, or that something was changed meanwhile.
func IsConflict(err error) bool { return hasStatus(err, http.StatusConflict) }

func hasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// call sends a request and decodes its answer into the value that answer points to; nil if there is none.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, answer any) (*resty.Response, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	r := c.http.R().SetContext(ctx).SetQueryParamsFromValues(query)
	if body != nil {
		r.SetHeader("Content-Type", "application/json").SetBody(body)
	}
	resp, err := r.Execute(method, path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if !resp.IsSuccess() {
		return nil, failure(resp)
	}
	if answer == nil {
		return resp, nil
	}
	if err := json.Unmarshal(resp.Body(), answer); err != nil {
		return nil, fmt.Errorf("%s %s: answer: %w", method, path, err)
	}
	return resp, nil
}

func failure(resp *resty.Response) error {
	e := &Error{Status: resp.StatusCode()}
	var body apitypes.SubmissionErrorBody
	if err := json.Unmarshal(resp.Body(), &body); err != nil || body.Error == "" {
		e.Message = fmt.Sprintf("%s %s: %s", resp.Request.Method, resp.Request.RawRequest.URL.Redacted(), resp.Status()) // a proxy's answer, not a node's
		return e
	}
	e.Message, e.SubmissionRejected = body.Error, body.SubmissionRejected
	if code, _, ok := strings.Cut(body.Error, ": "); ok && strings.HasPrefix(code, "PY") {
		e.Code = code
	}
	if seconds, err := strconv.ParseUint(resp.Header().Get("Retry-After"), 10, 31); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// path joins segments, each of them escaped: ids and names may hold slashes.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// page makes the query of a list.
func page(limit int, after string) url.Values {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if after != "" {
		q.Set("after", after)
	}
	return q
}
