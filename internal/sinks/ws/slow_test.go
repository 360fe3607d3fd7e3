package ws_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
)

// A client that reads slowly, and answers no more than the pings, lives: it is asked while a long backlog is written, too.
func TestASlowReaderIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	const ping, frames = time.Second, 30
	r := newRig(t, ws.Options{PingInterval: ping})
	web := httptest.NewUnstartedServer(r.server)
	web.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			_ = c.(*net.TCPConn).SetWriteBuffer(16 << 10) // what waits there cannot be overtaken by a ping
		}
	}
	web.Start()
	defer web.Close()
	r.url = "ws" + strings.TrimPrefix(web.URL, "http")
	c := r.dial()
	require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(16<<10))
	pings := 0
	answer := c.PingHandler()
	c.SetPingHandler(func(data string) error { pings++; return answer(data) })
	c.wantReplies()
	reply := []byte(`{"type":"` + strings.Repeat("x", 256<<10) + `"}`)
	for range frames {
		r.server.Reply(reply)
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(6*patience)))
	slow := time.NewTicker(ping / 5) // in all, three times the time after which a silent client is cut off
	defer slow.Stop()
	for range frames {
		<-slow.C
		kind, _, err := c.ReadMessage()
		require.NoError(t, err, "after %d pings", pings)
		require.Equal(t, websocket.TextMessage, kind)
	}
	require.Positive(t, pings)
}
