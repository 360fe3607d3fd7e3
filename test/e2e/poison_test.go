//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// poisonable is a webhook that refuses each batch with the asset "poison" until it is healed, and keeps the assets of the others in the order in which they
// came first.
type poisonable struct {
	t       *testing.T
	key     string
	healthy chan struct{} // closed once it is healed

	mu     sync.Mutex
	assets []string          // guarded by mu
	bodies map[string]string // guarded by mu; by webhook-id
}

func (p *poisonable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was killed
	}
	v, err := standardwebhooks.NewWebhook(p.key)
	if err == nil {
		err = v.Verify(body, r.Header)
	}
	var events []struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(body, &events)
	}
	if err != nil {
		p.t.Errorf("%s: %v", body, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := r.Header.Get("Webhook-Id")
	if before, ok := p.bodies[id]; ok && before != string(body) {
		p.t.Errorf("%s names two contents: %s and %s", id, before, body)
	}
	p.bodies[id] = string(body)
	if bytes.Contains(body, []byte(`"poison"`)) {
		select {
		case <-p.healthy:
		default:
			http.Error(w, "poison is not to my taste", http.StatusUnprocessableEntity)
			return
		}
	}
	for _, e := range events {
		if !slices.Contains(p.assets, e.Data.ID) { // a kill may let some come twice
			p.assets = append(p.assets, e.Data.ID)
		}
	}
}

func (p *poisonable) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.assets, " ")
}

// An event that the receiver of a webhook refuses is set aside, and the others arrive. It survives kill -9, is found and shown from the command line, and
// delivered from there once the receiver takes it.
func TestAPoisonEventIsSetAsideAndReplayed(t *testing.T) {
	t.Parallel()
	hook := &poisonable{t: t, key: "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))), healthy: make(chan struct{}), bodies: make(map[string]string)}
	receiver := httptest.NewServer(hook)
	t.Cleanup(receiver.Close)
	p := server.New(t, []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_WEBHOOKS_ALLOWPRIVATEIPS=true", "PYRALIS_LOG_LEVEL=warn"}, "run")
	p.Start()
	cli := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), server.Binary(), append(args, "--url", p.URL)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%v: %s", args, stderr.String())
		return string(out)
	}
	letters := func() (list []*apitypes.DeadLetter) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(cli("deadletter", "list", "hook", "-o", "json")), &list))
		return list
	}
	cli("stream", "create", "hook", "--type", "webhook", "--spec",
		`{"errorHandling":"skip","retryTimeout":"0s","blockedRetryDelay":"10ms","batchSize":4,"webhook":{"url":"`+receiver.URL+`/in/secret-path","secret":"`+hook.key+`"}}`)
	cli("listener", "create", "hook", "--name", "assets", "--from", "earliest", "--filter", `{"contract":"assets","event":"AssetCreated"}`)
	for _, asset := range []string{"a", "b", "poison", "c", "d"} {
		cli("tx", "submit", "--id", asset, "--from", "alice", "--to", "assets", "--method", "create", "--param", asset, "--param", "1", "--wait", "30s")
	}
	const within, every = time.Minute, 20 * time.Millisecond
	require.Eventually(t, func() bool { return hook.taken() == "a b c d" }, within, every, "%s", lateText{hook.taken})

	p.Kill()
	p.Start()
	list := letters()
	require.Len(t, list, 1)
	require.Contains(t, list[0].Error, "422 Unprocessable Entity: poison is not to my taste")
	require.NotContains(t, list[0].Error, "secret-path")
	shown := cli("deadletter", "show", "hook", list[0].ID)
	require.Contains(t, shown, "poison is not to my taste")
	require.Contains(t, shown, `"signature":"AssetCreated"`)
	require.Contains(t, cli("deadletter", "list", "hook"), list[0].ID)
	require.NotContains(t, cli("stream", "show", "hook", "-o", "json"), "secret-path")

	replay := func() {
		require.Equal(t, "1 dead letters are to be replayed\n", cli("deadletter", "replay", "hook", list[0].ID))
	}
	replay()
	require.Eventually(t, func() bool {
		now := letters()
		return len(now) == 1 && now[0].ReplayRequested == nil && now[0].Attempts > list[0].Attempts
	}, within, every, "it is refused again, and stays")
	close(hook.healthy)
	replay()
	require.Eventually(t, func() bool { return hook.taken() == "a b c d poison" && len(letters()) == 0 }, within, every, "%s", lateText{hook.taken})
	require.Contains(t, cli("listener", "show", "hook", "assets"), "assets:AssetCreated")
	interruptsCleanly(t, p)
}
