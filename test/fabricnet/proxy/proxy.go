package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// Proxy is one listener in front of one target. Its methods are safe for concurrent use.
type Proxy struct {
	target string
	ln     net.Listener
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	back   atomic.Int64 // bytes that went to clients

	mu    sync.Mutex // guards what follows
	cut   bool
	delay time.Duration
	open  chan struct{} // closed while bytes may pass
	links map[*link]struct{}
}

// Listen accepts connections on address, which may end in ":0", and forwards them to target. The target is first dialled when a client comes.
func Listen(address, target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{target: target, ln: ln, open: closed(), links: map[*link]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Close ends the proxy and all its connections, and returns when nothing of it is left.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.ln.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Back is how many bytes have gone from the target to clients so far.
func (p *Proxy) Back() int64 { return p.back.Load() }

// Heal ends Cut, Silence and Delay.
func (p *Proxy) Heal() { p.set(false, false, 0) }

// Delay lets every byte, there and back, arrive later by d. It ends Cut and Silence.
func (p *Proxy) Delay(d time.Duration) { p.set(false, false, d) }

// Silence lets nothing pass any more, and tells nobody.
func (p *Proxy) Silence() { p.set(false, true, 0) }

// Cut resets all connections, and every new one.
func (p *Proxy) Cut() { p.set(true, false, 0) }

func (p *Proxy) set(cut, silent bool, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = cut, delay
	switch open := isClosed(p.open); {
	case silent && open:
		p.open = make(chan struct{})
	case !silent && !open:
		close(p.open)
	}
	if cut {
		for l := range p.links {
			l.cancel()
		}
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if p.ctx.Err() != nil {
			if err == nil {
				reset(conn)
			}
			return
		}
		if err != nil { // e.g. too many open files: let some be closed
			_ = retry.Sleep(p.ctx, 10*time.Millisecond)
			continue
		}
		if l := p.link(conn); l != nil {
			p.wg.Go(l.run)
		}
	}
}

// link registers a connection of a client; nil when it is not wanted.
func (p *Proxy) link(client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		reset(client)
		return nil
	}
	l := &link{p: p, client: client}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	p.links[l] = struct{}{}
	return l
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// due is when bytes that come now may go on.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

// pass waits while the proxy is silent.
func (p *Proxy) pass(ctx context.Context) error {
	for {
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		if isClosed(open) {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-open:
		}
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// reset closes a connection such that the other side reads an error, not an end.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed next, whatever this says
	}
	_ = conn.Close()
}
