package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/msgs"
)

// route is one operation: what serves it, and what the documentation says about it.
type route struct {
	method, path string // path with {parameters}
	name, tag    string
	about        string // for the documentation, in sentences
	query        []parameter
	filters      bool // the query parameters are filterParameters
	input        any  // a value of the body's type; nil: no body
	example      any  // of a body
	optional     bool // the body may be absent
	output       any  // a value of the answer's type; nil: no body
	status       int  // of a success
	deprecated   bool
	amongIDs     bool // the path could be that of a thing with an id: other methods are left to that
	waits        bool // the parameter wait lengthens the request
	serve        func(*request) (any, error)
}

// parameter is a query parameter of a route. kind is its type in the documentation; a text if empty.
type parameter struct{ name, kind, about string }

// routes is the whole REST interface.
func routes() []*route {
	return slices.Concat(commandRoutes(), batchRoutes(), transactionRoutes(), operationRoutes(), signerRoutes(), recordRoutes(), chainRoutes(), streamRoutes(), listenerRoutes(), letterRoutes(), subscriptionRoutes(), statusRoutes())
}

// endpoint serves the methods of one path.
type endpoint struct {
	api    *api
	path   string
	routes map[string]*route
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http keeps the body back
	}
	rt, ok := e.routes[method]
	if !ok {
		e.api.refuseMethod(w, r, slices.Sorted(maps.Keys(e.routes)))
		return
	}
	e.api.run(rt, w, r)
}

func (a *api) refuseMethod(w http.ResponseWriter, r *http.Request, allowed []string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.fail(r.Context(), w, r, nil, newError(msgs.NoSuchMethod, r.Method, r.URL.Path, strings.Join(allowed, " or ")))
}

// run serves one request of a route.
func (a *api) run(rt *route, w http.ResponseWriter, r *http.Request) {
	note(w, rt)
	limit, err := a.timeout(r)
	if err != nil {
		a.fail(r.Context(), w, r, rt, err)
		return
	}
	rq := &request{api: a, route: rt, w: w, r: r}
	if err = rq.parseQuery(); err == nil && rt.waits {
		limit, err = rq.lengthen(limit)
	}
	if err != nil {
		a.fail(r.Context(), w, r, rt, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	rq.ctx = ctx
	answer, err := rt.serve(rq)
	if err != nil {
		a.fail(ctx, w, r, rt, err)
		return
	}
	a.answer(w, r, rt, rq.statusOr(rt.status), answer)
	faultpoint.VisitIf(rt == a.command, faultpoint.AnswerWritten)
}
