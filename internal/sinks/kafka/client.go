package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// codecs are the values of compression.
var codecs = map[string]*kgo.CompressionCodec{
	apitypes.KafkaUncompressed: new(kgo.NoCompression()), "gzip": new(kgo.GzipCompression()), "snappy": new(kgo.SnappyCompression()),
	"lz4": new(kgo.Lz4Compression()), "zstd": new(kgo.ZstdCompression()),
}

const (
	dialTimeout = 10 * time.Second // until TLS is agreed upon
	idle        = 4 * time.Minute  // less than brokers and what is between allow
	retries     = 5                // of one request, within its Send
	firstRetry  = 50 * time.Millisecond
	lastRetry   = time.Second
	minAge      = 250 * time.Millisecond // of what is known of leaders, before it is asked for again

	// maxBuffered is more than any batch has: one that did not fit would be sent in part.
	maxBuffered = 1 << 30
)

// client holds the connections to a cluster, and the producer id under which all is sent.
type client struct {
	factory *Factory
	cfg     *apitypes.KafkaConfig
	kafka   *kgo.Client
	admin   *kadm.Client

	filling sync.RWMutex               // locked while a batch is handed to kafka: see conn
	placed  atomic.Pointer[kgo.Record] // the record that kafka put into its partition last

	mu       sync.Mutex
	redactor *broker.Redactor // guarded by mu; of the newest connection
	cause    error            // guarded by mu; the last trouble with a connection
}

// connect makes a client. It does no I/O.
func (f *Factory) connect(cfg *apitypes.KafkaConfig) (*client, error) {
	c := &client{factory: f, cfg: cfg}
	timeout := time.Duration(*cfg.RequestTimeout)
	partitioner := kgo.StickyKeyPartitioner(nil) // as all other clients hash keys
	if cfg.Partition != "" {
		partitioner = kgo.ManualPartitioner()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...), kgo.ClientID("pyralis"), kgo.Dialer(c.dial), kgo.WithHooks(c), kgo.DisableClientMetrics(), kgo.ConnIdleTimeout(idle),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(partitioner), kgo.ProducerBatchCompression(*codecs[cfg.Compression]),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxMessageSize)), kgo.ManualFlushing(), kgo.MaxBufferedRecords(maxBuffered),
		// What is given up may be on the wire. The next epoch keeps it from being taken behind what is sent later.
		kgo.AllowIdempotentProduceCancellation(),
		// A lost answer is noticed, and asked for again, within a Send.
		kgo.ProduceRequestTimeout(timeout / 4), kgo.RequestTimeoutOverhead(timeout / 4), kgo.RetryTimeout(timeout / 2),
		kgo.RecordRetries(retries), kgo.RequestRetries(retries), kgo.MetadataMinAge(minAge),
		kgo.RetryBackoffFn(func(failures int) time.Duration { return min(firstRetry<<min(failures, 10), lastRetry) }),
	}
	if cfg.SASL != nil {
		options = append(options, kgo.SASL(c.mechanism()))
	}
	var err error
	if c.kafka, err = kgo.NewClient(options...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	c.admin = kadm.NewClient(c.kafka)
	return c, nil
}

// close ends all connections. What they still carry may arrive.
func (c *client) close() { c.kafka.Close() }

// mechanism logs in with the secrets as they are at that time.
func (c *client) mechanism() sasl.Mechanism {
	credentials := func(ctx context.Context) (user, password string, err error) {
		known, err := c.reveal(ctx)
		if err != nil {
			return "", "", err
		}
		return known.SASL.Username, known.SASL.Password, nil
	}
	scrammed := func(ctx context.Context) (scram.Auth, error) {
		user, password, err := credentials(ctx)
		return scram.Auth{User: user, Pass: password}, err
	}
	switch c.cfg.SASL.Mechanism {
	case apitypes.KafkaScram256:
		return scram.Sha256(scrammed)
	case apitypes.KafkaScram512:
		return scram.Sha512(scrammed)
	default:
		return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			user, password, err := credentials(ctx)
			return plain.Auth{User: user, Pass: password}, err
		})
	}
}

func (c *client) reveal(ctx context.Context) (*apitypes.KafkaConfig, error) {
	known, redactor, err := c.factory.settings().Reveal(ctx, c.cfg)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // not the reference's fault
	}
	if err != nil {
		return nil, &fieldError{"", err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.redactor = redactor
	return known, nil
}

// fieldError is trouble with a connection of which it is known what setting it comes from.
type fieldError struct {
	field string // "" if the error names it
	err   error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// dial connects to a broker, one of those configured or one that they told of.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, min(dialTimeout, time.Duration(*c.cfg.RequestTimeout)/2))
	defer cancel()
	known, err := c.reveal(ctx)
	if err != nil {
		return nil, err
	}
	secure, err := broker.TLS(known.TLS)
	if err != nil {
		return nil, &fieldError{"tls", err}
	}
	to, err := c.factory.env.Guard.DialContext(ctx, network, address)
	var forbidden *netguard.Forbidden
	switch {
	case errors.As(err, &forbidden):
		return nil, &fieldError{"brokers", fmt.Errorf("%w; brokers.allow and brokers.allowPrivateIPs in the configuration of the server can allow it", err)}
	case err != nil:
		return nil, err
	}
	if secure != nil {
		if secure.ServerName == "" {
			if secure.ServerName, _, err = net.SplitHostPort(address); err != nil {
				return nil, errors.Join(err, to.Close())
			}
		}
		over := tls.Client(to, secure)
		if err := over.HandshakeContext(ctx); err != nil {
			_ = to.Close()
			if ctx.Err() != nil {
				err = errors.New("the broker does not answer the handshake")
			}
			return nil, &fieldError{"tls", fmt.Errorf("TLS with %s: %w", address, err)}
		}
		to = over
	}
	return &conn{Conn: to, filling: &c.filling}, nil
}

// conn lets nothing out while a batch is handed to the client: else a record could fail while those behind it are still being handed over, which
// would then be sent.
type conn struct {
	net.Conn

	filling *sync.RWMutex
}

func (c *conn) Write(b []byte) (int, error) {
	c.filling.RLock()
	c.filling.RUnlock() //nolint:staticcheck // what is written now was made before, or after the batch is complete
	return c.Conn.Write(b)
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (c *client) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if !errors.Is(err, io.EOF) || fieldOf(err, none) != none { // else OnBrokerRead knows more
		c.note(err)
	}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (c *client) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if k := kmsg.Key(key); err != nil && (k == kmsg.SASLHandshake || k == kmsg.SASLAuthenticate) {
		err = &fieldError{"sasl", fmt.Errorf("the broker ended the connection instead of logging in to it with SASL: %w", err)}
	}
	c.note(err)
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (c *client) OnBrokerWrite(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	c.note(err)
}

// note keeps what the client itself only logs: why it could not get through.
func (c *client) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = err
}

// trouble is the last trouble with a connection since forget, or nil.
func (c *client) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = nil
}

// redact makes a text safe to show.
func (c *client) redact(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.redactor.Text(text)
}

// id has the cluster give the client its producer id, if it has none. An error means that this client will never send anything.
func (c *client) id(ctx context.Context) error {
	_, _, err := c.kafka.ProducerID(ctx)
	return err
}
