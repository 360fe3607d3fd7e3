package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// guarded are brokers that take one login each, as configurations of streams: right with the password "canary-right", wrong with another.
func guarded(t *testing.T) map[string]func(password string) string {
	t.Helper()
	const right = "canary-right"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "ledger"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "node", right))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	nats, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, Username: "node", Password: right,
	})
	require.NoError(t, err)
	nats.Start()
	t.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	require.True(t, nats.ReadyForConnections(patience))
	aws := awstest.New(map[string]string{"AKIANODE": right})
	t.Cleanup(aws.Close)
	queue, topic := aws.CreateQueue("ledger", nil), aws.CreateTopic("ledger", nil)
	login := func(field, target string) func(string) string {
		return func(password string) string {
			return fmt.Sprintf(`{%q:%q,"region":%q,"endpoint":%q,"accessKeyId":"AKIANODE","secretAccessKey":%q}`, field, target, awstest.Region, aws.URL, password)
		}
	}
	return map[string]func(string) string{
		apitypes.StreamKafka: func(password string) string {
			return fmt.Sprintf(`{"brokers":[%q],"topic":"ledger","sasl":{"mechanism":"SCRAM-SHA-256","username":"node","password":%q},"requestTimeout":"2s"}`, cluster.ListenAddrs()[0], password)
		},
		apitypes.StreamJetStream: func(password string) string {
			return fmt.Sprintf(`{"url":"nats://%s","stream":"LEDGER","subject":"ledger","username":"node","password":%q}`, nats.Addr(), password)
		},
		apitypes.StreamSQS: login("queueUrl", queue),
		apitypes.StreamSNS: login("topicArn", topic),
	}
}

// Whatever becomes of a stream to a message broker, its secrets are in no log, no answer and no metric.
func TestSecretsOfBrokersAreNowhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("canary-of-a-file\n"), 0o600))
	log, answers := new(syncBuffer), new(syncBuffer)
	logger := logrus.New()
	logger.SetLevel(logrus.TraceLevel)
	logger.SetOutput(log)
	cfg := config(t, "PYRALIS_SECRETS_ALLOW=file:"+file, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0", "PYRALIS_LOG_LEVEL=trace")
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: logger})
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	call := func(method, url, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		all, err := httputil.DumpResponse(resp, true)
		require.NoError(t, err)
		_, _ = answers.Write(all)
		return resp.StatusCode, string(all)
	}
	submit(t, api(t, n), "e0")
	for kind, cfg := range guarded(t) {
		of := func(name, more, cfg string) string {
			return fmt.Sprintf(`{"name":%q,"type":%q,%s%q:%s}`, name, kind, more, kind, cfg)
		}
		// What is wrong shows when the stream is made, in the broker's words.
		status, text := call(http.MethodPost, n.URL()+"/eventstreams", of(kind, "", cfg("canary-wrong")))
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, kind)
		// And else in the state of the stream.
		for name, password := range map[string]string{kind: "canary-wrong", kind + "-file": "file:" + file} {
			status, text = call(http.MethodPost, n.URL()+"/eventstreams", of(name, `"suspended":true,`, cfg(password)))
			require.Equal(t, http.StatusOK, status, text)
			path := n.URL() + "/eventstreams/" + name
			status, text = call(http.MethodPost, path+"/listeners", `{"name":"l","fromBlock":"earliest","filters":[{"contract":"assets"}]}`)
			require.Equal(t, http.StatusOK, status, text)
			call(http.MethodPost, path+"/resume", "{}")
			require.Eventually(t, func() bool {
				_, text = call(http.MethodGet, path, "")
				return strings.Contains(text, `"lastError"`)
			}, 6*patience, 10*time.Millisecond, "%s: %s", name, text)
		}
		path := n.URL() + "/eventstreams/" + kind
		_, text = call(http.MethodGet, path, "")
		require.Contains(t, text, apitypes.Masked)
		var shown map[string]json.RawMessage
		_, body, _ := strings.Cut(text, "\r\n\r\n")
		require.NoError(t, json.Unmarshal([]byte(body), &shown))
		// A stored secret goes nowhere else, and what makes no sense is not repeated.
		elsewhere := strings.NewReplacer("127.0.0.1", "localhost").Replace(string(shown[kind]))
		for _, bad := range []string{elsewhere, `"canary-wrong"`, `{"canary-field-is-shown":"canary-wrong"}`} {
			status, text = call(http.MethodPatch, path, fmt.Sprintf(`{%q:%s}`, kind, bad))
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", bad, text)
		}
	}
	for _, url := range []string{n.URL() + "/eventstreams", n.URL() + "/status", n.URL() + "/health/ready", n.MonitoringURL() + "/metrics"} {
		call(http.MethodGet, url, "")
	}
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.NotEmpty(t, log.String())
	for _, canary := range []string{"canary-right", "canary-wrong", "canary-of-a-file"} {
		require.NotContains(t, log.String(), canary, "in the log")
		if i := strings.Index(answers.String(), canary); i >= 0 {
			require.Fail(t, "in an answer", "%s: %s", canary, answers.String()[max(0, i-500):i+100])
		}
	}
}
