//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

// core speaks as FireFly Core's ethereum plugin does.
type core struct {
	t   *testing.T
	url string
}

func (c core) call(method, path, body string, want int) map[string]any {
	c.t.Helper()
	raw := c.raw(method, path, body, want)
	var answer map[string]any
	if len(raw) > 0 {
		require.NoError(c.t, json.Unmarshal(raw, &answer), "%s", raw)
	}
	return answer
}

func (c core) raw(method, path, body string, want int) []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, want, resp.StatusCode, "%s %s: %s", method, path, raw)
	return raw
}

// TestFireFlyCore replays what FireFly Core sends to a transaction manager, and expects what Core needs in the answers.
func TestFireFlyCore(t *testing.T) {
	t.Parallel()
	p := server.New(t, []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()}, "run")
	p.Start()
	c := core{t: t, url: p.URL}

	// The plugin looks for its stream, creates it, and patches it with the same body at every start.
	const streamBody = `{"name":"pyralis/ns1","errorHandling":"block","batchSize":50,"batchTimeoutMS":500,"type":"websocket",` +
		`"websocket":{"topic":"pyralis/ns1"},"timestamps":true}`
	require.JSONEq(t, `[]`, string(c.raw(http.MethodGet, "/eventstreams", "", http.StatusOK)))
	stream := c.call(http.MethodPost, "/eventstreams", streamBody, http.StatusOK)
	id := stream["id"].(string)
	require.Equal(t, "pyralis/ns1", stream["name"])
	require.Equal(t, id, c.call(http.MethodPatch, "/eventstreams/"+id, streamBody, http.StatusOK)["id"])

	// A subscription for a contract listener.
	require.JSONEq(t, `[]`, string(c.raw(http.MethodGet, "/subscriptions", "", http.StatusOK)))
	sub := c.call(http.MethodPost, "/subscriptions", `{"name":"ff-sub-ns1-3ee6","stream":"`+id+`","fromBlock":"0",`+
		`"filters":[{"event":{"type":"event","name":"AssetCreated","inputs":[{"name":"id","type":"string"}]},"address":"assets"}]}`, http.StatusOK)
	subID := sub["id"].(string)
	got := c.call(http.MethodGet, "/subscriptions/"+subID, "", http.StatusOK)
	require.Equal(t, "ff-sub-ns1-3ee6", got["name"])
	require.Contains(t, got, "catchup")

	// The WebSocket: listen on the topic, and for replies.
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+"/ws", nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	defer conn.Close()
	for _, m := range []string{`{"type":"listen","topic":"pyralis/ns1"}`, `{"type":"listenreplies"}`} {
		require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte(m)))
	}

	// A transaction, and the same again as after a restart of Core.
	const op = "ns1:7c1d5bfa-6d34-4dc3-b4a5-7bd0e4e0d4c3"
	const tx = `{"headers":{"type":"SendTransaction","id":"` + op + `"},"from":"0x2a7c9d5248681ce6c393117e641ad037f5c079f6","to":"assets",` +
		`"method":{"type":"function","name":"create","inputs":[{"name":"id","type":"string"},{"name":"value","type":"string"}],"outputs":[]},` +
		`"params":["asset-1","blue"],"errors":[]}`
	require.Equal(t, op, c.call(http.MethodPost, "/", tx, http.StatusAccepted)["id"])
	require.Equal(t, op, c.call(http.MethodPost, "/", tx, http.StatusAccepted)["id"])

	// A batch of events as an object, acknowledged with its number; a reply that names the operation.
	batch, reply := map[string]any(nil), map[string]any(nil)
	for batch == nil || reply == nil {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		var frame map[string]any
		require.NoError(t, conn.ReadJSON(&frame))
		switch {
		case frame["batchNumber"] != nil:
			batch = frame
			ack, err := json.Marshal(map[string]any{"type": "ack", "topic": "pyralis/ns1", "batchNumber": frame["batchNumber"]})
			require.NoError(t, err)
			require.NoError(t, conn.WriteMessage(websocket.TextMessage, ack))
		case frame["headers"] != nil:
			reply = frame
		default:
			require.Fail(t, "unexpected frame", "%v", frame)
		}
	}
	event := batch["events"].([]any)[0].(map[string]any)
	require.Equal(t, subID, event["subId"])
	require.Equal(t, "assets", event["address"])
	require.Equal(t, map[string]any{"id": "asset-1", "value": "blue", "owner": "0x2a7c9d5248681ce6c393117e641ad037f5c079f6"}, event["data"])
	for _, field := range []string{"signature", "blockNumber", "transactionHash", "transactionIndex", "logIndex", "timestamp"} {
		require.IsType(t, "", event[field], field)
	}
	require.Equal(t, map[string]any{"requestId": op, "type": "TransactionSuccess"}, reply["headers"])
	require.Equal(t, event["transactionHash"], reply["transactionHash"])
	require.Regexp(t, `^\d{12}/\d{6}(/\d{6})?$`, reply["protocolId"])

	// Core asks about an operation whose reply it may have missed.
	status := c.call(http.MethodGet, "/transactions/"+op, "", http.StatusOK)
	require.Equal(t, "Succeeded", status["status"])
	require.Equal(t, reply["transactionHash"], status["transactionHash"])
	require.Equal(t, reply["protocolId"], status["receipt"].(map[string]any)["protocolId"])
	c.call(http.MethodGet, "/transactions/ns1:unknown", "", http.StatusNotFound)

	// A refusal is final and says so; a query returns its result as it is.
	refused := c.call(http.MethodPost, "/", strings.Replace(tx, op, "ns1:another", 1), http.StatusUnprocessableEntity)
	require.Equal(t, true, refused["submissionRejected"])
	require.Contains(t, refused["error"], "asset-1")
	read := c.call(http.MethodPost, "/", `{"headers":{"type":"Query"},"from":"0x2a","to":"assets","method":{"name":"read"},"params":["asset-1"]}`,
		http.StatusAccepted)
	require.Equal(t, "blue", read["value"])

	c.call(http.MethodDelete, "/subscriptions/"+subID, "", http.StatusNoContent)
	c.call(http.MethodGet, "/subscriptions/"+subID, "", http.StatusNotFound)
	interruptsCleanly(t, p)
}
