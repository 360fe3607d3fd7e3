package webhook_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// What a status means for the batch. No status alone makes an event a dead letter: Permanent is never said.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var code atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(code.Load()))
		if code.Load() != http.StatusNoContent && code.Load() != http.StatusNotModified {
			_, _ = io.WriteString(w, "because\n  of this")
		}
	})
	s := hook(t, factory(t, nil), server.URL, "")
	for kind, codes := range map[string][]int{
		"delivered": {200, 201, 202, 204, 299},
		"gone":      {410},
		"refused":   {400, 403, 406, 409, 412, 413, 415, 416, 418, 422, 451, 499, 500, 501},
		"unknown":   {300, 301, 302, 303, 304, 307, 308, 401, 402, 404, 405, 407, 408, 411, 414, 417, 421, 423, 424, 425, 426, 428, 429, 431, 502, 503, 504, 505, 507, 511, 520, 599, 600, 999},
	} {
		for _, c := range codes {
			code.Store(int64(c))
			err := send(t, s, batch(1, 1, 1))
			require.Equal(t, kind == "delivered", err == nil, "%d: %v", c, err)
			require.Equal(t, kind == "gone", sink.IsGone(err), c)
			require.Equal(t, kind == "refused", sink.IsRefused(err), c)
			require.False(t, sink.IsPermanent(err), c)
			var after *sink.RetryAfter
			require.NotErrorAs(t, err, &after, c)
			if kind != "delivered" && c != http.StatusNotModified {
				require.ErrorContains(t, err, fmt.Sprintf("%s: it answered %s: because of this", server.URL, strings.TrimSpace(fmt.Sprint(c, " ", http.StatusText(c)))))
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var code atomic.Int64
	var header atomic.Value
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", header.Load().(string))
		w.WriteHeader(int(code.Load()))
	})
	s := hook(t, factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Now = func() time.Time { return now } }), server.URL, "")
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-1": 0, "": 0, "soon": 0, "1.5": 0, "99999999999999999999999": 24 * time.Hour, "9223372036854775807": 24 * time.Hour,
		"Wed, 02 Jan 2030 03:05:05 GMT": time.Minute, "Wed, 02 Jan 2030 03:03:05 GMT": 0, "Tue, 02 Jan 2999 03:03:05 GMT": 24 * time.Hour,
	} {
		header.Store(text)
		for _, c := range []int{429, 503} {
			code.Store(int64(c))
			err := send(t, s, batch(1, 1, 1))
			require.Error(t, err)
			require.False(t, sink.IsRefused(err))
			var after *sink.RetryAfter
			require.Equal(t, want > 0, errors.As(err, &after), "%d %q", c, text)
			if want > 0 {
				require.Equal(t, want, after.After, "%d %q", c, text)
			}
		}
	}
	code.Store(422)
	var after *sink.RetryAfter
	require.NotErrorAs(t, send(t, s, batch(1, 1, 1)), &after, "it is for 429 and 503")
}

// What is sent goes nowhere else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		first := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, code) })
		err := send(t, hook(t, factory(t, nil), first.URL, `"headers":{"Authorization":"Bearer hunter2"}`), batch(1, 1, 1))
		require.ErrorContains(t, err, "redirects are not followed")
	}
	require.False(t, reached.Load())
}

// raw is a server that reads a request and does what the test says with the connection.
func raw(t *testing.T, answer func(conn net.Conn)) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		answer(conn)
	}))
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":            {"", "EOF"},
		"half a header":      {"HTTP/1.1 200 OK\r\nContent-Le", "malformed"},
		"no HTTP":            {"hello\r\n\r\n", "malformed"},
		"half a body of 200": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "it answered 200 OK, and the answer broke off: unexpected EOF"},
		"half a chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf", "it answered 200 OK, and the answer broke off: unexpected EOF"},
		"half a body of 422": {"HTTP/1.1 422 x\r\nContent-Length: 100\r\n\r\nhalf", "it answered 422 Unprocessable Entity: half"},
		"a bad redirect":     {"HTTP/1.1 302 x\r\nLocation: http://[x\r\nContent-Length: 0\r\n\r\n", "Location"},
		"a huge header":      {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "header"},
	} {
		url := raw(t, func(conn net.Conn) { _, _ = io.WriteString(conn, c.answer) })
		err := send(t, hook(t, factory(t, nil), url, ""), batch(1, 1, 1))
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, name == "half a body of 422", sink.IsRefused(err), name)
	}
}

// An answer may be as long as it likes: it is not read to its end.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	var code atomic.Int64
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(code.Load()))
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("blah ", 1000)); err != nil {
				return
			}
		}
	})
	s := hook(t, factory(t, nil), endless.URL, "")
	code.Store(200)
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	code.Store(422)
	err := send(t, s, batch(1, 1, 1))
	require.True(t, sink.IsRefused(err))
	require.Less(t, len(err.Error()), 400)
	require.Contains(t, err.Error(), " blah …")
}

// A receiver that never answers, or never to the end, costs the timeout and no more, whatever it sends meanwhile.
func TestReceiverThatNeverAnswers(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{
		"silent":        "",
		"half a header": "HTTP/1.1 200 OK\r\n",
		"half a body":   "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
	} {
		url := raw(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, begin)
			_, _ = bufio.NewReader(conn).ReadByte() // until the other side gives up
		})
		err := send(t, hook(t, factory(t, nil), url, `"requestTimeout":"100ms"`), batch(1, 1, 1))
		require.False(t, sink.IsRefused(err), name)
		require.EqualError(t, err, url+": no answer within 100ms", name)
	}
}

// A receiver that does not even read what it is sent.
func TestReceiverThatDoesNotRead(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	b := batch(1, 1, 1)
	b.Body = []byte(`["` + strings.Repeat("x", 16<<20) + `"]`)
	s := hook(t, factory(t, nil), "http://"+l.Addr().String(), `"requestTimeout":"200ms"`)
	require.ErrorContains(t, send(t, s, b), "no answer within 200ms")
}
