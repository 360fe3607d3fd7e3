package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Probe implements sink.Prober: it connects, logs in, and looks whether the stream is there and takes the subject. Whether the user may publish
// shows when it does.
func (f *Factory) Probe(ctx context.Context, s sink.Stream, raw json.RawMessage) error {
	o, err := f.Make(ctx, s, raw)
	if err != nil {
		return err
	}
	l, err := o.connect(ctx)
	if err != nil {
		return located(ctx, err, &o.cfg)
	}
	defer l.close()
	subject, fixed := o.maker.Texts[0].Fixed()
	if !fixed {
		return nil
	}
	for _, taken := range l.info.Config.Subjects {
		if takes(taken, subject) {
			return nil
		}
	}
	return apitypes.Invalidf("subject", "use a subject that the stream takes: "+strings.Join(l.info.Config.Subjects, ", "),
		"is %s, which the stream %s does not take", subject, l.stream)
}

// located names the field at fault.
func located(ctx context.Context, err error, c *apitypes.JetStreamConfig) error {
	var inv *apitypes.Invalid
	var unfit *unfitError
	for _, v := range values(c) {
		if problem, ok := strings.CutPrefix(err.Error(), v.Field+": "); ok {
			return apitypes.Invalidf(v.Field, "use a reference that can be read, or give the value", "%s", problem)
		}
	}
	switch {
	case ctx.Err() != nil, errors.As(err, &inv):
		return err
	case isTLS(err):
		return apitypes.Invalidf("tls", "give what the servers want: tls.ca if no public authority vouches for them, tls.certificate and tls.key if they ask for them", "%s", err)
	case isLogin(err):
		return apitypes.Invalidf(loginField(c), `give "credentials", "username" and "password", or "token", as the servers know them`, "%s", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return apitypes.Invalidf(loginField(c), "let the user ask for the stream ($JS.API.STREAM.INFO."+c.Stream+") and subscribe to its inbox, or use another user", "%s", err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.As(err, &unfit):
		return apitypes.Invalidf("stream", "use a stream that is there, in the account of the user, and takes messages", "%s", err)
	}
	return apitypes.Invalidf("url", urlFix, "%s", err)
}

// isLogin says whether the servers did not let us in.
func isLogin(err error) bool {
	for _, known := range [...]error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// takes says whether a subject with wildcards matches one without.
func takes(pattern, subject string) bool {
	for {
		want, behind, more := strings.Cut(pattern, ".")
		if want == ">" {
			return subject != ""
		}
		has, rest, others := strings.Cut(subject, ".")
		if want != "*" && want != has || more != others {
			return false
		}
		if !more {
			return has != ""
		}
		pattern, subject = behind, rest
	}
}
