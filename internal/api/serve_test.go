package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/log"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"no transactions":   func(o *Options) { o.Transactions = nil },
		"no streams":        func(o *Options) { o.Streams = nil },
		"no live":           func(o *Options) { o.Live = nil },
		"no ready":          func(o *Options) { o.Ready = nil },
		"no log":            func(o *Options) { o.Log = nil },
		"no body":           func(o *Options) { o.MaxBodySize = 0 },
		"no page":           func(o *Options) { o.MaxPage = 0 },
		"no time":           func(o *Options) { o.RequestTimeout = 0 },
		"times not ordered": func(o *Options) { o.MaxRequestTimeout = o.RequestTimeout - 1 },
	} {
		g := newRig()
		change(&g.options)
		_, err := New(g.options)
		require.Error(t, err, name)
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) { panic("boom") }
	w := g.do(t, "POST /", someTransaction, "X-FireFly-Request-ID: r\x01"+strings.Repeat("x", 200))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), `"submissionRejected":false`)
	require.Contains(t, w.Body.String(), "PY10900")
	require.Contains(t, g.log.String(), "boom")
	require.Contains(t, g.log.String(), "serve_test.go", "the stack is in the log")
	require.Contains(t, g.log.String(), "r?xxx")
	require.NotContains(t, g.log.String(), strings.Repeat("x", 127), "what the caller names the request is bounded")

	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		panic(http.ErrAbortHandler)
	}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { g.do(t, "POST /", someTransaction) })
}

func TestObserveAndDebugLog(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.options.Log.Logger.SetLevel(logrus.DebugLevel)
	var seen []string
	g.options.Observe = func(method, route string, status int, took time.Duration) {
		require.GreaterOrEqual(t, took, time.Duration(0))
		seen = append(seen, strings.Join([]string{method, route, http.StatusText(status)}, " "))
	}
	g.do(t, "GET /transactions/a", "", "X-FireFly-Request-ID: r-9")
	g.do(t, "POST /", someTransaction)
	g.do(t, "GET /eventstreams/s/listeners/l", "")
	g.do(t, "GET /nowhere", "")
	require.Equal(t, []string{
		"GET /transactions/{transactionId} Not Found", "POST / Accepted", "GET /eventstreams/{streamId}/listeners/{listenerId} OK", "GET  Not Found",
	}, seen)
	require.Contains(t, g.log.String(), "request=r-9")
	require.Contains(t, g.log.String(), "path=/transactions/a")
}

func TestRequestIDReachesTheEngines(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(ctx context.Context, _ *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		log.L(ctx).Info("in the engine")
		return &apitypes.Transaction{}, false, nil
	}
	g.do(t, "POST /", someTransaction, "X-FireFly-Request-ID: r-5")
	require.Contains(t, g.log.String(), "in the engine")
	require.Contains(t, g.log.String(), "request=r-5")
}

func TestWebSocketIsHandedOver(t *testing.T) {
	t.Parallel()
	g := newRig()
	socket := func(w http.ResponseWriter, _ *http.Request) {
		_, recorded := w.(*httptest.ResponseRecorder)
		require.True(t, recorded, "the connection's own writer can be taken over")
		w.WriteHeader(http.StatusTeapot)
	}
	g.options.Takeovers = map[string]http.Handler{"/ws": http.HandlerFunc(socket), "/sse": http.HandlerFunc(socket)}
	require.Equal(t, http.StatusTeapot, g.do(t, "GET /ws", "").Code)
	require.Equal(t, http.StatusTeapot, g.do(t, "POST /sse?x=1", "").Code)
	g.options.Takeovers = map[string]http.Handler{"/ws": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })}
	g.do(t, "GET /ws", "")
	require.Contains(t, g.log.String(), "boom")
	g.options.Takeovers = nil
	require.Equal(t, http.StatusNotFound, g.do(t, "GET /ws", "").Code)
}

func TestTakeoversLeaveTheAPIAlone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "ws", "/transactions", "/transactions/x", "/api", "/status/live"} {
		g := newRig()
		g.options.Takeovers = map[string]http.Handler{path: http.NotFoundHandler()}
		_, err := New(g.options)
		require.ErrorContains(t, err, strconv.Quote(path))
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.options.CORSOrigins = []string{"https://App.example.com"}
	w := g.do(t, "OPTIONS /eventstreams", "", "Origin: https://app.example.com", "Access-Control-Request-Method: PATCH")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "https://app.example.com", w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "PATCH")
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Content-Type")

	w = g.do(t, "GET /eventstreams", "", "Origin: https://app.example.com")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "https://app.example.com", w.Header().Get("Access-Control-Allow-Origin"))

	w = g.do(t, "GET /eventstreams", "", "Origin: https://evil.example.com")
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	w = g.do(t, "OPTIONS /eventstreams", "", "Origin: https://evil.example.com", "Access-Control-Request-Method: PATCH")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)

	g.options.CORSOrigins = []string{"*"}
	w = g.do(t, "GET /eventstreams", "", "Origin: https://any.example.com")
	require.Equal(t, "https://any.example.com", w.Header().Get("Access-Control-Allow-Origin"))
}

func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	g := newRig()
	h := g.handler(t)
	send := func(path, contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.ContentLength = -1
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusAccepted, send("/", "application/json", someTransaction).Code)
	require.Equal(t, http.StatusRequestEntityTooLarge, send("/", "application/json", `"`+strings.Repeat("x", 5000)+`"`).Code)
	require.Equal(t, http.StatusUnsupportedMediaType, send("/", "", someTransaction).Code)
	require.Equal(t, http.StatusOK, send("/eventstreams/s/resume", "", "").Code, "no body needs no type")
	require.Equal(t, http.StatusUnsupportedMediaType, send("/eventstreams/s/resume", "", "{}").Code)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{"))
	r.ContentLength = 10
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "PY10012")
}
