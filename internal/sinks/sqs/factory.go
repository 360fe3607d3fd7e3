package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type sqs.
type Factory struct {
	broker.Base[apitypes.SQSConfig, *amazon.Sink]

	env      *broker.Env
	settings broker.Settings[apitypes.SQSConfig]
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
		return nil, errors.New("sqs: Env is required")
	}
	f := &Factory{env: env}
	f.settings = broker.Settings[apitypes.SQSConfig]{
		Example:  `give {"queueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/events"}`,
		Defaults: func() apitypes.SQSConfig { return apitypes.SQSConfig{} },
		Check:    f.check,
		Values:   func(c *apitypes.SQSConfig) []broker.Value { return settings(c).Values() },
		Same: func(c, old *apitypes.SQSConfig) bool {
			return c.QueueURL == old.QueueURL && settings(c).Same(settings(old))
		},
		References: env.References,
	}
	f.Base = broker.NewBase(apitypes.StreamSQS, &f.settings, f.open)
	return f, nil
}

// settings are the fields that package amazon knows.
func settings(c *apitypes.SQSConfig) *amazon.Settings {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = endpointOf(c.QueueURL)
	}
	return &amazon.Settings{
		Region: &c.Region, Endpoint: &endpoint, GroupID: &c.GroupID,
		AccessKeyID: &c.AccessKeyID, SecretAccessKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, RoleARN: &c.RoleARN,
		PerMessage: &c.PerMessage, Format: &c.Format, Attributes: c.Attributes, RequestTimeout: &c.RequestTimeout,
	}
}

// maxName is how many characters the name of a queue may have.
const maxName = 80

// isPath says whether a path is that of a queue: /<account>/<name>.
func isPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	account, name, _ := strings.Cut(rest, "/")
	return ok && account != "" && amazon.IsName(name, maxName)
}

// regionOf is the region that the name of a host of SQS shows, "" if it is none, and whether it is the public one, where the SDK finds a queue by its region.
func regionOf(host string) (region string, public bool) {
	label := func(before, behind string) string {
		part, starts := strings.CutPrefix(host, before)
		part, ends := strings.CutSuffix(part, behind)
		if !starts || !ends || !amazon.IsLabel(part) {
			return ""
		}
		return part
	}
	for _, known := range [...]struct{ before, behind string }{
		{"sqs.", ".amazonaws.com"}, {"sqs.", ".amazonaws.com.cn"}, {"sqs.", ".api.aws"}, {"", ".queue.amazonaws.com"},
	} {
		if region := label(known.before, known.behind); region != "" {
			return region, true
		}
	}
	network, rest, _ := strings.Cut(host, ".")
	if id, ok := strings.CutPrefix(network, "vpce-"); !ok || !amazon.IsLabel(id) {
		return "", false
	}
	host = rest
	return label("sqs.", ".vpce.amazonaws.com"), false
}

// endpointOf is the service that the URL of a queue is of; "" if that is AWS at its public address.
func endpointOf(queueURL string) string {
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" {
		return ""
	}
	if _, public := regionOf(u.Hostname()); public {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// target reads the URL of a queue.
func target(queueURL string) (amazon.Target, error) {
	t := amazon.Target{Field: "queueUrl", FIFO: strings.HasSuffix(queueURL, ".fifo")}
	const fix = "give one such as https://sqs.eu-central-1.amazonaws.com/123456789012/events"
	u, err := url.Parse(queueURL)
	switch {
	case queueURL == "":
		return t, apitypes.Invalidf(t.Field, fix, "is missing")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !isPath(u.Path):
		return t, apitypes.Invalidf(t.Field, fix, "is no URL of a queue")
	}
	t.Region, _ = regionOf(u.Hostname())
	return t, nil
}

func (f *Factory) check(c *apitypes.SQSConfig) error {
	t, err := target(c.QueueURL)
	if err != nil {
		return err
	}
	return settings(c).Check(f.env, t)
}

// Probe implements sink.Prober: it asks for the attributes of the queue.
func (f *Factory) Probe(ctx context.Context, s sink.Stream, raw json.RawMessage) error {
	out, err := f.Make(ctx, s, raw)
	if err != nil {
		return err
	}
	return out.Probe(ctx)
}

func (f *Factory) open(ctx context.Context, s sink.Stream, c *apitypes.SQSConfig) (*amazon.Sink, error) {
	t, err := target(c.QueueURL)
	if err != nil {
		return nil, err
	}
	return amazon.Open(ctx, amazon.Options{
		Service: service{queueURL: c.QueueURL}, Target: t, Env: f.env, Stream: s, Settings: *settings(c), Test: f.test,
		Unknown: amazon.State{FIFO: t.FIFO, Message: maxSize, Call: maxSize},
		Reveal: func(ctx context.Context) (*amazon.Settings, *broker.Redactor, error) {
			known, redactor, err := f.settings.Reveal(ctx, c)
			if err != nil {
				return nil, nil, err
			}
			return settings(known), redactor, nil
		},
	})
}
