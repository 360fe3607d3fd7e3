package fees

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
)

const (
	maxAnswer  = 64 << 10
	maxSecret  = 4 << 10
	maxHeaders = 64
)

// RESTOptions is the section fees.rest of the configuration.
type RESTOptions struct {
	URL          string
	Method       string
	Headers      []string // "Name: value"
	Body         string
	Username     string
	Password     string
	PasswordFile string // read at start-up
	Template     string // over the JSON answer; "": the answer is the fee
	Timeout      time.Duration
	Proxy        string
}

// oracle asks a service on the web.
type oracle struct {
	method   string
	url      string
	shown    string // the URL without what may be secret
	body     string
	headers  http.Header
	template *answerTemplate
	client   *resty.Client
	idle     func()
}

// newOracle checks the options. It reads no file and makes no connection.
func newOracle(o *RESTOptions) (*oracle, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New(`fees.rest.url: must be a URL such as https://oracle.example.com/fees, with "fees.source: rest"`)
	}
	if o.Password != "" && o.PasswordFile != "" {
		return nil, errors.New("fees.rest.auth.passwordFile: must not be set beside fees.rest.auth.password")
	}
	r := &oracle{
		method: o.Method, url: o.URL, body: o.Body,
		shown: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).Redacted(),
	}
	if r.headers, err = parseHeaders(o.Headers); err != nil {
		return nil, err
	}
	if r.template, err = parseTemplate(o.Template); err != nil {
		return nil, err
	}
	return r, nil
}

func parseHeaders(lines []string) (http.Header, error) {
	if len(lines) > maxHeaders {
		return nil, fmt.Errorf("fees.rest.headers: must hold at most %d", maxHeaders)
	}
	headers := http.Header{}
	for i, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf(`fees.rest.headers: item %d must look like "Name: value"`, i+1)
		}
		headers.Set(name, strings.TrimSpace(value))
	}
	return headers, nil
}

// connect makes the client.
func (r *oracle) connect(o *RESTOptions) error {
	password, err := o.password()
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAnswer}
	if o.Proxy != "" {
		proxy, err := url.Parse(o.Proxy)
		if err != nil {
			return errors.New("fees.rest.proxy: must be a URL such as http://proxy.example.com:3128")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	r.idle = transport.CloseIdleConnections
	r.client = resty.NewWithClient(&http.Client{Transport: transport, Timeout: o.Timeout}).
		SetRedirectPolicy(resty.NoRedirectPolicy()). // headers with secrets would go along
		SetResponseBodyLimit(maxAnswer).
		SetDisableWarn(true).SetLogger(silent{})
	if o.Username != "" || password != "" {
		r.client.SetBasicAuth(o.Username, password)
	}
	return nil
}

func (o *RESTOptions) password() (string, error) {
	if o.PasswordFile == "" {
		return o.Password, nil
	}
	f, err := os.Open(o.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("fees.rest.auth.passwordFile: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("fees.rest.auth.passwordFile: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// ask makes one request.
func (r *oracle) ask(ctx context.Context) (json.RawMessage, error) {
	req := r.client.R().SetContext(ctx)
	req.Header = r.headers.Clone()
	if r.body != "" {
		req.SetBody(r.body)
		if req.Header.Get("Content-Type") == "" {
			req.SetHeader("Content-Type", "application/json")
		}
	}
	res, err := req.Execute(r.method, r.url)
	if err != nil {
		return nil, fmt.Errorf("fees.rest: %s %s: %w", r.method, r.shown, withoutURL(err))
	}
	if res.IsError() {
		return nil, fmt.Errorf("fees.rest: %s %s: it answered %s", r.method, r.shown, res.Status())
	}
	fee, err := r.template.apply(res.Body())
	if err != nil {
		return nil, fmt.Errorf("fees.rest: %s %s: %w", r.method, r.shown, err)
	}
	return fee, nil
}

func (r *oracle) close() { r.idle() }

// withoutURL takes off what net/http puts around an error: the whole URL, with what may be secret in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// silent keeps resty from writing to standard error: what goes wrong is in the error that it returns.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
