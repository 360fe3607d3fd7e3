package fabric

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// maxMessage is what Fabric's own components allow in a message.
const maxMessage = 100 << 20

// oneBlock is how long a peer may take to deliver one block that it has, when it is asked for the first time (see slow).
const oneBlock = 15 * time.Second

// node is one peer and the connection to it.
type node struct {
	endpoint
	conn   *grpc.ClientConn
	client *clientCert // nil without mutual TLS
	watch  *watch
	ahead  *readAhead
	slow   *slow
	health health // guarded by the pool's mu

	connect  time.Duration          // limit of a connection
	oneBlock time.Duration          // limit of the delivery of one block, which grows with each time that it does not come
	longest  time.Duration          // up to this
	broken   atomic.Pointer[error]  // why the last attempt to connect failed; nil after one that succeeded
	shown    atomic.Pointer[[]byte] // hash of the certificate that the peer was shown in the last connection

	failed func(error) // tells the pool
	worked func()
	tick   func() // is called now and then while something is under way
}

func newNode(e endpoint, cfg *Config, client *clientCert, log *logrus.Entry) (*node, error) {
	n := &node{endpoint: e, client: client, connect: cfg.Timeouts.Connect, oneBlock: oneBlock, longest: cfg.Timeouts.CommitStatus, tick: func() {}}
	n.ahead, n.slow = &readAhead{limit: readAheadBytes}, &slow{}
	n.failed, n.worked = func(error) {}, func() {}
	n.watch = &watch{
		silence: cfg.Timeouts.Silence, tick: func() { n.tick() },
		probe: func(ctx context.Context) error { return n.ping(ctx) }, lost: func() { n.failed(n.silent()) },
	}
	var creds credentials.TransportCredentials = &handshaker{n: n, log: log}
	if e.plain {
		creds = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+e.address, // names are looked up by the dialer, each time
		grpc.WithTransportCredentials(&watching{creds, n.watch.alive}),
		grpc.WithContextDialer(n.dial),
		// The pool decides when to try again, and says so with ResetConnectBackoff: what gRPC does by itself comes on top.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: cfg.Backoff.Initial, Multiplier: 2, Jitter: 0.5, MaxDelay: cfg.Backoff.Max},
			MinConnectTimeout: cfg.Timeouts.Connect,
		}),
		// A peer closes connections that ping more often than once a minute.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 90 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(n.unary),
		grpc.WithStreamInterceptor(n.stream),
	)
	if err != nil {
		return nil, fmt.Errorf("fabric: peer %s: %w", e.label(), err)
	}
	n.conn = conn
	return n, nil
}

// dial opens the TCP connection.
func (n *node) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.connect)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		n.broken.Store(&err)
		return nil, err
	}
	n.broken.Store(nil)
	return conn, nil
}

// certHash is what binds a request to the TLS connection it is sent over, nil without mutual TLS.
func (n *node) certHash() []byte {
	if h := n.shown.Load(); h != nil {
		return *h
	}
	if n.client == nil {
		return nil
	}
	return n.client.current().hash
}

// ping asks the peer for a sign of life. Any answer is one: few peers know this call.
func (n *node) ping(ctx context.Context, opts ...grpc.CallOption) error {
	_, err := healthpb.NewHealthClient(n.conn).Check(ctx, &healthpb.HealthCheckRequest{}, opts...)
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return n.explain(err)
	default:
		return nil
	}
}

// reconnect pings a peer that failed, over a new connection if need be.
func (n *node) reconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.connect+n.watch.silence/2)
	defer cancel()
	n.conn.ResetConnectBackoff()
	n.conn.Connect()
	return n.ping(ctx, grpc.WaitForReady(true))
}

// unary looks after a call.
func (n *node) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == healthpb.Health_Check_FullMethodName {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	ctx, end := n.watch.begin(ctx)
	defer end()
	err := invoke(ctx, method, req, reply, cc, opts...)
	return n.outcome(ctx, err)
}

// stream looks after a stream.
func (n *node) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, end := n.watch.begin(ctx)
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		defer end()
		return nil, n.outcome(ctx, err)
	}
	context.AfterFunc(ctx, end) // a reader may go without reading to the end
	return &watched{ClientStream: s, n: n, end: end}, nil
}

// watched is a stream of which the peer's signs of life are noted.
type watched struct {
	grpc.ClientStream
	n   *node
	end func()
}

// RecvMsg implements grpc.ClientStream.
func (w *watched) RecvMsg(m any) error {
	err := w.ClientStream.RecvMsg(m)
	if err == nil {
		w.n.watch.alive()
		return nil
	}
	err = w.n.outcome(w.Context(), err)
	w.end()
	return err
}

// outcome notes what a call says about the peer, and returns its error in words that name the peer if it got no answer.
func (n *node) outcome(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSilent { //nolint:errorlint // it is set as it is
		return n.silent()
	}
	explained := n.explain(err)
	if isLost(explained) {
		n.failed(explained)
	} else if ctx.Err() == nil {
		n.watch.alive()
	}
	return explained
}

// close ends the connection.
func (n *node) close() error {
	err := n.conn.Close()
	n.watch.stop()
	return err
}
