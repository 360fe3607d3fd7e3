package fabric

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// maxMessage is what Fabric's own components allow in a message.
const maxMessage = 100 << 20

// node is one peer and the connection to it.
type node struct {
	endpoint
	conn *grpc.ClientConn
}

// pool holds the peers of the organisation. One of them is asked until it fails.
type pool struct {
	nodes   []*node
	current atomic.Uint64 // counts failures; modulo the number of peers it is the one to ask
}

// dialAll makes the connections. gRPC connects when they are first used.
func dialAll(ctx context.Context, endpoints []endpoint) (*pool, error) {
	p := &pool{}
	for _, e := range endpoints {
		creds := insecure.NewCredentials()
		if !e.plain {
			roots, err := e.roots(ctx)
			if err != nil {
				return nil, errors.Join(err, p.close())
			}
			creds = credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: e.serverName, MinVersion: tls.VersionTLS12})
		}
		conn, err := grpc.NewClient(e.address,
			grpc.WithTransportCredentials(creds),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.5, MaxDelay: 5 * time.Second},
				MinConnectTimeout: 5 * time.Second,
			}),
			// A peer closes connections that ping more often than once a minute.
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 90 * time.Second, Timeout: 20 * time.Second}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("fabric: peer %s at %s: %w", e.name, e.address, err), p.close())
		}
		p.nodes = append(p.nodes, &node{e, conn})
	}
	return p, nil
}

// pick returns the peer to ask, and how to say that it was not available.
func (p *pool) pick() (n *node, failed func()) {
	at := p.current.Load()
	return p.nodes[at%uint64(len(p.nodes))], func() {
		p.current.CompareAndSwap(at, at+1) // several calls may fail at the same peer: only the first moves on
	}
}

func (p *pool) close() error {
	var errs []error
	for _, n := range p.nodes {
		errs = append(errs, n.conn.Close())
	}
	return errors.Join(errs...)
}
