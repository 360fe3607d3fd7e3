package fabric

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
)

// lively is a connection on which everything that arrives is a sign of life: while a large block comes over a slow link, the answer to a probe waits
// behind it.
type lively struct {
	net.Conn
	alive func()
}

// Read implements net.Conn.
func (l *lively) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.alive()
	}
	return n, err
}

// watching makes lively connections. The connection is wrapped after the handshake, since gRPC sets options of the one below it.
type watching struct {
	credentials.TransportCredentials
	alive func()
}

// ClientHandshake implements credentials.TransportCredentials.
func (w *watching) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return conn, info, err
	}
	return &lively{conn, w.alive}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (w *watching) Clone() credentials.TransportCredentials {
	return &watching{w.TransportCredentials.Clone(), w.alive}
}
