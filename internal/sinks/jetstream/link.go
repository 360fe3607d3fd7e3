package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	connectTimeout = 10 * time.Second // with one server, until it has let us in
	pingInterval   = 20 * time.Second
	maxPings       = 2           // without an answer
	lookAgain      = time.Minute // after this time the stream may be set up otherwise
)

// link is one connection. It is never made anew behind the back of a delivery: what is in flight when it breaks is a suffix of what was
// published, and comes again on another one.
type link struct {
	nc      *nats.Conn
	dials   *dials
	hide    *broker.Redactor
	shown   string // what errors name
	stream  string
	js      jetstream.JetStream
	info    *jetstream.StreamInfo
	looked  time.Time // when info was got
	timeout time.Duration

	inbox    string         // what answers begin with; a number follows
	answers  chan *nats.Msg // has room for all that are awaited
	number   uint64         // of the last message that was published
	window   int            // how many messages may be unanswered
	doubtful bool           // there are messages of which nobody knows what becomes of them

	trouble chan error    // what the server says beside answers
	closed  chan struct{} // the connection is
}

// connect makes a connection, and looks at the stream.
func (o *out) connect(ctx context.Context) (*link, error) {
	known, hide, err := o.factory.settings.Reveal(ctx, &o.cfg)
	if err != nil {
		return nil, err
	}
	l := &link{
		dials: &dials{dial: o.factory.env.Guard.DialContext}, hide: hide, shown: o.cfg.URL, stream: o.cfg.Stream,
		timeout: time.Duration(*o.cfg.RequestTimeout), window: maxWindow,
		answers: make(chan *nats.Msg, maxWindow), trouble: make(chan error, 1), closed: make(chan struct{}),
	}
	options, err := l.options(ctx, known, o.stream.Name)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, l.dials.abort)()
	if l.nc, err = nats.Connect(known.URL, options...); err != nil {
		return nil, l.failed(ctx, l.dials.reason(err))
	}
	if err := l.prepare(ctx, known); err != nil {
		err = l.failed(ctx, err)
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *link) options(ctx context.Context, known *apitypes.JetStreamConfig, name string) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("pyralis " + name), nats.SetCustomDialer(dialer(func(network, address string) (net.Conn, error) {
			return l.dials.connect(ctx, network, address)
		})),
		nats.IgnoreDiscoveredServers(), // the login goes to none that only another server names
		nats.SkipHostLookup(),          // names are resolved and judged in one step by netguard
		nats.NoReconnect(), nats.Timeout(connectTimeout), nats.FlusherTimeout(l.timeout),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case l.trouble <- err:
			default: // the first says it
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }),
	}
	secured, err := broker.TLS(known.TLS)
	if err != nil {
		return nil, err
	}
	if secured != nil {
		options = append(options, nats.Secure(secured))
	}
	if known.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(known.InboxPrefix))
	}
	switch {
	case known.Credentials != "":
		if err := checkCredentials(known.Credentials); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		options = append(options, nats.UserCredentialBytes([]byte(known.Credentials)))
	case known.Username != "":
		options = append(options, nats.UserInfo(known.Username, known.Password))
	case known.Token != "":
		options = append(options, nats.Token(known.Token))
	}
	return options, nil
}

// checkCredentials refuses what is no content of a .creds file. The errors do not show it.
func checkCredentials(text string) error {
	if !strings.Contains(text, "BEGIN NATS USER JWT") {
		return errors.New("hold no user JWT")
	}
	pair, err := nkeys.ParseDecoratedNKey([]byte(text))
	if err != nil {
		return errors.New("hold no seed of a user's key")
	}
	pair.Wipe()
	return nil
}

// prepare looks at the stream, and gets ready for answers.
func (l *link) prepare(ctx context.Context, known *apitypes.JetStreamConfig) (err error) {
	if l.js, err = jetstream.New(l.nc); known.Domain != "" {
		l.js, err = jetstream.NewWithDomain(l.nc, known.Domain)
	}
	if err != nil {
		return err
	}
	if err := l.look(ctx); err != nil {
		return err
	}
	l.inbox = l.nc.NewInbox() + "."
	_, err = l.nc.ChanSubscribe(l.inbox+"*", l.answers)
	return err
}

// look finds out how the stream is set up.
func (l *link) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout, fmt.Errorf("nobody tells about the stream %s within %s", l.stream, l.timeout))
	defer cancel()
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return l.unanswered(ctx, err)
	}
	l.info, l.looked = stream.CachedInfo(), time.Now()
	if problem := unusable(&l.info.Config); problem != "" {
		return &unfitError{l.stream + " " + problem}
	}
	return nil
}

// unfitError is why nothing can be delivered to a stream that is there.
type unfitError struct{ problem string }

func (u *unfitError) Error() string { return "the stream " + u.problem }

// unanswered is the error of a request. What the server said beside an answer is why there is none.
func (l *link) unanswered(ctx context.Context, err error) error {
	select {
	case said := <-l.trouble:
		return said
	default:
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("the stream %s: %w", l.stream, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream is not there, or not enabled for this account: %w", err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// failed is an error as it may be shown. It says nothing about any message.
func (l *link) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", l.shown, l.hide.Error(err))
}

// abort breaks the connection: what the server does not have yet, it does not get.
func (l *link) abort() { l.dials.abort() }

func (l *link) close() {
	l.abort() // first, else the client would send what it still has
	l.nc.Close()
}

// dialer is a nats.CustomDialer.
type dialer func(network, address string) (net.Conn, error)

func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// dials are the connections that a client asks for, one after the other.
type dials struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	last    net.Conn // guarded by mu
	err     error    // of the last one that could not be made; guarded by mu
	aborted bool     // guarded by mu
}

func (d *dials) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := d.dial(ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.err = err
		return nil, err
	}
	if d.aborted {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	d.last = conn
	return conn, nil
}

// abort ends the connection at once, and those that are made later.
func (d *dials) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.aborted = true
	if d.last == nil {
		return
	}
	if tcp, ok := d.last.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // nothing is sent any more
	}
	_ = d.last.Close()
}

// reason is why there is no connection. The client does not always tell.
func (d *dials) reason(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil && errors.Is(err, nats.ErrNoServers) {
		err = d.err
	}
	var forbidden *netguard.Forbidden
	if errors.As(err, &forbidden) {
		return fmt.Errorf("%w; brokers.allow and brokers.allowPrivateIPs in the configuration of the server can allow it", err)
	}
	return err
}

// isTLS says whether an error is about proving who is who.
func isTLS(err error) bool {
	return errors.Is(err, nats.ErrTLS) || errors.Is(err, nats.ErrSecureConnWanted) || errors.Is(err, nats.ErrSecureConnRequired) ||
		strings.Contains(err.Error(), "tls: ") // an alert of the other side has no type
}
