package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aidarkhanov/nanoid"
	"github.com/hyperledger/firefly-common/pkg/log"
	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/msgs"
)

const (
	requestIDHeader = "X-Firefly-Request-Id"
	timeoutHeader   = "Request-Timeout"
	replayHeader    = "Idempotent-Replay"

	maxRequestID = 128 // longer ones are cut: they go into every line of the log
)

// recorder remembers what was answered, for the log and the metrics.
type recorder struct {
	http.ResponseWriter
	status int
	route  *route
}

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write remembers that the status was 200 if none was given.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// note tells the recorder the route, which is known only after the path was matched.
func note(w http.ResponseWriter, rt *route) {
	if rec, ok := w.(*recorder); ok {
		rec.route = rt
	}
}

// ServeHTTP serves every request of the node.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = a.logged(r)
	if h, ok := a.Takeovers[r.URL.Path]; ok {
		defer a.recovered(w, r, nil)
		h.ServeHTTP(w, r) // it wants the real writer
		return
	}
	began := time.Now()
	rec := &recorder{ResponseWriter: w}
	defer a.done(rec, r, began)
	defer a.recovered(rec, r, rec)
	if len(a.origins) > 0 && a.cors(rec, r) {
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodPost {
		a.run(a.command, rec, r)
		return
	}
	a.mux.ServeHTTP(rec, r)
}

// logged puts the logger into the request's context, with the id that the caller gave.
func (a *api) logged(r *http.Request) *http.Request {
	id := requestID(r)
	if id == "" {
		return r.WithContext(log.WithLogger(r.Context(), a.Log))
	}
	return r.WithContext(log.WithLogger(r.Context(), a.Log.WithField("request", id)))
}

// requestID is the id that the caller gave, in a form that is fit for a log, or "".
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if len(id) > maxRequestID {
		id = id[:maxRequestID]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, id)
}

func (a *api) done(rec *recorder, r *http.Request, began time.Time) {
	debugging := a.Log.Logger.IsLevelEnabled(logrus.DebugLevel)
	if a.Observe == nil && !debugging {
		return
	}
	took, path := time.Since(began), ""
	if rec.route != nil {
		path = rec.route.path
	}
	if a.Observe != nil {
		a.Observe(r.Method, path, rec.status, took)
	}
	if debugging {
		log.L(r.Context()).WithFields(logrus.Fields{
			"method": r.Method, "path": r.URL.Path, "status": rec.status, "took": took, "remote": r.RemoteAddr,
		}).Debug("Request")
	}
}

// recovered turns a panic into an answer, if none was begun. rec is nil where the connection may be taken over.
func (a *api) recovered(w http.ResponseWriter, r *http.Request, rec *recorder) {
	p := recover() //nolint:revive // it is called by defer only
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares, too
		panic(p)
	}
	id := requestID(r)
	if id == "" {
		id = nanoid.New()
	}
	log.L(r.Context()).WithFields(logrus.Fields{"request": id, "method": r.Method, "path": r.URL.Path}).
		Errorf("Panic while serving a request: %v\n%s", p, debug.Stack())
	if rec != nil && rec.status == 0 {
		a.writeError(w, r, rec.route, msgs.Internal.Status, msgs.Internal.Text(r.Context(), id), false)
	}
}

// timeout is the time that a request may take: what it asks for, or the default.
func (a *api) timeout(r *http.Request) (time.Duration, error) {
	given := r.Header.Get(timeoutHeader)
	if given == "" {
		return a.RequestTimeout, nil
	}
	d, err := parseTimeout(given)
	if err != nil || d <= 0 {
		return 0, newError(msgs.BadHeader, fmt.Sprintf("%s is %q: give a duration such as 30s, or seconds", timeoutHeader, clip(given)))
	}
	return min(d, a.MaxRequestTimeout), nil
}

// parseTimeout takes a duration, or a whole number of seconds.
func parseTimeout(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(s)
}
