package amazon

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Access is what it takes to ask AWS for something. References have been resolved.
type Access struct {
	Region, Endpoint                                    string
	AccessKeyID, SecretAccessKey, SessionToken, RoleARN string

	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	load  []func(*config.LoadOptions) error // for tests: where the machine has its credentials from
	roles string                            // for tests: the endpoint of STS
}

// Connection is what a client of a service is made with.
type Connection struct {
	Config   aws.Config
	Endpoint *string // nil: that of AWS

	transport *http.Transport
}

// connect makes a connection that lives as long as life. It asks nobody.
func (a *Access) connect(ctx, life context.Context) (*Connection, error) {
	// What finds the credentials of the machine is not kept from the addresses that clouds have them at, and leaves no connection open.
	options := []func(*config.LoadOptions) error{
		config.WithRegion(a.Region),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })),
	}
	if a.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(a.AccessKeyID, a.SecretAccessKey, a.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, append(options, a.load...)...)
	if err != nil {
		return nil, &machineError{err}
	}
	if a.AccessKeyID == "" {
		cfg.Credentials = machine{cfg.Credentials}
	}
	c := &Connection{transport: a.transport(life, cfg.HTTPClient)}
	cfg.HTTPClient = &http.Client{
		Transport:     bounded{c.transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cfg.Retryer = func() aws.Retryer { return once() }
	if a.Endpoint != "" {
		c.Endpoint = &a.Endpoint
	}
	if a.RoleARN != "" {
		roles := sts.NewFromConfig(cfg, func(o *sts.Options) {
			if a.roles != "" {
				o.BaseEndpoint = &a.roles
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(roles, a.RoleARN, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "pyralis" }))
	}
	c.Config = cfg
	return c, nil
}

// machine are the credentials of the server's machine, which say of themselves that they are not there.
type machine struct{ aws.CredentialsProvider }

func (m machine) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := m.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return found, &machineError{err}
	}
	return found, nil
}

// once repeats a call whose connection broke, at once and one time: a connection that was kept may be closed at the other end at any moment.
func once() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableConnectionError{}}
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(noDelay)
	})
}

// transport makes connections of HTTP/1.1, each of which is dead when what it carries is given up. The certificates that the machine's settings name
// for AWS (AWS_CA_BUNDLE) count; a proxy does not, since it would connect to where this machine may not.
func (a *Access) transport(life context.Context, of aws.HTTPClient) *http.Transport {
	t := awshttp.NewBuildableClient().GetTransport()
	if known, ok := of.(*awshttp.BuildableClient); ok {
		t = known.GetTransport()
	}
	t.DisableKeepAlives, t.ForceAttemptHTTP2, t.Proxy = false, false, nil
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = parallel, parallel
	t.DisableCompression = true
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = nil // it offers HTTP/2, which the transport does not speak
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := a.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The transport dials in its own time: a connection may be made when nobody waits for it any more.
		return &conn{Conn: c, stop: context.AfterFunc(life, func() { _ = c.Close() })}, nil
	}
	return t
}

// bounded reads no more of an answer than the services have to say.
type bounded struct{ http.RoundTripper }

// maxAnswer is far more than an answer has.
const maxAnswer = 1 << 20

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

// conn is a connection that ends with the life of its client.
type conn struct {
	net.Conn

	stop func() bool
}

// Close closes the connection.
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

func noDelay(int, error) (time.Duration, error) { return 0, nil }
