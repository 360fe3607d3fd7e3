package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// fakeTransactions answers through functions; those that are nil know nothing.
type fakeTransactions struct {
	submit       func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error)
	query        func(context.Context, *apitypes.ReadQuery) (json.RawMessage, error)
	transaction  func(context.Context, string, bool) (*apitypes.TransactionWithStatus, error)
	transactions func(context.Context, apitypes.TransactionFilter) ([]*apitypes.Transaction, error)
	receipt      func(context.Context, string) (*apitypes.Receipt, error)
	fakeOperations

	err   error // of the calls that have no function
	asked any   // what the last of those was asked

	within time.Duration // that the last Await had
}

func (f *fakeTransactions) Submit(ctx context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
	if f.submit == nil {
		return &apitypes.Transaction{ID: s.ID, Status: "Pending", From: s.From, To: s.To}, false, nil
	}
	return f.submit(ctx, s)
}

func (f *fakeTransactions) SubmitBatch(ctx context.Context, subs []*apitypes.Submission) []apitypes.Submitted {
	answers := make([]apitypes.Submitted, len(subs))
	for i, s := range subs {
		a := &answers[i]
		a.Transaction, a.Replay, a.Err = f.Submit(ctx, s)
	}
	return answers
}

func (f *fakeTransactions) Query(ctx context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) {
	if f.query == nil {
		return nil, store.ErrNotFound
	}
	return f.query(ctx, q)
}

func (f *fakeTransactions) Transaction(ctx context.Context, id string, history bool) (*apitypes.TransactionWithStatus, error) {
	if f.transaction == nil {
		return nil, store.ErrNotFound
	}
	return f.transaction(ctx, id, history)
}

func (f *fakeTransactions) Await(ctx context.Context, id string, _ bool, atMost time.Duration) (*apitypes.TransactionWithStatus, error) {
	f.asked = atMost
	until, _ := ctx.Deadline()
	f.within = time.Until(until)
	return &apitypes.TransactionWithStatus{Transaction: apitypes.Transaction{ID: id}}, f.err
}

func (f *fakeTransactions) Transactions(ctx context.Context, filter apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
	if f.transactions == nil {
		return nil, nil
	}
	return f.transactions(ctx, filter)
}

func (f *fakeTransactions) CountTransactions(context.Context, apitypes.TransactionFilter) (int, error) {
	return 1000, nil
}

func (f *fakeTransactions) Receipt(ctx context.Context, id string) (*apitypes.Receipt, error) {
	if f.receipt == nil {
		return nil, store.ErrNotFound
	}
	return f.receipt(ctx, id)
}

func (f *fakeTransactions) HistoryRecords(_ context.Context, id string) ([]*apitypes.HistoryRecord, error) {
	return []*apitypes.HistoryRecord{{Transaction: id, SubStatus: "Received", HistoryAction: apitypes.HistoryAction{Action: "AssignNonce", Count: 1}}}, f.err
}

func (f *fakeTransactions) ConfirmationRecords(context.Context, string) ([]*apitypes.ConfirmationRecord, error) {
	return nil, f.err
}

func (f *fakeTransactions) ChainReceipt(_ context.Context, q *apitypes.ReceiptQuery) (*apitypes.ChainReceipt, error) {
	f.asked = q
	return &apitypes.ChainReceipt{Receipt: apitypes.Receipt{Success: true, ProtocolID: q.TransactionHash}}, f.err
}

func (f *fakeTransactions) GasPrice(_ context.Context, ledger string) (json.RawMessage, error) {
	f.asked = ledger
	return json.RawMessage(`{"maxFee":"7"}`), f.err
}

func (f *fakeTransactions) Balance(_ context.Context, ledger, address, block string) (string, error) {
	f.asked = []string{ledger, address, block}
	return "12345678901234567890", f.err
}

// fakeStreams writes down what it was called with, one line a call, and answers with what it was given, or with err.
type fakeStreams struct {
	calls []string
	err   error
}

func (f *fakeStreams) call(parts ...any) error {
	var b bytes.Buffer
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		if s, ok := p.(string); ok {
			b.WriteString(s)
			continue
		}
		raw, err := json.Marshal(p)
		if err != nil {
			return err
		}
		b.Write(raw)
	}
	f.calls = append(f.calls, b.String())
	return f.err
}

func (f *fakeStreams) CreateStream(_ context.Context, s *apitypes.EventStream) (*apitypes.EventStream, error) {
	return s, f.call("CreateStream", s)
}

func (f *fakeStreams) UpdateStream(_ context.Context, stream string, s *apitypes.EventStream) (*apitypes.EventStream, error) {
	return s, f.call("UpdateStream", stream, s)
}

func (f *fakeStreams) Stream(_ context.Context, stream string) (*apitypes.EventStreamWithStatus, error) {
	return &apitypes.EventStreamWithStatus{EventStream: apitypes.EventStream{Name: &stream}, Status: "started"}, f.call("Stream", stream)
}

func (f *fakeStreams) Streams(_ context.Context, limit int, after string) ([]*apitypes.EventStreamWithStatus, error) {
	return nil, f.call("Streams", limit, after)
}

func (f *fakeStreams) DeleteStream(_ context.Context, stream string) error {
	return f.call("DeleteStream", stream)
}

func (f *fakeStreams) SuspendStream(_ context.Context, stream string) error {
	return f.call("SuspendStream", stream)
}

func (f *fakeStreams) ResumeStream(_ context.Context, stream string) error {
	return f.call("ResumeStream", stream)
}

func (f *fakeStreams) CreateListener(_ context.Context, stream string, l *apitypes.Listener) (*apitypes.Listener, error) {
	return l, f.call("CreateListener", stream, l)
}

func (f *fakeStreams) UpdateListener(_ context.Context, stream, listener string, l *apitypes.Listener) (*apitypes.Listener, error) {
	return l, f.call("UpdateListener", stream, listener, l)
}

func (f *fakeStreams) Listener(_ context.Context, stream, listener string) (*apitypes.ListenerWithStatus, error) {
	return &apitypes.ListenerWithStatus{Listener: apitypes.Listener{Name: &listener}}, f.call("Listener", stream, listener)
}

func (f *fakeStreams) Listeners(_ context.Context, stream string, limit int, after string) ([]*apitypes.ListenerWithStatus, error) {
	return nil, f.call("Listeners", stream, limit, after)
}

func (f *fakeStreams) DeleteListener(_ context.Context, stream, listener string) error {
	return f.call("DeleteListener", stream, listener)
}

func (f *fakeStreams) ResetListener(_ context.Context, stream, listener string, l *apitypes.Listener, dryRun bool) (*apitypes.ListenerReset, error) {
	return &apitypes.ListenerReset{Listener: *l}, f.call("ResetListener", stream, listener, l, dryRun)
}

func (f *fakeStreams) ResetStream(_ context.Context, stream string, r *apitypes.StreamResetRequest, dryRun bool) (*apitypes.StreamReset, error) {
	return &apitypes.StreamReset{DryRun: dryRun}, f.call("ResetStream", stream, r, dryRun)
}

// rig is a handler on fakes, and what it logged.
type rig struct {
	tx      fakeTransactions
	streams fakeStreams
	options Options
	log     bytes.Buffer
}

func newRig() *rig {
	g := &rig{}
	logger := logrus.New()
	logger.SetOutput(&g.log)
	logger.SetLevel(logrus.InfoLevel)
	g.options = Options{
		Transactions: &g.tx, Streams: &g.streams,
		Live:        func() bool { return true },
		Ready:       func(context.Context) (bool, json.RawMessage) { return true, nil },
		MaxBodySize: 4 << 10, MaxPage: 500, RequestTimeout: 30 * time.Second, MaxRequestTimeout: time.Minute,
		Log: logrus.NewEntry(logger),
	}
	return g
}

func (g *rig) handler(tb testing.TB) http.Handler {
	tb.Helper()
	h, err := New(g.options)
	require.NoError(tb, err)
	return h
}

// do sends a request: "GET /path", a body ("" for none), headers as "Name: value".
func (g *rig) do(tb testing.TB, request, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	method, target, _ := strings.Cut(request, " ")
	var r *http.Request
	if body == "" {
		r = httptest.NewRequestWithContext(tb.Context(), method, target, http.NoBody)
	} else {
		r = httptest.NewRequestWithContext(tb.Context(), method, target, io.NopCloser(strings.NewReader(body)))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	g.handler(tb).ServeHTTP(w, r)
	return w
}
