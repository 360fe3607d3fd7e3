package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// link is one connection of a client and the one to the target that belongs to it.
type link struct {
	p      *Proxy
	client net.Conn
	ctx    context.Context // ends with the link: by an error, Cut or Close
	cancel context.CancelFunc
}

// chunk is what was read at once, or how reading ended.
type chunk struct {
	data []byte
	err  error
	due  time.Time
}

// queue is how many chunks of one direction may be on their way. It bounds the memory, and with a delay also the throughput.
const queue = 64

func (l *link) run() {
	defer l.p.forget(l)
	defer l.cancel()
	if l.p.pass(l.ctx) != nil {
		reset(l.client)
		return
	}
	server, err := (&net.Dialer{}).DialContext(l.ctx, "tcp", l.p.target)
	if err != nil {
		reset(l.client)
		return
	}
	var breaker, both sync.WaitGroup
	breaker.Go(func() { // readers and writers are woken by closing what they read and write
		<-l.ctx.Done()
		reset(l.client)
		reset(server)
	})
	l.direction(&both, server, l.client)
	l.direction(&both, l.client, server)
	both.Wait()
	if l.ctx.Err() == nil { // both sides ended in peace, and what was written last may not have left yet: no reset
		_ = l.client.Close()
		_ = server.Close()
	}
	l.cancel()
	breaker.Wait()
}

// direction starts what carries bytes from src to dst.
func (l *link) direction(wg *sync.WaitGroup, dst, src net.Conn) {
	chunks := make(chan chunk, queue)
	wg.Go(func() { l.read(chunks, src) })
	wg.Go(func() {
		if l.write(dst, chunks) != nil {
			l.cancel()
		}
	})
}

// read ends with the first error, which it passes on like data: the other side may learn of it no sooner.
func (l *link) read(chunks chan<- chunk, src net.Conn) {
	for {
		buf := make([]byte, 32<<10)
		n, err := src.Read(buf)
		select {
		case <-l.ctx.Done():
			return
		case chunks <- chunk{buf[:n], err, l.p.due()}:
		}
		if err != nil {
			return
		}
	}
}

// write returns nil at the end of the data, and an error when the link is of no use any more.
func (l *link) write(dst net.Conn, chunks <-chan chunk) error {
	for {
		var c chunk
		select {
		case <-l.ctx.Done():
			return l.ctx.Err()
		case c = <-chunks:
		}
		if err := retry.Sleep(l.ctx, time.Until(c.due)); err != nil {
			return err
		}
		if err := l.p.pass(l.ctx); err != nil {
			return err
		}
		if len(c.data) > 0 {
			if _, err := dst.Write(c.data); err != nil {
				return err
			}
			if dst == l.client {
				l.p.back.Add(int64(len(c.data)))
			}
		}
		if errors.Is(c.err, io.EOF) {
			return dst.(*net.TCPConn).CloseWrite()
		}
		if c.err != nil {
			return c.err
		}
	}
}
