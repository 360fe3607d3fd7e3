package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Whatever comes, the decoder neither panics nor sees something else than encoding/json would.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		someTransaction, coreInvoke, coreVersion, coreDeploy, coreSub, ``, `{}`, `[]`, `null`, `"`, `{"a":`, "{\"\\u0000\":{}}",
		`{"headers":{"type":"SendTransaction"},"from":"a","nonce":"0x1f","gas":1e3,"params":[[],{},"]",-1.5e-7 , true],"x":{"}":"{"},"x":null}`,
		"\t{ \"headers\" : { \"type\" : \"Query\" } , \"params\" : [ 1 , 2 ] }\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeCommand(body)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &want))
		s, err := c.submission(body)
		if err != nil {
			return
		}
		requireSame(t, want["method"], s.Method)
		requireSameText(t, want["from"], s.From)
		requireSameText(t, want["to"], s.To)
		if s.Params != nil {
			var params []json.RawMessage
			require.NoError(t, json.Unmarshal(want["params"], &params))
			require.Len(t, s.Params, len(params))
			for i := range params {
				requireSame(t, params[i], s.Params[i])
			}
		}
		requireSameOptions(t, want, s)
	})
}

func requireSameOptions(t *testing.T, want map[string]json.RawMessage, s *apitypes.Submission) {
	t.Helper()
	for _, known := range []string{"headers", "from", "to", "nonce", "gas", "value", "method", "params", "errors"} {
		delete(want, known)
	}
	if s.Options == nil {
		require.Empty(t, want)
		return
	}
	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(s.Options, &got))
	require.Len(t, got, len(want))
	for name := range want {
		requireSame(t, want[name], got[name])
	}
}

func requireSame(t *testing.T, want, got json.RawMessage) {
	t.Helper()
	if string(want) == "null" {
		want = nil
	}
	if string(got) == "null" {
		got = nil
	}
	require.Equal(t, string(want), string(got))
}

func requireSameText(t *testing.T, want json.RawMessage, got string) {
	t.Helper()
	var s string
	if want != nil {
		require.NoError(t, json.Unmarshal(want, &s))
	}
	require.Equal(t, s, got)
}

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

func BenchmarkCommand(b *testing.B) {
	h := newRig().handler(b)
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
	srv := httptest.NewServer(newRig().handler(b))
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
