package jetstream_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// relay stands between a sink and a server.
type relay struct {
	t        testing.TB
	to       string
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn               // guarded by mu
	made  int                      // guarded by mu
	back  func(p []byte) (ok bool) // what the server says; false: it is not passed on, and the connection is cut; guarded by mu
	forth func(p []byte) (ok bool) // what the sink says; guarded by mu
}

func newRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{t: t, to: to, listener: l}
	r.ended.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.ended.Wait()
	})
	return r
}

func (r *relay) url() string { return "nats://" + r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).Dial("tcp", r.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, in, out)
		r.made++
		r.mu.Unlock()
		r.ended.Go(func() { r.pass(out, in, func() func([]byte) bool { return r.forth }) })
		r.ended.Go(func() { r.pass(in, out, func() func([]byte) bool { return r.back }) })
	}
}

func (r *relay) pass(to, from net.Conn, filter func() func([]byte) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		f := filter()
		r.mu.Unlock()
		if n > 0 && f != nil && !f(buf[:n]) {
			return
		}
		if _, bad := to.Write(buf[:n]); bad != nil || err != nil {
			return
		}
	}
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *relay) set(forth, back func(p []byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forth, r.back = forth, back
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made
}
