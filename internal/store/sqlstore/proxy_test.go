package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const tick = time.Millisecond

// fault breaks the writer's connection at its message of that number, counted from when it was armed.
type fault struct {
	message  int
	answered bool // the server gets the message, and answers; else it gets nothing
}

// proxy stands between a client and a server and breaks connections.
type proxy struct {
	t        *testing.T
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	refused bool
	armed   *fault
	hit     bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	x := &proxy{t: t, listener: l, target: target, conns: map[net.Conn]struct{}{}}
	x.wg.Go(x.accept)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		x.cut()
		x.wg.Wait()
	})
	return x
}

func (x *proxy) addr() string { return x.listener.Addr().String() }

func (x *proxy) arm(f fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armed, x.hit = &f, false
}

func (x *proxy) struck() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hit
}

func (x *proxy) refuse(yes bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refused = yes
}

// cut closes every connection.
func (x *proxy) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		_ = c.Close() // that it is closed already is as good
	}
}

func (x *proxy) add(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conns[c] = struct{}{}
}

func (x *proxy) remove(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.conns, c)
	_ = c.Close()
}

func (x *proxy) accept() {
	for {
		client, err := x.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				x.t.Error(err)
			}
			return
		}
		x.wg.Go(func() { x.serve(client) })
	}
}

func (x *proxy) serve(client net.Conn) {
	x.add(client)
	defer x.remove(client)
	x.mu.Lock()
	refused := x.refused
	x.mu.Unlock()
	if refused {
		return
	}
	var d net.Dialer
	server, err := d.DialContext(context.Background(), "tcp", x.target)
	if err != nil {
		return
	}
	x.add(server)
	defer x.remove(server)
	l := &line{proxy: x, client: client, server: server}
	x.wg.Go(func() {
		defer client.Close()
		l.down()
	})
	l.up()
}

// line is one connection through the proxy.
type line struct {
	proxy          *proxy
	client, server net.Conn

	writer   bool // belongs to up
	messages int  // since a fault was armed; belongs to up

	mu      sync.Mutex
	swallow bool
}

// up carries what the client says. The writer sends each of its rounds in one piece.
func (l *line) up() {
	defer l.server.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := l.client.Read(buf)
		if err != nil {
			return
		}
		if l.strikes(buf[:n]) {
			return
		}
		if _, err := l.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// strikes counts messages of the writer, which is known by its first question, and reports whether this one is to be lost.
func (l *line) strikes(message []byte) bool {
	l.writer = l.writer || bytes.Contains(message, []byte("SHOW synchronous_commit"))
	x := l.proxy
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.armed == nil || !l.writer {
		l.messages = 0
		return false
	}
	if l.messages++; l.messages < x.armed.message {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.swallow = x.armed.answered
	x.armed, x.hit = nil, true
	return !l.swallow
}

// down carries what the server says, until an answer is to be lost.
func (l *line) down() {
	buf := make([]byte, 1<<16)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		swallow := l.swallow
		l.mu.Unlock()
		if swallow {
			return
		}
		if _, err := l.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
