package client_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
)

// guarded is a node behind a proxy that wants a user name and a password, or an X-Token. It sends one batch to whoever listens.
func guarded(t *testing.T, user, password string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		if (u != user || p != password) && r.Header.Get("Authorization") != "Bearer t1" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/ws") {
			_, _ = io.WriteString(w, "{}")
			return
		}
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"batch","batchNumber":1,"events":[{}]}`))
		_, _, _ = conn.ReadMessage()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A URL with a user name and a password does for REST and WebSocket alike, and a header for them goes before it.
func TestCredentialsInTheURL(t *testing.T) {
	t.Parallel()
	url := guarded(t, "u@x", "hunter2/#")
	with := func(userinfo string) string { return strings.Replace(url, "://", "://"+userinfo+"@", 1) + "/sub" }
	for _, c := range []struct {
		url    string
		bearer string
		fine   bool
	}{
		{with("u%40x:hunter2%2F%23"), "", true},
		{with("u:hunter3"), "", false},
		{with("u:hunter3"), "Bearer t1", true},
		{url + "/sub/", "Bearer t1", true},
		{url + "/sub", "", false},
	} {
		header := http.Header{"X-Other": {"x"}}
		options := []client.Option{}
		if c.bearer != "" {
			header.Set("Authorization", c.bearer)
			options = append(options, client.WithHeader("Authorization", c.bearer))
		}
		api := client.New(c.url, options...)
		_, err := api.Stream(t.Context(), "s")
		api.Close()
		var lost error
		ctx, cancel := context.WithCancelCause(t.Context())
		consumer := client.Consumer{
			URL: c.url, Stream: "s", Header: header,
			Handle:       func(context.Context, *client.Batch) error { return client.ErrStop },
			Disconnected: func(err error) { lost = err; cancel(err) },
		}
		ended := consumer.Run(ctx)
		cancel(nil)
		if c.fine {
			require.NoError(t, err, c.url)
			require.NoError(t, ended, c.url)
			continue
		}
		require.ErrorContains(t, err, "/sub/eventstreams/s: 403 Forbidden")
		require.ErrorContains(t, lost, "/sub/ws: websocket: bad handshake: 403 Forbidden")
		require.NotContains(t, err.Error()+lost.Error(), "hunter")
		require.Len(t, header, 1, "it is the caller's")
	}
}

// What is wrong with a URL is said without what may be a password in it.
func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "nowhere", "/x", "u:hunter2@h:1", "ftp://u:hunter2@h", "http://", "http://u:hunter2@h:x", "http://u:hunter2%@h", "http://u:hunter2/@h", "https://u:hunter2@", "http://[hunter2",
	} {
		_, err := client.New(url).Stream(t.Context(), "s")
		require.EqualError(t, err, "URL of the API: want http:// or https:// and a host, such as "+client.DefaultURL, url)
		consumer := client.Consumer{URL: url, Stream: "s", Handle: func(context.Context, *client.Batch) error { return nil }}
		require.Equal(t, err.Error(), consumer.Run(t.Context()).Error(), url)
	}
}

// slow answers after some time.
type slow time.Duration

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(s)):
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// Only a call that nobody has bounded is bounded by the client.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client.New(client.DefaultURL, client.WithTransport(slow(3*time.Minute)))
		began := time.Now()
		_, err := c.Stream(t.Context(), "s")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Minute, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = c.Stream(ctx, "s")
		require.NoError(t, err)
	})
}
