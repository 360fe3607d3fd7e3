package jetstream_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that is only named by another one is not logged in to: the secrets were given for the first.
func TestLoginGoesToNoOtherServer(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer first.Close()
	go func() {
		for {
			c, err := first.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"A\",\"version\":\"2.11.0\",\"max_payload\":1000000,\"proto\":1,\"connect_urls\":[%q]}\r\n", other.Addr())
			_ = c.Close()
		}
	}()
	heard := make(chan string, 1)
	go func() {
		c, err := other.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprint(c, "INFO {\"server_id\":\"B\",\"version\":\"2.11.0\",\"max_payload\":1000000,\"proto\":1}\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		heard <- line
	}()
	s := open(t, factory(t, nil), "nats://"+first.Addr().String(), `"username":"u","password":"canary-password"`)
	require.Error(t, send(t, s, batch(1, 1)))
	require.Error(t, send(t, s, batch(1, 1)))
	require.Empty(t, heard)
}

// A configuration of another version opens nothing, and that is nil.
func TestOpenOfWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	s, err := factory(t, nil).Open(t.Context(), theStream, json.RawMessage(`{"url":"nats://x:1","stream":"EVENTS","subject":"a","ofALaterVersion":1}`))
	require.ErrorContains(t, err, "ofALaterVersion")
	require.True(t, s == nil, "%T", s) //nolint:testifylint // an interface that holds a nil pointer is Nil to testify, and not nil
}
