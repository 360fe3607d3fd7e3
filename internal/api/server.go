package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hyperledger/firefly-common/pkg/log"
	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	writeGrace     = 30 * time.Second // for writing the answer, after the longest request
	maxHeaderBytes = 64 << 10
)

// ServerOptions are what a server is made of.
type ServerOptions struct {
	// Section is the part of the configuration that address and port come from, for errors: "api".
	Section string
	Address string // host name or IP address
	Port    int    // 0 picks a free one
	Handler http.Handler

	MaxRequestTime time.Duration // of the longest request that Handler serves
	// ShutdownTimeout bounds Stop, together with Stop's own context: what is still connected then is cut off.
	ShutdownTimeout time.Duration
	// OnStop, if set, is called by every Stop, beside the waiting for requests under way: it ends the connections
	// that Handler took over. Whatever of them is left when it returns is closed.
	OnStop func(ctx context.Context) error

	Log *logrus.Entry
}

// Server is an HTTP server as a service.
type Server struct {
	o     ServerOptions
	group lifecycle.Group

	mu       sync.Mutex // for all below
	http     *http.Server
	listener net.Listener
	abort    context.CancelCauseFunc   // ends the contexts of all requests
	open     map[*trackedConn]struct{} // every connection, also those that were taken over
	stopped  bool
	serving  int           // handlers that have not returned
	idle     chan struct{} // closed when none runs any more; nil while nobody waits for that
}

// NewServer makes a server that does not listen yet.
func NewServer(o ServerOptions) *Server {
	return &Server{o: o, open: make(map[*trackedConn]struct{})}
}

// Start listens, and serves in the background. An address that cannot be used is an error of one line that names the key.
func (s *Server) Start(ctx context.Context) error {
	if err := s.group.Start(ctx); err != nil {
		return err
	}
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	base, abort := context.WithCancelCause(log.WithLogger(context.WithoutCancel(ctx), s.o.Log))
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       s.o.MaxRequestTime + writeGrace,
		WriteTimeout:      s.o.MaxRequestTime + writeGrace,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(slogTo{s.o.Log}, slog.LevelWarn),
	}
	s.mu.Lock()
	s.http, s.listener, s.abort = srv, l, abort
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		abort(lifecycle.ErrStopped)
		return errors.Join(lifecycle.ErrStopped, l.Close())
	}
	s.group.Go("serve", func(context.Context) {
		if err := srv.Serve(&trackingListener{l, s}); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.WithError(err).Errorf("The server at %s has ended", l.Addr())
		}
	})
	return nil
}

// listen opens the port, and explains what stands against it.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	address := net.JoinHostPort(s.o.Address, strconv.Itoa(s.o.Port))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	var dns *net.DNSError
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s.port: %s is in use by another process: stop it, or choose another port: %w", s.o.Section, address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s.port: %s may not be used by this user: choose a port above 1023: %w", s.o.Section, address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) || errors.As(err, &dns):
		return nil, fmt.Errorf("%s.address: %s is no address of this machine: %w", s.o.Section, s.o.Address, err)
	default:
		return nil, fmt.Errorf("%s.address: cannot listen on %s: %w", s.o.Section, address, err)
	}
}

// URL is where the server is reached from this machine, once it has started.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return ""
	}
	switch ip := net.ParseIP(host); {
	case ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
		if s.o.Address == "" || s.o.Address == "0.0.0.0" {
			host = "127.0.0.1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serve counts the handlers that run, which Stop waits for.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.count(1)
	defer s.count(-1)
	s.o.Handler.ServeHTTP(w, r)
}

func (s *Server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving += n; s.serving == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// drained returns a channel that is closed when no handler runs.
func (s *Server) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle
}

// Stop closes the listener, lets requests under way finish, and cuts off what is still connected when ctx ends or the time is up.
func (s *Server) Stop(ctx context.Context) error {
	srv := s.beginStop()
	if srv == nil {
		return s.group.Stop(ctx)
	}
	graceful, cancel := context.WithTimeout(ctx, s.o.ShutdownTimeout)
	defer cancel()
	taken := make(chan error, 1)
	end := func(context.Context) { taken <- s.endTaken(graceful) }
	if !s.group.Go("end connections", end) {
		end(graceful)
	}
	err := srv.Shutdown(graceful)
	if graceful.Err() != nil && errors.Is(err, graceful.Err()) {
		s.o.Log.Warn("Requests that were still under way when the server stopped are cut off")
		err = nil
	}
	select {
	case e := <-taken:
		err = errors.Join(err, e)
	case <-graceful.Done():
	}
	s.cut()
	select {
	case <-s.drained():
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("requests have not returned: %w", ctx.Err()))
	}
	return errors.Join(err, s.group.Stop(ctx))
}

func (s *Server) endTaken(ctx context.Context) error {
	if s.o.OnStop == nil {
		return nil
	}
	return s.o.OnStop(ctx)
}

func (s *Server) beginStop() *http.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.http
}

// cut ends every request and closes every connection that is still open.
func (s *Server) cut() {
	s.mu.Lock()
	s.abort(lifecycle.ErrStopped)
	var left []*trackedConn
	for c := range s.open {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		_ = c.Close() // it is cut off: nothing waits for what was on its way
	}
}

// trackingListener keeps account of the connections: net/http forgets those that a handler takes over.
type trackingListener struct {
	net.Listener
	server *Server
}

// Accept waits for a connection.
func (l *trackingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &trackedConn{Conn: c, server: l.server}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.server.open[t] = struct{}{}
	return t, nil
}

type trackedConn struct {
	net.Conn
	server *Server
}

// Close closes the connection and ends its account.
func (c *trackedConn) Close() error {
	c.server.mu.Lock()
	delete(c.server.open, c)
	c.server.mu.Unlock()
	return c.Conn.Close()
}
