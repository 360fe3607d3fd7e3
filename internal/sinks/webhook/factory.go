package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Secrets resolves references to secrets.
type Secrets interface {
	// IsReference says whether a text is a reference, and no secret by itself.
	IsReference(text string) bool
	// Check says whether a reference may be resolved. It reads nothing.
	Check(ref string) error
	// Resolve returns what a reference stands for.
	Resolve(ctx context.Context, ref string) (string, error)
}

// Config is the section webhooks of the configuration.
type Config struct {
	AllowPrivateIPs bool     `json:"allowPrivateIPs"`
	Allow           []string `json:"allow"` // addresses, ranges and host names
	Proxy           string   `json:"proxy"` // URL; "": none, whatever the environment says
	TLS             TLS      `json:"tls"`
}

// TLS are PEM files for receivers with https; "" for none.
type TLS struct {
	CAFile   string `json:"caFile"`
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// Options are what a factory needs besides its configuration.
type Options struct {
	Secrets  Secrets
	Resolver *net.Resolver    // nil: the system's
	Now      func() time.Time // nil: time.Now
}

// Factory makes the sinks of type webhook.
type Factory struct {
	guard   *netguard.Guard
	secrets Secrets
	tls     *tls.Config
	proxy   *url.URL
	now     func() time.Time

	pingAfter, pingTimeout time.Duration
}

var (
	_ sink.Factory      = (*Factory)(nil)
	_ sink.Confidential = (*Factory)(nil)
)

// New reads the files that the configuration names and makes a factory. Errors begin with the key at fault.
func New(cfg Config, o Options) (*Factory, error) {
	if o.Secrets == nil {
		return nil, errors.New("webhook: Secrets are required")
	}
	f := &Factory{secrets: o.Secrets, now: o.Now, pingAfter: pingAfter, pingTimeout: pingTimeout}
	if f.now == nil {
		f.now = time.Now
	}
	var err error
	if f.guard, err = netguard.New(netguard.Options{AllowPrivate: cfg.AllowPrivateIPs, Allow: cfg.Allow, Resolver: o.Resolver}); err != nil {
		return nil, fmt.Errorf("webhooks.allow: %w", err)
	}
	if f.tls, err = (netguard.TLSFiles{CA: cfg.TLS.CAFile, Cert: cfg.TLS.CertFile, Key: cfg.TLS.KeyFile}).Config(); err != nil {
		return nil, fmt.Errorf("webhooks.tls: %w", err)
	}
	if cfg.Proxy != "" {
		// None with https: a stream that turns off the look at certificates would do so for that of the proxy.
		u, err := url.Parse(cfg.Proxy)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "socks5" {
			return nil, errors.New("webhooks.proxy: must be a URL such as http://proxy.example.com:3128") // it may hold a password
		}
		f.proxy = u
	}
	return f, nil
}

// Type implements sink.Factory.
func (f *Factory) Type() string { return apitypes.StreamWebhook }

// Validate implements sink.Factory.
func (f *Factory) Validate(raw json.RawMessage) (json.RawMessage, error) {
	cfg, _, err := parse(raw, defaults())
	if err != nil {
		return nil, err
	}
	if err := f.check(&cfg); err != nil {
		return nil, err
	}
	return json.Marshal(cfg) //nolint:gosec // what is stored holds the secret
}

// Open implements sink.Factory. What is stored is not checked again: what is not allowed any more is an error of each delivery, and so is
// shown, and gone once it is allowed.
func (f *Factory) Open(ctx context.Context, s sink.Stream, raw json.RawMessage) (sink.Sink, error) {
	cfg, _, err := parse(raw, defaults())
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("webhook: the URL cannot be parsed") // the error would show it
	}
	h := &hook{factory: f, stream: s, cfg: cfg, url: u, shown: u.Scheme + "://" + u.Host, hidden: urlSecrets(u), turn: turn.New(ctx)}
	connections := &conns{dial: f.guard.DialContext, open: make(map[*conn]struct{})}
	if f.proxy != nil {
		connections.dial = (&net.Dialer{}).DialContext // to the proxy, which the operator chose; what it is asked for is checked before
	}
	h.disconnect = connections.close
	transport := f.transport(connections, cfg.TLSSkipHostVerify)
	h.client = resty.NewWithClient(&http.Client{Transport: transport}).
		SetRedirectPolicy(resty.RedirectPolicyFunc(func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })).
		SetDisableWarn(true).SetLogger(silent{})
	return h, nil
}

const (
	keepAlive      = 90 * time.Second
	handshake      = 10 * time.Second
	pingAfter      = 15 * time.Second // of silence on an HTTP/2 connection, which would be used for ever otherwise when the peer is gone
	pingTimeout    = 10 * time.Second
	maxHeaderBytes = 64 << 10
)

// transport makes the connections of one stream, so that no stream waits for the connections of another.
func (f *Factory) transport(c *conns, skipVerify bool) *http.Transport {
	t := &http.Transport{
		DialContext: c.DialContext, TLSClientConfig: f.tls.Clone(), TLSHandshakeTimeout: handshake, ForceAttemptHTTP2: true,
		DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: keepAlive, MaxResponseHeaderBytes: maxHeaderBytes,
		HTTP2: &http.HTTP2Config{SendPingTimeout: f.pingAfter, PingTimeout: f.pingTimeout},
	}
	t.TLSClientConfig.InsecureSkipVerify = skipVerify
	if f.proxy != nil {
		t.Proxy = http.ProxyURL(f.proxy)
	}
	return t
}

// silent keeps resty from writing to standard error: what goes wrong is in the error that it returns.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}

// problem is an error of a delivery that says nothing about the batch.
func (h *hook) problem(format string, args ...any) error {
	return fmt.Errorf("%s: %s", h.shown, fmt.Sprintf(format, args...))
}
