package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// allowed lets webhooks reach this machine.
const allowed = "PYRALIS_WEBHOOKS_ALLOWPRIVATEIPS=true"

func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// createHook creates a stream of type webhook with the sample contract's events.
func createHook(t *testing.T, c *client.Client, cfg map[string]any) *apitypes.EventStream {
	t.Helper()
	name, kind, from := "hook", apitypes.StreamWebhook, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	raw, err := json.Marshal(cfg)
	require.NoError(t, err)
	s, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Type: &kind, Webhook: raw})
	require.NoError(t, err)
	_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets"}`)}})
	require.NoError(t, err)
	return s
}

// Events arrive in order, signed, also across a change of the secret and of the format, and each once.
func TestWebhookDelivers(t *testing.T) {
	t.Parallel()
	keys := [...]string{"whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("a"), 32)), "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("b"), 32))}
	type arrived struct {
		subject string
		signed  string // by which of the keys
		batch   bool   // in an envelope
	}
	events := make(chan arrived, 100)
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var signed string
		for i, key := range keys {
			if v, err := standardwebhooks.NewWebhook(key); err == nil && v.Verify(body, r.Header) == nil {
				signed += string(rune('a' + i))
			}
		}
		var b apitypes.WebhookBatch
		envelope := json.Unmarshal(body, &b) == nil
		if !envelope && json.Unmarshal(body, &b.Events) != nil || signed == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, e := range b.Events {
			var data struct{ ID string }
			if json.Unmarshal(e.Data, &data) != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			events <- arrived{data.ID, signed, envelope}
		}
	})
	n := start(t, config(t, allowed))
	c := api(t, n)
	createHook(t, c, map[string]any{"url": url, "secret": keys[0]})
	change := func(cfg string) {
		_, err := c.UpdateStream(t.Context(), "hook", &apitypes.EventStream{Webhook: json.RawMessage(cfg)})
		require.NoError(t, err)
	}
	for i, step := range []struct {
		change string
		want   arrived
	}{
		{"", arrived{"e0", "a", false}},
		{`{"secret":"` + keys[1] + `","previousSecret":"********"}`, arrived{"e1", "ab", false}},
		{`{"previousSecret":null,"format":"envelope"}`, arrived{"e2", "b", true}},
	} {
		if step.change != "" {
			change(step.change)
		}
		submit(t, c, fmt.Sprintf("e%d", i))
		select {
		case got := <-events:
			require.Equal(t, step.want, got)
		case <-time.After(patience):
			require.FailNow(t, "nothing arrives", "%d", i)
		}
	}
	require.Empty(t, events)
}

// canaries are secrets of a webhook, in all places that can hold one.
var canaries = []string{"canary-header", "canary-query", "canary-from-a-file", base64.StdEncoding.EncodeToString([]byte("canary-secret-of-32-bytes-------")), base64.StdEncoding.EncodeToString([]byte("canary-previous-of-32-bytes-----"))}

// syncBuffer is a log that many write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Whatever becomes of a webhook, its secrets are in no log, no answer and no metric, even if its receiver sends them back.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("canary-from-a-file\n"), 0o600))
	var refuse atomic.Bool
	refuse.Store(true)
	delivered := make(chan struct{}, 10)
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		all, err := httputil.DumpRequest(r, true)
		if err != nil || refuse.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(all)
			return
		}
		for _, c := range canaries[:3] {
			if !bytes.Contains(all, []byte(c)) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		delivered <- struct{}{}
	})
	log, answers := new(syncBuffer), new(syncBuffer)
	logger := logrus.New()
	logger.SetLevel(logrus.TraceLevel)
	logger.SetOutput(log)
	cfg := config(t, allowed, "PYRALIS_SECRETS_ALLOW=file:"+file, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0", "PYRALIS_LOG_LEVEL=trace")
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: logger})
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	call := func(method, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		all, err := httputil.DumpResponse(resp, true)
		require.NoError(t, err)
		_, _ = answers.Write(all)
		return resp.StatusCode, string(all)
	}
	hook := fmt.Sprintf(`{"url":"%s/in?code=canary-query","headers":{"Authorization":"Bearer canary-header","X-Token":"file:%s"},"secret":"whsec_%s","previousSecret":"whsec_%s"}`, url, file, canaries[3], canaries[4])
	status, text := call(http.MethodPost, "/eventstreams", `{"name":"hook","type":"webhook","webhook":`+hook+`}`)
	require.Equal(t, http.StatusOK, status, text)
	status, text = call(http.MethodPost, "/eventstreams/hook/listeners", `{"name":"l","fromBlock":"earliest","filters":[{"contract":"assets"}]}`)
	require.Equal(t, http.StatusOK, status, text)
	c := api(t, n)
	submit(t, c, "e0")
	require.Eventually(t, func() bool {
		_, text = call(http.MethodGet, "/eventstreams/hook", "")
		return strings.Contains(text, "500 Internal Server Error")
	}, patience, 10*time.Millisecond, "the receiver's answer is shown")
	require.Contains(t, text, "********")

	for _, bad := range []string{
		`{"secret":"canary-header"}`, `{"secret":["canary-header"]}`, `{"headers":{"X":"canary-header\n"}}`, `{"headers":["canary-header"]}`, `{"url":"http://canary-header:canary-query@r.example"}`, `{"url":"http://[canary-query"}`, `{"url":"canary-query"}`,
		`{"url":"http://127.0.0.1:1/"}`, `{"url":"http://r.example/?code=********"}`, `{"secret":"whsec_` + canaries[3] + `","requestTimeout":"canary-header"}`, `"canary-header"`,
	} {
		status, text = call(http.MethodPatch, "/eventstreams/hook", `{"webhook":`+bad+`}`)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", bad, text)
		require.Contains(t, text, "webhook")
	}
	for _, path := range []string{"/eventstreams", "/eventstreams/hook", "/eventstreams/hook/listeners", "/status", "/health/ready", "/"} {
		call(http.MethodGet, path, "")
	}
	call(http.MethodPost, "/eventstreams/hook/suspend", "{}")
	refuse.Store(false)
	call(http.MethodPost, "/eventstreams/hook/resume", "{}")
	status, text = call(http.MethodPatch, "/eventstreams/hook", `{"batchSize":7,"webhook":{"secret":"********","headers":{"authorization":"********","x-token":"file:`+file+`"}}}`)
	require.Equal(t, http.StatusOK, status, text)
	select {
	case <-delivered: // with the secrets that were kept
	case <-time.After(patience):
		require.FailNow(t, "nothing arrives", "%s", log)
	}
	call(http.MethodDelete, "/eventstreams/hook", "")
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.NotEmpty(t, log.String())
	for _, canary := range canaries {
		require.NotContains(t, log.String(), canary, "in the log")
		if i := strings.Index(answers.String(), canary); i >= 0 {
			require.Fail(t, "in an answer", "%s: %s", canary, answers.String()[max(0, i-500):i+100])
		}
	}
}

// Bad settings are refused with the name of the field, and change nothing.
func TestBadWebhooks(t *testing.T) {
	t.Parallel()
	c := api(t, start(t, config(t, "PYRALIS_WEBHOOKS_ALLOW=10.1.0.0/16,hooks.internal")))
	name, kind := "hook", apitypes.StreamWebhook
	create := func(cfg string) error {
		_, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Type: &kind, Webhook: json.RawMessage(cfg)})
		return err
	}
	for cfg, want := range map[string]string{
		`null`: "webhook.url is missing", `{}`: "webhook.url is missing", `{"url":"x"}`: "webhook.url", `{"url":"ftp://r.example"}`: "webhook.url has the scheme", `{"url":"http://r.example","uri":1}`: "webhook.uri is not a field",
		`{"url":"http://127.0.0.1/"}`: "webhook.url is refused: 127.0.0.1 is a loopback address", `{"url":"http://localhost/"}`: "webhook.url is refused", `{"url":"http://[::ffff:10.0.0.1]/"}`: "webhook.url is refused", `{"url":"http://169.254.169.254/"}`: "the metadata service of a cloud",
		`{"url":"http://2130706433/"}`: "webhook.url is refused", `{"url":"http://0x7f.1/"}`: "webhook.url is refused", `{"url":"http://0177.0.0.1/"}`: "webhook.url is refused", `{"url":"http://10.2.0.1/"}`: "a private address",
		`{"url":"http://r.example","secret":"hunter2"}`: "webhook.secret does not begin with whsec_", `{"url":"http://r.example","secret":"env:HOME"}`: "secrets.allow", `{"url":"http://r.example","headers":{"Host":"x"}}`: "webhook.headers.Host is set by the server",
		`{"url":"http://r.example","format":"xml"}`: "webhook.format", `{"url":"http://r.example","requestTimeout":"1h"}`: "webhook.requestTimeout", `{"url":"http://r.example","headers":{"A":"********"}}`: "webhook.headers.A is the mask",
	} {
		require.ErrorContains(t, create(cfg), want, cfg)
		require.ErrorContains(t, create(cfg), "PY10003", cfg)
	}
	list, err := c.Streams(t.Context(), 10, "")
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, create(`{"url":"http://10.1.2.3/"}`))
	_, err = c.UpdateStream(t.Context(), name, &apitypes.EventStream{Webhook: json.RawMessage(`{"url":"http://10.2.2.3/"}`)})
	require.ErrorContains(t, err, "webhook.url is refused")
	_, err = c.UpdateStream(t.Context(), name, &apitypes.EventStream{Webhook: json.RawMessage(`{"url":"http://hooks.internal/"}`)})
	require.NoError(t, err)
}

// The settings that are secret go with the type they belong to.
func TestAnotherTypeDropsTheSecrets(t *testing.T) {
	t.Parallel()
	c := api(t, start(t, config(t)))
	name, hook, socket := "hook", apitypes.StreamWebhook, apitypes.StreamWebSocket
	_, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Type: &hook, Webhook: json.RawMessage(`{"url":"http://r.example","headers":{"A":"b"}}`)})
	require.NoError(t, err)
	_, err = c.UpdateStream(t.Context(), name, &apitypes.EventStream{Type: &socket})
	require.NoError(t, err)
	_, err = c.UpdateStream(t.Context(), name, &apitypes.EventStream{Type: &hook, Webhook: json.RawMessage(`{"url":"http://r.example","headers":{"A":"********"}}`)})
	require.ErrorContains(t, err, "webhook.headers.A is the mask")
}

// Neither a change nor the stop of the node waits for a receiver that does not answer.
func TestStopWithAReceiverThatHangs(t *testing.T) {
	t.Parallel()
	came := make(chan struct{}, 100)
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		came <- struct{}{}
		<-r.Context().Done()
	})
	n := newNode(t, config(t, allowed), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := client.New(n.URL())
	createHook(t, c, map[string]any{"url": url, "requestTimeout": "10m"})
	submit(t, c, "e0")
	<-came
	c.Close()
	began := time.Now()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.Less(t, time.Since(began), 10*time.Second)
}

// A receiver that wants nothing any more suspends its stream, and one that is resumed delivers what it would have got.
func TestReceiverThatIsGoneSuspendsTheStream(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	gone.Store(true)
	delivered := make(chan struct{}, 10)
	url := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, "moved to another house")
			return
		}
		delivered <- struct{}{}
	})
	c := api(t, start(t, config(t, allowed)))
	createHook(t, c, map[string]any{"url": url})
	submit(t, c, "e0")
	require.Eventually(t, func() bool {
		s, err := c.Stream(t.Context(), "hook")
		return err == nil && s.StreamState.State == "suspended" && strings.Contains(s.StreamState.SuspendedReason, "410 Gone: moved to another house")
	}, patience, 5*time.Millisecond)
	gone.Store(false)
	require.NoError(t, c.ResumeStream(t.Context(), "hook"))
	select {
	case <-delivered:
	case <-time.After(patience):
		require.FailNow(t, "nothing arrives")
	}
}

// What "config check" finds fine is not refused at the start.
func TestBadListsAreFoundByACheck(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"PYRALIS_WEBHOOKS_ALLOW=10.0.0.0/99", "PYRALIS_SECRETS_ALLOW=HOOK_KEY"} {
		key, value, _ := strings.Cut(bad, "=")
		key = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(key, "PYRALIS_"), "_", "."))
		cfg := config(t, bad)
		require.ErrorContains(t, node.Check(cfg, builtin.Plugins()), key+": \""+value+"\"")
		_, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet()})
		require.ErrorContains(t, err, key)
	}
}

// An address that may not be connected to is not reached, and the stream says why.
func TestForbiddenAddressIsNotReached(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	url := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	dir := t.TempDir()
	n := newNode(t, config(t, allowed, "PYRALIS_STORE_SQLITE_PATH="+dir), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := client.New(n.URL())
	createHook(t, c, map[string]any{"url": url})
	c.Close()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))

	c = api(t, start(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir))) // what was stored is no way around
	submit(t, c, "e0")
	host, _, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := c.Stream(t.Context(), "hook")
		return err == nil && strings.Contains(s.StreamState.LastError, host+" is a loopback address, which may not be connected to")
	}, patience, 5*time.Millisecond)
	require.False(t, reached.Load())
}
