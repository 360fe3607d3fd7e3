package amazon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Service is SQS or SNS.
type Service interface {
	// Name is what errors call it.
	Name() string
	// Client makes a client for one queue or topic.
	Client(c *Connection) Client
}

// Client sends to one queue or topic. Errors are those of the SDK.
type Client interface {
	// State asks how the queue or topic is set up.
	State(ctx context.Context) (*State, error)
	// Send makes one call. refused are the messages that were not taken, by index; all others are durable.
	Send(ctx context.Context, messages []*Message) (refused map[int]*Refusal, err error)
}

// State is how a queue or topic is set up.
type State struct {
	FIFO     bool
	Message  int      // bytes that a message may have
	Call     int      // bytes that the messages of a call may have
	Warnings []string // what guarantees may hang on
}

// Options make a sink.
type Options struct {
	Service Service
	Target  Target
	Env     *broker.Env
	Stream  sink.Stream
	// Settings are the configuration; Subject is the subject of a message, nil if there are none.
	Settings Settings
	Subject  *broker.Text
	// Reveal resolves the references in Settings.
	Reveal func(ctx context.Context) (*Settings, *broker.Redactor, error)
	// Unknown is what holds of a queue or topic that does not say how it is set up.
	Unknown State
	// Test changes how AWS is reached.
	Test Test
}

// Test changes how AWS is reached in tests. The zero Test changes nothing.
type Test struct {
	Load  []func(*config.LoadOptions) error // where the machine has its credentials from
	Roles string                            // endpoint of STS
}

// Sink is the sink of one stream.
type Sink struct {
	service Service
	target  Target
	env     *broker.Env
	reveal  func(ctx context.Context) (*Settings, *broker.Redactor, error)
	unknown State
	test    Test
	maker   broker.Maker
	names   []string // of configured attributes
	subject bool
	role    bool // a role is to be taken on
	timeout time.Duration

	turn *turn.Slot // there is one delivery at a time, which keeps their order
	now  *client    // guarded by turn; nil: the next delivery makes one

	mu       sync.Mutex
	warnings []string // guarded by mu
}

// client is a client with the credentials it was made with.
type client struct {
	Client

	state    State
	asked    time.Time // for state
	redactor *broker.Redactor
	end      func()
}

// askAgain is how long what a queue or topic says of itself counts.
const askAgain = time.Minute

// Open makes a sink. It does no I/O.
func Open(ctx context.Context, o Options) (*Sink, error) {
	texts, err := o.Settings.texts(o.Env, o.Target)
	if err != nil {
		return nil, err
	}
	if o.Subject != nil {
		texts = append(texts, o.Subject)
	}
	return &Sink{
		service: o.Service, target: o.Target, env: o.Env, reveal: o.Reveal, unknown: o.Unknown, test: o.Test, names: attributeNames(o.Settings.Attributes),
		subject: o.Subject != nil, role: *o.Settings.RoleARN != "", timeout: time.Duration(**o.Settings.RequestTimeout),
		maker: broker.Maker{Stream: o.Stream, PerMessage: *o.Settings.PerMessage, Format: *o.Settings.Format, Texts: texts},
		turn:  turn.New(ctx),
	}, nil
}

// Send implements sink.Sink. It returns when all is acknowledged, or cannot be.
func (s *Sink) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	s.turn.Send(ctx, b, done, s.deliver)
}

// Close implements sink.Sink.
func (s *Sink) Close(ctx context.Context) error {
	return s.turn.Close(ctx, s.disconnect)
}

// Warnings implements sink.Advising.
func (s *Sink) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// errTimeout is the cause of the end of a call that took too long.
var errTimeout = errors.New("timeout of the call")

// within makes a call that ends in time.
func (s *Sink) within(ctx context.Context, call func(ctx context.Context) error) error {
	timed, cancel := context.WithTimeoutCause(ctx, s.timeout, errTimeout)
	defer cancel()
	err := call(timed)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case timed.Err() != nil:
		return fmt.Errorf("no answer within %s", s.timeout)
	}
	return err
}

// open makes a client with credentials as they are now. The caller has the turn.
func (s *Sink) open(ctx context.Context) (*client, error) {
	known, redactor, err := s.reveal(ctx)
	if err != nil {
		return nil, err
	}
	a := Access{
		Region: *known.Region, Endpoint: *known.Endpoint, AccessKeyID: *known.AccessKeyID, SecretAccessKey: *known.SecretAccessKey,
		SessionToken: *known.SessionToken, RoleARN: *known.RoleARN, dial: s.env.Guard.DialContext, load: s.test.Load, roles: s.test.Roles,
	}
	if a.Region == "" {
		a.Region = s.target.Region
	}
	life, end := context.WithCancel(s.turn.Life())
	connection, err := a.connect(ctx, life)
	if err != nil {
		end()
		return nil, err
	}
	return &client{Client: s.service.Client(connection), state: s.unknown, redactor: redactor, end: func() {
		end()
		connection.transport.CloseIdleConnections()
	}}, nil
}

// connected is the client in use, or a new one. The caller has the turn.
func (s *Sink) connected(ctx context.Context) (*client, error) {
	if s.now != nil && time.Since(s.now.asked) < askAgain {
		return s.now, nil
	}
	if s.now == nil {
		c, err := s.open(ctx)
		if ofMachine(err) {
			return nil, s.problem(err)
		}
		if err != nil {
			return nil, err
		}
		s.now = c
	}
	c := s.now
	c.asked = time.Now()
	// Who may only send is not told, and what is wrong with the target shows when something is sent.
	_ = s.within(ctx, func(ctx context.Context) error {
		state, err := c.State(ctx)
		if err == nil {
			c.state = *state
		}
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = c.state.Warnings
	return c, nil
}

// disconnect lets the client go, with its connections. The caller has the turn.
func (s *Sink) disconnect() {
	if s.now != nil {
		s.now.end()
	}
	s.now = nil
}
