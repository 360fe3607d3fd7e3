package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Transactions is what the API needs of the transaction manager. Errors are those that errors.go knows.
type Transactions interface {
	// Submit accepts a transaction for sending. replay: it was accepted before, under the same id and with the same body.
	Submit(ctx context.Context, s *apitypes.Submission) (tx *apitypes.Transaction, replay bool, err error)
	// SubmitBatch is Submit of several, each with its own answer, in their order.
	SubmitBatch(ctx context.Context, subs []*apitypes.Submission) []apitypes.Submitted
	// Query runs a read-only call and returns valid JSON.
	Query(ctx context.Context, q *apitypes.ReadQuery) (json.RawMessage, error)
	Transaction(ctx context.Context, id string, history bool) (*apitypes.TransactionWithStatus, error)
	// Await is Transaction once it has ended, or after atMost.
	Await(ctx context.Context, id string, history bool, atMost time.Duration) (*apitypes.TransactionWithStatus, error)
	Transactions(ctx context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error)
	// CountTransactions tells how many transactions a filter selects on all pages.
	CountTransactions(ctx context.Context, f apitypes.TransactionFilter) (int, error)
	// Receipt returns nil while there is none.
	Receipt(ctx context.Context, id string) (*apitypes.Receipt, error)
	HistoryRecords(ctx context.Context, id string) ([]*apitypes.HistoryRecord, error)
	ConfirmationRecords(ctx context.Context, id string) ([]*apitypes.ConfirmationRecord, error)

	// ChainReceipt asks the chain for a transaction that need not be ours.
	ChainReceipt(ctx context.Context, q *apitypes.ReceiptQuery) (*apitypes.ChainReceipt, error)
	GasPrice(ctx context.Context, ledger string) (json.RawMessage, error)
	Balance(ctx context.Context, ledger, address, block string) (string, error)

	Operations
}

// Operations are what users do to transactions that were accepted, and to nonces. All can be repeated.
type Operations interface {
	SuspendTransaction(ctx context.Context, id string) (*apitypes.Transaction, error)
	ResumeTransaction(ctx context.Context, id string) (*apitypes.Transaction, error)
	CancelTransaction(ctx context.Context, id string) (*apitypes.Transaction, error)
	UpdateTransaction(ctx context.Context, id string, u *apitypes.TransactionUpdate) (*apitypes.Transaction, error)
	// RetryTransaction sends a failed transaction's request again, as a transaction with the id as; "" derives one.
	RetryTransaction(ctx context.Context, id, as string) (tx *apitypes.Transaction, replay bool, err error)

	Signer(ctx context.Context, ledger, signer string) (*apitypes.Signer, error)
	FillNonces(ctx context.Context, ledger, signer string) ([]*apitypes.Transaction, error)
}

// Streams is what the API needs of the stream manager. A stream is found by id or name; where a listener's stream is "", any stream's.
type Streams interface {
	CreateStream(ctx context.Context, s *apitypes.EventStream) (*apitypes.EventStream, error)
	UpdateStream(ctx context.Context, stream string, s *apitypes.EventStream) (*apitypes.EventStream, error)
	Stream(ctx context.Context, stream string) (*apitypes.EventStreamWithStatus, error)
	Streams(ctx context.Context, limit int, after string) ([]*apitypes.EventStreamWithStatus, error)
	DeleteStream(ctx context.Context, stream string) error
	SuspendStream(ctx context.Context, stream string) error
	ResumeStream(ctx context.Context, stream string) error

	CreateListener(ctx context.Context, stream string, l *apitypes.Listener) (*apitypes.Listener, error)
	UpdateListener(ctx context.Context, stream, listener string, l *apitypes.Listener) (*apitypes.Listener, error)
	Listener(ctx context.Context, stream, listener string) (*apitypes.ListenerWithStatus, error)
	Listeners(ctx context.Context, stream string, limit int, after string) ([]*apitypes.ListenerWithStatus, error)
	DeleteListener(ctx context.Context, stream, listener string) error
	ResetListener(ctx context.Context, stream, listener string, l *apitypes.Listener, dryRun bool) (*apitypes.ListenerReset, error)
	ResetStream(ctx context.Context, stream string, r *apitypes.StreamResetRequest, dryRun bool) (*apitypes.StreamReset, error)

	DeadLetters
}

// DeadLetters are the events of a stream that could not be delivered.
type DeadLetters interface {
	// DeadLetters leaves out the events themselves.
	DeadLetters(ctx context.Context, stream string, sel *apitypes.DeadLetterSelection, limit int) ([]*apitypes.DeadLetter, error)
	DeadLetter(ctx context.Context, stream, id string) (*apitypes.DeadLetter, error)
	ReplayDeadLetter(ctx context.Context, stream, id string) (*apitypes.DeadLetter, error)
	ReplayDeadLetters(ctx context.Context, stream string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error)
	DeleteDeadLetter(ctx context.Context, stream, id string) error
	DeleteDeadLetters(ctx context.Context, stream string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error)
}

// Options are what the handler is made of.
type Options struct {
	Transactions Transactions
	Streams      Streams
	// Live tells whether the process works. It asks nobody: who restarts what does not live must not do so when the chain or the
	// store is slow.
	Live func() bool
	// Ready tells whether the node can do its work now, with details for people (JSON, may be nil).
	Ready func(ctx context.Context) (ready bool, details json.RawMessage)
	// Takeovers serve paths of their own, such as /ws, and may take the connection over. They get whatever method and query.
	Takeovers map[string]http.Handler

	MaxBodySize       int64         // bytes
	MaxPage           int           // items of a list
	RequestTimeout    time.Duration // of a request that names none
	MaxRequestTimeout time.Duration // that a request may name
	PublicURL         string        // for the OpenAPI document; "": relative to where it is read
	CORSOrigins       []string      // "*" for all; empty: none

	// Observe, if set, is told about every request that was answered, from the request's goroutine. route is a route's path with
	// its parameters' names, "" when no route matched.
	Observe func(method, route string, status int, took time.Duration)

	Log *logrus.Entry
}

// api serves the requests. It holds nothing that changes.
type api struct {
	Options
	mux     *http.ServeMux
	command *route
	origins map[string]bool
	spec    func() (*document, error)
}

// New makes the handler.
func New(o Options) (http.Handler, error) {
	switch {
	case o.Transactions == nil || o.Streams == nil || o.Live == nil || o.Ready == nil || o.Log == nil:
		return nil, errors.New("api: Transactions, Streams, Live, Ready and Log are required")
	case o.MaxBodySize < 1 || o.MaxPage < 1 || o.RequestTimeout <= 0 || o.MaxRequestTimeout < o.RequestTimeout:
		return nil, errors.New("api: MaxBodySize, MaxPage, RequestTimeout and MaxRequestTimeout must be set and fit together")
	}
	a := &api{Options: o, mux: http.NewServeMux(), origins: make(map[string]bool)}
	for _, origin := range o.CORSOrigins {
		a.origins[strings.ToLower(origin)] = true
	}
	a.spec = sync.OnceValues(func() (*document, error) { return newDocument(context.Background(), o.PublicURL) })
	a.mount()
	for path := range o.Takeovers {
		if !strings.HasPrefix(path, "/") || path == "/" || a.serves(path) {
			return nil, fmt.Errorf("api: the path %q is none, or is taken by the API itself", path)
		}
	}
	return a, nil
}

// serves tells whether a route has the path.
func (a *api) serves(path string) bool {
	_, pattern := a.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	return pattern != "" && pattern != "/"
}

// mount registers every path once; the methods of a path are told apart by its endpoint, so that a wrong one gets a JSON answer.
func (a *api) mount() {
	endpoints := make(map[string]*endpoint)
	for _, rt := range routes() {
		if rt.path == "/" && rt.method == http.MethodPost {
			a.command = rt
		}
		e, ok := endpoints[rt.path]
		if !ok {
			e = &endpoint{api: a, path: rt.path, routes: make(map[string]*route)}
			endpoints[rt.path] = e
			pattern := rt.path
			switch {
			case pattern == "/":
				pattern = "/{$}"
			case rt.amongIDs:
				pattern = rt.method + " " + pattern
			}
			a.mux.Handle(pattern, e)
		}
		e.routes[rt.method] = rt
	}
	a.mountDocument()
}
