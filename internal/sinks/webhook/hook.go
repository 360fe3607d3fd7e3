package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// hook is the sink of one stream.
type hook struct {
	factory *Factory
	stream  sink.Stream
	cfg     apitypes.WebhookConfig
	url     *url.URL
	shown   string   // scheme and host: what errors may show of the URL
	hidden  []string // what they must not show of it
	client  *resty.Client

	disconnect func() // closes all connections

	turn *turn.Slot // there is one delivery at a time, which keeps their order
}

// Send implements sink.Sink. It returns when the receiver has answered.
func (h *hook) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	h.turn.Send(ctx, b, done, h.deliver)
}

// Close implements sink.Sink.
func (h *hook) Close(ctx context.Context) error {
	h.turn.End()
	h.disconnect() // before the last delivery has ended, so that no connection outlives one that does not end
	return h.turn.Close(ctx, nil)
}

// errTimeout is the cause of the end of a request that took too long.
var errTimeout = errors.New("timeout of the request")

// deliver makes one request of a batch.
func (h *hook) deliver(ctx context.Context, b *sink.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	known, err := h.resolve(ctx)
	if err != nil {
		return err
	}
	body := h.body(b)
	head := known.header
	h.sign(head, known.keys, b, body)
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(*h.cfg.RequestTimeout), errTimeout)
	defer cancel()
	if h.factory.proxy != nil {
		if err := h.factory.guard.CheckTarget(ctx, h.url.Hostname()); err != nil {
			return h.broken(ctx, known, err)
		}
	}
	req := h.client.R().SetContext(ctx).SetDoNotParseResponse(true).SetBody(bytes.NewReader(body))
	req.Header = head
	res, err := req.Post(h.cfg.URL)
	if err != nil {
		return h.broken(ctx, known, err)
	}
	answer := res.RawResponse
	defer answer.Body.Close()
	return h.judge(ctx, known, answer)
}

// body is what a request carries. The array of events is not copied.
func (h *hook) body(b *sink.Batch) []byte {
	if h.cfg.Format != apitypes.WebhookEnvelope {
		return b.Body
	}
	const fixed = 128 // more than the names and numbers take
	out := make([]byte, 0, len(b.Body)+len(h.stream.ID)+fixed)
	out = append(out, `{"batchNumber":`...)
	out = strconv.AppendInt(out, b.Number, 10)
	out = append(out, `,"attempt":`...)
	out = strconv.AppendInt(out, int64(b.Attempt), 10)
	out = append(out, `,"streamId":`...)
	out = strconv.AppendQuote(out, h.stream.ID) // a UUID
	out = append(out, `,"events":`...)
	out = append(out, b.Body...)
	return append(out, '}')
}

// known is what a request needs of the secrets, as they are now.
type known struct {
	header  http.Header
	keys    [][]byte // to sign with
	secrets []string // what must not be shown
}

// resolve reads the secrets.
func (h *hook) resolve(ctx context.Context) (*known, error) {
	k := &known{header: http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"Pyralis"},
		// A kept connection that the receiver closes at this moment is no failure: the transport takes another one. The name is not sent.
		"X-Idempotency-Key": {},
	}}
	value := func(field, text string) (string, error) {
		if !h.factory.secrets.IsReference(text) {
			return text, nil
		}
		v, err := h.factory.secrets.Resolve(ctx, text)
		if err != nil {
			return "", fmt.Errorf("%s: %w", field, err)
		}
		return v, nil
	}
	for name, text := range h.cfg.Headers {
		v, err := value("headers."+name, text)
		if err != nil {
			return nil, err
		}
		if !isHeaderValue(v) {
			return nil, fmt.Errorf("headers.%s: the value has line breaks, control characters or more than %d bytes", name, maxHeaderValue)
		}
		k.header.Set(name, v)
		k.hide(v)
	}
	for _, s := range [...]struct{ field, text string }{{"secret", h.cfg.Secret}, {"previousSecret", h.cfg.PreviousSecret}} {
		if s.text == "" {
			continue
		}
		v, err := value(s.field, s.text)
		if err != nil {
			return nil, err
		}
		key, err := signingKey(v)
		if err != nil {
			return nil, fmt.Errorf("%s %w", s.field, err)
		}
		k.keys = append(k.keys, key)
		k.hide(v)
		k.hide(v[len(keyPrefix):])
	}
	for _, part := range h.hidden {
		k.hide(part)
	}
	return k, nil
}

// broken is the error of a request without an answer, or with half of one.
func (h *hook) broken(ctx context.Context, k *known, err error) error {
	var forbidden *netguard.Forbidden
	switch {
	case h.turn.Life().Err() != nil: // it closes the connections, maybe before it has ended ctx
		return context.Cause(h.turn.Life())
	case errors.Is(context.Cause(ctx), errTimeout):
		return h.problem("no answer within %s", time.Duration(*h.cfg.RequestTimeout))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &forbidden):
		return h.problem("%s; webhooks.allow and webhooks.allowPrivateIPs in the configuration of the server can allow it", forbidden)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, with what may be secret in it
	}
	return h.problem("%s", k.redact(err.Error()))
}

// hide notes what must not be shown. Very short texts would be found everywhere, and are no secrets.
func (k *known) hide(text string) {
	const shortest = 4
	if len(text) >= shortest && !slices.Contains(k.secrets, text) {
		k.secrets = append(k.secrets, text)
	}
}
