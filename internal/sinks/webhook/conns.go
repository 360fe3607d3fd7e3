package webhook

import (
	"context"
	"net"
	"sync"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// dialer makes a connection.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// conns are the connections of one stream. The transport closes those that it takes for idle at that moment, which is not all of them: one of HTTP/2 is not
// idle until some time after its last answer.
type conns struct {
	dial dialer

	mu     sync.Mutex
	open   map[*conn]struct{} // guarded by mu
	closed bool               // guarded by mu
}

type conn struct {
	net.Conn

	of *conns
}

func (c *conns) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	made, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	one := &conn{Conn: made, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // the transport dials in its own time
		_ = made.Close()
		return nil, sink.ErrClosed
	}
	c.open[one] = struct{}{}
	return one, nil
}

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// close closes all connections, and those that are made later.
func (c *conns) close() {
	c.mu.Lock()
	c.closed = true
	left := make([]*conn, 0, len(c.open))
	for one := range c.open {
		left = append(left, one)
	}
	c.mu.Unlock()
	for _, one := range left {
		_ = one.Close() // nobody waits for what is still to be sent
	}
}
