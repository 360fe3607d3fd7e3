package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// benchBody is of the size that real requests have.
const benchBody = `{"headers":{"type":"SendTransaction","id":"bench-000000001"},"from":"alice","to":"assets","method":"create","params":["car-000000001",{"colour":"blue","wheels":4,"owner":"alice","price":"12345.67"}]}`

// nullWriter is an answer that nobody reads.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }

// benchAnswer is a transaction as it is when it was just accepted.
func benchAnswer() *apitypes.Transaction {
	at := fftypes.FFTime(time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC))
	return &apitypes.Transaction{
		ID: "bench-000000001", Created: &at, Updated: &at, Status: "Pending", SubStatus: "Received", SequenceID: "000000000001",
		Progress: apitypes.Progress{Status: "InProgress", Message: "waiting to be sent"}, From: "alice", To: "assets",
		Nonce: fftypes.NewFFBigInt(17), TransactionHash: strings.Repeat("ab", 32), Attempt: 1,
	}
}

func benchRig() *rig {
	g := newRig()
	g.options.MaxBodySize = 1 << 20
	tx := benchAnswer()
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return tx, false, nil
	}
	return g
}

// BenchmarkBatch is BenchmarkCommand with a thousand commands in a request.
func BenchmarkBatch(b *testing.B) {
	h := benchRig().handler(b)
	body := []byte("[" + strings.Repeat(benchBody+",", apitypes.MaxBatch-1) + benchBody + "]")
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/transactions/batch", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(body))
	w := &nullWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
		require.Equal(b, http.StatusOK, w.status)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/apitypes.MaxBatch, "ns/command")
}

func BenchmarkCommand(b *testing.B) {
	h := benchRig().handler(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(benchBody))
	w := &nullWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader([]byte(benchBody)))
		h.ServeHTTP(w, r)
		if w.status != http.StatusAccepted {
			b.Fatal(w.status)
		}
	}
}

// BenchmarkServer goes over a real connection, with the client's share.
func BenchmarkServer(b *testing.B) {
	srv := httptest.NewServer(benchRig().handler(b))
	defer srv.Close()
	srv.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := srv.Client().Post(srv.URL+"/", "application/json", bytes.NewReader([]byte(benchBody)))
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			if err := resp.Body.Close(); err != nil {
				b.Error(err)
			}
			if err != nil || resp.StatusCode != http.StatusAccepted {
				b.Error(err, resp.StatusCode)
				return
			}
		}
	})
}
