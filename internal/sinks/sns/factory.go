package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type sns.
type Factory struct {
	broker.Base[apitypes.SNSConfig, *amazon.Sink]

	env      *broker.Env
	settings broker.Settings[apitypes.SNSConfig]
	test     amazon.Test
}

var (
	_ sink.Factory      = (*Factory)(nil)
	_ sink.Confidential = (*Factory)(nil)
	_ sink.Prober       = (*Factory)(nil)
	_ sink.Advising     = (*amazon.Sink)(nil)
)

// New makes a factory.
func New(env *broker.Env) (*Factory, error) {
	if env == nil {
		return nil, errors.New("sns: Env is required")
	}
	f := &Factory{env: env}
	f.settings = broker.Settings[apitypes.SNSConfig]{
		Example:  `give {"topicArn": "arn:aws:sns:eu-central-1:123456789012:events"}`,
		Defaults: func() apitypes.SNSConfig { return apitypes.SNSConfig{} },
		Check:    f.check,
		Values:   func(c *apitypes.SNSConfig) []broker.Value { return settings(c).Values() },
		Same: func(c, old *apitypes.SNSConfig) bool {
			return c.TopicARN == old.TopicARN && settings(c).Same(settings(old))
		},
		References: env.References,
	}
	f.Base = broker.NewBase(apitypes.StreamSNS, &f.settings, f.open)
	return f, nil
}

// settings are the fields that package amazon knows.
func settings(c *apitypes.SNSConfig) *amazon.Settings {
	return &amazon.Settings{
		Region: &c.Region, Endpoint: &c.Endpoint, GroupID: &c.GroupID,
		AccessKeyID: &c.AccessKeyID, SecretAccessKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, RoleARN: &c.RoleARN,
		PerMessage: &c.PerMessage, Format: &c.Format, Attributes: c.Attributes, RequestTimeout: &c.RequestTimeout,
	}
}

// maxName is how many characters the name of a topic may have.
const maxName = 256

// target reads the ARN of a topic.
func target(arn string) (amazon.Target, error) {
	t := amazon.Target{Field: "topicArn", FIFO: strings.HasSuffix(arn, ".fifo")}
	const fix = "give one such as arn:aws:sns:eu-central-1:123456789012:events"
	if arn == "" {
		return t, apitypes.Invalidf(t.Field, fix, "is missing")
	}
	region, name, ok := amazon.ARN(arn, "sns")
	if !ok || !amazon.IsLabel(region) || !amazon.IsName(name, maxName) {
		return t, apitypes.Invalidf(t.Field, fix, "is no ARN of a topic")
	}
	t.Region = region
	return t, nil
}

// subject reads the subject of messages; nil: they have none.
func (f *Factory) subject(c *apitypes.SNSConfig) (*broker.Text, error) {
	if c.Subject == "" {
		return nil, nil
	}
	return broker.NewText(f.env.Compiler, "subject", c.Subject, checkSubject)
}

func checkSubject(text string) error {
	const longest = 100 // the subject has to be shorter
	switch n := utf8.RuneCountInString(text); {
	case n >= longest:
		return fmt.Errorf("has %d characters, and a subject has less than %d", n, longest)
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("has line breaks or control characters")
	}
	return nil
}

func (f *Factory) check(c *apitypes.SNSConfig) error {
	t, err := target(c.TopicARN)
	if err != nil {
		return err
	}
	if err := settings(c).Check(f.env, t); err != nil {
		return err
	}
	_, err = f.subject(c)
	return err
}

// Probe implements sink.Prober: it asks for the attributes of the topic.
func (f *Factory) Probe(ctx context.Context, s sink.Stream, raw json.RawMessage) error {
	out, err := f.Make(ctx, s, raw)
	if err != nil {
		return err
	}
	return out.Probe(ctx)
}

func (f *Factory) open(ctx context.Context, s sink.Stream, c *apitypes.SNSConfig) (*amazon.Sink, error) {
	t, err := target(c.TopicARN)
	if err != nil {
		return nil, err
	}
	subject, err := f.subject(c)
	if err != nil {
		return nil, err
	}
	return amazon.Open(ctx, amazon.Options{
		Service: service{topicARN: c.TopicARN}, Target: t, Env: f.env, Stream: s, Settings: *settings(c), Subject: subject, Test: f.test,
		Unknown: amazon.State{FIFO: t.FIFO, Message: maxSize, Call: usualSize},
		Reveal: func(ctx context.Context) (*amazon.Settings, *broker.Redactor, error) {
			known, redactor, err := f.settings.Reveal(ctx, c)
			if err != nil {
				return nil, nil, err
			}
			return settings(known), redactor, nil
		},
	})
}
