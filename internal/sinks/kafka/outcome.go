package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// judge is what is said of a message whose record was not acknowledged.
func (p *producer) judge(ctx context.Context, m *broker.Message, r *kgo.Record, err error) error {
	at := fmt.Sprintf("topic %s, partition %d: ", r.Topic, r.Partition)
	switch {
	case errors.Is(err, broker.ErrWaits):
		return err
	case errors.Is(err, kerr.MessageTooLarge):
		return m.TooLarge(at + p.client.redact(err.Error()) + "; " + sizes(r))
	case errors.Is(err, kerr.InvalidRecord):
		return sink.Refused(errors.New(at + p.client.redact(err.Error())))
	}
	return fmt.Errorf("%s%w", at, p.problem(ctx, err))
}

// problem is an error that says nothing about a batch, in the words of the brokers and without secrets.
func (p *producer) problem(ctx context.Context, err error) error {
	if p.client == nil {
		return err
	}
	return p.client.problem(ctx, err)
}

func (c *client) problem(ctx context.Context, err error) error {
	var answer *kerr.Error
	told, cause := "", c.trouble()
	switch {
	case errors.As(err, &answer): // which says it all
	case errors.Is(context.Cause(ctx), errTimeout):
		told = fmt.Sprintf("no answer within %s", time.Duration(*c.cfg.RequestTimeout))
	case errors.Is(err, kgo.ErrRecordRetries):
		told = fmt.Sprintf("not acknowledged in %d attempts", retries)
		if cause == nil { // the client does not tell what was answered
			cause = errors.New("replicas that do not keep up (REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND) are the likely cause")
		}
	case errors.Is(err, io.EOF) && fieldOf(err, none) == none && fieldOf(cause, none) != none:
		err = cause // why the connection ended
	}
	if told != "" {
		if err = errors.New(told); cause != nil {
			err = fmt.Errorf("%s: %w", told, cause)
		}
	}
	safe := errors.New(c.redact(err.Error()))
	if field := fieldOf(err, none); field != none {
		return &fieldError{field, safe}
	}
	return safe
}

// none is no setting.
const none = "none"

// fieldOf is the setting that is to blame for an error, as far as that can be seen; other if it cannot.
func fieldOf(err error, other string) string {
	var known *fieldError
	switch {
	case errors.As(err, &known):
		return known.field
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState),
		errors.Is(err, kerr.ClusterAuthorizationFailed): // who logs in may not write idempotently
		return "sasl"
	}
	var eof *kgo.ErrFirstReadEOF
	if errors.As(err, &eof) {
		if strings.Contains(err.Error(), "SASL") {
			return "sasl"
		}
		return "tls"
	}
	return other
}
