package fabric

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
)

// narrowTo is a way to an address over which answers come with so many bytes in a hundredth of a second.
func narrowTo(t *testing.T, target string, bytes int64) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	carry := func(from net.Conn) {
		to, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
		if err != nil {
			_ = from.Close()
			return
		}
		_ = to.(*net.TCPConn).SetReadBuffer(int(bytes)) // a narrow link holds little
		context.AfterFunc(ctx, func() { _, _ = from.Close(), to.Close() })
		all.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
		all.Go(func() {
			defer from.Close()
			for {
				last := time.Now()
				<-time.After(10 * time.Millisecond) // or longer, on a busy machine
				if _, err := io.CopyN(from, to, bytes*int64(time.Since(last))/int64(10*time.Millisecond)); err != nil {
					return
				}
			}
		})
	}
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				carry(conn)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

// A peer whose large block is on its way is no silent one, although it answers nothing else meanwhile.
func TestALargeBlockIsASignOfLife(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	doc := `{"id":"` + strings.Repeat("x", 100_000) + `"}`
	f.mine(testTx{id: "large", time: noon, event: &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "E", Payload: []byte(doc)}})
	c, _ := explicitly(t, f.wallet, func(cfg *Config) {
		cfg.Timeouts = Timeouts{Silence: 6 * time.Second}
	}, narrowTo(t, f.address, 150))
	c.peers.nodes[0].oneBlock = 2 * time.Minute
	b, err := c.Block(t.Context(), "ch1", 1)
	require.NoError(t, err)
	require.Equal(t, f.ref(1), b.BlockRef)
	c.peers.each(func(n *node) { require.Zero(t, n.health.total, "it never counted as failed") })
}
