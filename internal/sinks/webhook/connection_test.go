package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/netguard/dnstest"
	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// serveTLS starts a receiver with a certificate for 127.0.0.1 that nobody knows, and returns the file that holds it.
func serveTLS(t *testing.T, h http.HandlerFunc, change func(*httptest.Server)) (server *httptest.Server, authority string) {
	t.Helper()
	server = httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{}
	if change != nil {
		change(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return server, authority
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	requests := make(chan request, 10)
	server, authority := serveTLS(t, record(requests), nil)
	err := send(t, hook(t, factory(t, nil), server.URL, ""), batch(1, 1, 1))
	require.ErrorContains(t, err, "certificate")
	require.False(t, sink.IsRefused(err))
	require.NoError(t, send(t, hook(t, factory(t, nil), server.URL, `"tlsSkipHostVerify":true`), batch(1, 1, 1)), "asked for")
	require.Equal(t, "HTTP/2.0", (<-requests).proto)
	trusting := factory(t, func(c *webhook.Config, _ *webhook.Options) { c.TLS.CAFile = authority })
	require.NoError(t, send(t, hook(t, trusting, server.URL, ""), batch(1, 1, 1)))
	require.Equal(t, "HTTP/2.0", (<-requests).proto)
	other := "https://localhost:" + port(t, server.URL)
	require.ErrorContains(t, send(t, hook(t, trusting, other, ""), batch(1, 1, 1)), "certificate", "it is for another name")
}

// A certificate is shown to those who ask for one, also when theirs is not looked at.
func TestClientCertificateIsKeptWithoutVerification(t *testing.T) {
	t.Parallel()
	cert, key, pool := clientCertificate(t)
	requests := make(chan request, 10)
	server, authority := serveTLS(t, record(requests), func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, pool
	})
	require.Error(t, send(t, hook(t, factory(t, nil), server.URL, `"tlsSkipHostVerify":true`), batch(1, 1, 1)), "without one")
	f := factory(t, func(c *webhook.Config, _ *webhook.Options) {
		c.TLS = webhook.TLS{CAFile: authority, CertFile: cert, KeyFile: key}
	})
	for _, fields := range []string{`"tlsSkipHostVerify":false`, `"tlsSkipHostVerify":true`} {
		require.NoError(t, send(t, hook(t, f, server.URL, fields), batch(1, 1, 1)), fields)
	}
}

func clientCertificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pyralis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return certFile, keyFile, pool
}

func port(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Port()
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	requests := make(chan request, 100)
	server := httptest.NewUnstartedServer(record(requests))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s := hook(t, factory(t, nil), server.URL, "")
	for n := range int64(20) {
		require.NoError(t, send(t, s, batch(n, 1, 1)))
	}
	require.Equal(t, int64(1), connections.Load())
}

// A receiver that closes a kept connection as the next batch is on its way costs no failed attempt.
func TestConnectionThatIsClosedMeanwhile(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if served.Add(1) == 2 { // as if it had closed before: not a byte of an answer
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	})
	s := hook(t, factory(t, nil), server.URL, "")
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	require.NoError(t, send(t, s, batch(2, 1, 1)))
	require.Equal(t, int64(3), served.Load())
}

// An HTTP/2 connection whose other end has gone without a word is given up, and the next delivery takes another one. Without that it would be used for
// as long as the kernel sends again, a quarter of an hour.
func TestConnectionThatIsDead(t *testing.T) {
	t.Parallel()
	requests := make(chan request, 10)
	server, authority := serveTLS(t, record(requests), nil)
	cable := newCable(t, server.Listener.Addr().String())
	f := factory(t, func(c *webhook.Config, _ *webhook.Options) { c.TLS.CAFile = authority })
	f.SetPing(2*time.Second, 2*time.Second)
	s := hook(t, f, "https://"+cable.address, `"requestTimeout":"10m"`)
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	require.Equal(t, "HTTP/2.0", (<-requests).proto)
	cable.cut()
	require.Error(t, send(t, s, batch(2, 1, 1)), "what is on its way is lost")
	require.NoError(t, send(t, s, batch(2, 2, 1)))
}

// cable carries connections, and can drop all that is sent over those there are without a word.
type cable struct {
	address string

	mu   sync.Mutex
	dead []chan struct{} // guarded by mu; of the connections
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{address: l.Addr().String()}
	var carrying sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		carrying.Wait()
	})
	carrying.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				return
			}
			dead := make(chan struct{})
			c.mu.Lock()
			c.dead = append(c.dead, dead)
			c.mu.Unlock()
			carrying.Go(func() { carry(there, from, dead) })
			carrying.Go(func() { carry(from, there, dead) })
		}
	})
	return c
}

func carry(to, from net.Conn, dead chan struct{}) {
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.Close()
			return
		}
		select {
		case <-dead:
			continue
		default:
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, dead := range c.dead {
		close(dead)
	}
	c.dead = nil
}

// Behind a name that is allowed when it is looked at, and is another address when it is connected to.
func TestForbiddenAddressIsRefusedAtDial(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	server := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	strict := factory(t, func(c *webhook.Config, o *webhook.Options) { c.AllowPrivateIPs, o.Resolver = false, loopback(t) })
	err := send(t, hook(t, strict, "http://harmless.example:"+port(t, server.URL)+"/", ""), batch(1, 1, 1))
	require.EqualError(t, err, "http://harmless.example:"+port(t, server.URL)+": harmless.example resolves to 127.0.0.1, a loopback address, which may not be connected to; "+
		"webhooks.allow and webhooks.allowPrivateIPs in the configuration of the server can allow it")
	require.False(t, sink.IsRefused(err), "it says nothing about the batch")
	require.False(t, reached.Load())
	open := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Resolver = loopback(t) })
	require.NoError(t, send(t, hook(t, open, "http://harmless.example:"+port(t, server.URL)+"/", ""), batch(1, 1, 1)))

	// What was stored while more was allowed is no way around.
	cfg, err := factory(t, nil).Validate(config(server.URL, ""))
	require.NoError(t, err)
	s, err := strict.Open(t.Context(), theStream, cfg)
	require.NoError(t, err)
	require.ErrorContains(t, send(t, s, batch(1, 1, 1)), "a loopback address")
	require.NoError(t, s.Close(t.Context()))
}

// proxy is an HTTP proxy that sends everything to this machine, and tells what it was asked for.
func proxy(t *testing.T) (address string, asked chan string) {
	t.Helper()
	asked = make(chan string, 10)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + " " + r.Header.Get("Proxy-Authorization")
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusOK)
			return
		}
		_, target, err := net.SplitHostPort(r.Host)
		if err != nil {
			panic(err)
		}
		to, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", "127.0.0.1:"+target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(to, buffered)
			_ = to.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(from, to)
		_ = from.Close()
		<-gone
	}).URL, asked
}

func TestProxy(t *testing.T) {
	t.Parallel()
	address, asked := proxy(t)
	requests := make(chan request, 10)
	server, authority := serveTLS(t, record(requests), nil)
	f := factory(t, func(c *webhook.Config, o *webhook.Options) {
		c.AllowPrivateIPs, c.Proxy, c.TLS.CAFile, o.Resolver = false, "http://user:hunter2@"+address[len("http://"):], authority, dnstest.Resolver(t, func(name string, _ int) []string {
			return map[string][]string{"inside.example": {"10.0.0.1"}, "example.com": {"8.8.8.8"}}[name]
		})
	})
	const credentials = "Basic dXNlcjpodW50ZXIy"
	require.NoError(t, send(t, hook(t, f, "http://only.the.proxy.knows.example/", ""), batch(1, 1, 1)), "a name that is not known here")
	require.Equal(t, "only.the.proxy.knows.example "+credentials, <-asked)

	target := "https://example.com:" + port(t, server.URL) // the certificate is for it as well
	require.NoError(t, send(t, hook(t, f, target, `"headers":{"X-Key":"k"}`), batch(1, 1, 1)))
	require.Equal(t, target[len("https://"):]+" "+credentials, <-asked)
	r := <-requests
	require.Equal(t, "k", r.header.Get("X-Key"))
	require.Empty(t, r.header.Get("Proxy-Authorization"))

	err := send(t, hook(t, f, "http://inside.example", ""), batch(1, 1, 1))
	require.EqualError(t, err, "http://inside.example: inside.example resolves to 10.0.0.1, a private address, which may not be connected to; "+
		"webhooks.allow and webhooks.allowPrivateIPs in the configuration of the server can allow it")
	require.Empty(t, asked, "what is known to be forbidden is not asked for")
}

func TestEnvironmentHasNoSay(t *testing.T) {
	address, asked := proxy(t)
	t.Setenv("HTTP_PROXY", address)
	t.Setenv("http_proxy", address)
	url, _ := recorder(t)
	s := hook(t, factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Resolver = loopback(t) }), "http://r.example:"+port(t, url), "")
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	require.Empty(t, asked)
}

// loopback resolves every name to this machine.
func loopback(t *testing.T) *net.Resolver {
	t.Helper()
	return dnstest.Resolver(t, func(string, int) []string { return []string{"127.0.0.1"} })
}
