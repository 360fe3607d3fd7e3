package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const patience = 20 * time.Second

var theStream = sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "orders"}

// whsec is a signing secret made of one letter.
func whsec(letter string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
}

func secrets(t *testing.T, vars map[string]string, allow ...string) *secret.Resolver {
	t.Helper()
	r, err := secret.New(secret.Options{Allow: allow, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	require.NoError(t, err)
	return r
}

// factory makes a factory that may connect to this machine.
func factory(t *testing.T, change func(*webhook.Config, *webhook.Options)) *webhook.Factory {
	t.Helper()
	cfg, o := webhook.Config{AllowPrivateIPs: true}, webhook.Options{Secrets: secrets(t, nil)}
	if change != nil {
		change(&cfg, &o)
	}
	f, err := webhook.New(cfg, o)
	require.NoError(t, err)
	return f
}

// hook opens a webhook with further fields of its configuration, which is closed at the end of the test.
func hook(t *testing.T, f *webhook.Factory, url, fields string) sink.Sink {
	t.Helper()
	cfg, err := f.Validate(config(url, fields))
	require.NoError(t, err)
	s, err := f.Open(t.Context(), theStream, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s
}

func config(url, fields string) json.RawMessage {
	if fields != "" {
		fields = "," + fields
	}
	quoted, err := json.Marshal(url)
	if err != nil {
		panic(err)
	}
	return json.RawMessage(`{"url":` + string(quoted) + fields + `}`)
}

// serve starts a receiver.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// batch makes a batch of events whose ids begin with the number.
func batch(number int64, attempt, events int) *sink.Batch {
	b := &sink.Batch{Number: number, Attempt: attempt}
	l := &sink.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "l", Stream: theStream.ID, Replay: "r1"}
	var all []string
	for i := range events {
		id := strconv.FormatInt(number, 10) + "-" + strconv.Itoa(i)
		all = append(all, `{"id":"`+id+`","data":{"text":"ä"}}`)
		b.Events = append(b.Events, sink.Event{ID: id, Listener: l, Block: uint64(number)})
	}
	b.Body = []byte("[" + strings.Join(all, ",") + "]")
	return b
}

// send delivers a batch.
func send(t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	return sendWith(t.Context(), t, s, b)
}

func sendWith(ctx context.Context, t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	result := make(chan error, 1)
	s.Send(ctx, b, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
		return nil
	}
}

// request is a request as it arrived.
type request struct {
	header http.Header
	body   string
	proto  string
}

// recorder is a receiver that takes everything and keeps it.
func recorder(t *testing.T) (url string, requests chan request) {
	t.Helper()
	requests = make(chan request, 100)
	return serve(t, record(requests)).URL, requests
}

func record(requests chan request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		requests <- request{header: r.Header, body: string(body), proto: r.Proto}
		w.WriteHeader(http.StatusNoContent)
	}
}
