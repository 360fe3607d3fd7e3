package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
)

// impatient is a node that does not wait, and answers with one status and body after the other; the last one again and again.
func impatient(t *testing.T, asked *atomic.Int64, answers ...string) *client.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil || d < 0 {
			t.Errorf("wait is %q", r.URL.Query().Get("wait"))
		}
		n := int(asked.Add(1))
		answer := answers[min(n, len(answers))-1]
		w.Header().Set("Content-Type", "application/json")
		if answer == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	return client.New(srv.URL, client.WithTransport(srv.Client().Transport))
}

const (
	pending = `{"id":"a","progress":{"status":"InProgress"}}`
	ended   = `{"id":"a","progress":{"status":"Completed"}}`
)

// A node that waits less than it is asked to, or goes away for a moment, is asked again.
func TestAwaitAsksAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	tx, err := impatient(t, &asked, pending, "", ended).Await(t.Context(), "a", false, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "Completed", tx.Progress.Status)
	require.EqualValues(t, 3, asked.Load())
}

// When the time is over, the last answer counts, and no node was asked all the time.
func TestAwaitUntilTheTimeIsOver(t *testing.T) {
	t.Parallel()
	for _, then := range []string{pending, ""} {
		var asked atomic.Int64
		began := time.Now()
		tx, err := impatient(t, &asked, pending, then).Await(t.Context(), "a", false, 1500*time.Millisecond)
		require.NoError(t, err)
		require.Equal(t, "InProgress", tx.Progress.Status)
		require.GreaterOrEqual(t, time.Since(began), 1500*time.Millisecond)
		require.LessOrEqual(t, asked.Load(), int64(3))
	}
	var asked atomic.Int64
	_, err := impatient(t, &asked, pending).Await(t.Context(), "a", false, 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, asked.Load())
}

// What no asking again can change is said at once.
func TestAwaitOfNobody(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	_, err := impatient(t, &asked, "").Await(t.Context(), "a", false, time.Minute)
	require.Error(t, err, "nothing is known that could be the answer")
	require.EqualValues(t, 1, asked.Load())
}
