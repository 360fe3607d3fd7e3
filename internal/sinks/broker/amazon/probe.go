package amazon

import (
	"context"
	"errors"

	"github.com/pyralis-io/pyralis/internal/awserr"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Probe looks whether a queue or topic can be reached, with these credentials, and is what its name says. Who may not ask how it is set up may still be
// allowed to send to it, which cannot be tried without doing it: that is no error.
func (s *Sink) Probe(ctx context.Context) error {
	c, err := s.open(ctx)
	if ofMachine(err) {
		return s.blame(nil, err)
	}
	if err != nil {
		return err
	}
	defer c.end()
	var state *State
	err = s.within(ctx, func(ctx context.Context) (err error) {
		state, err = c.State(ctx)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case denied(err) && !ofRole(err) && !ofMachine(err):
		return nil
	case err != nil:
		return s.blame(c.redactor, err)
	case state.FIFO != s.target.FIFO:
		return apitypes.Invalidf(s.target.Field, "name another one", "ends in .fifo if and only if it keeps the order of groups, and %s says otherwise", s.service.Name())
	}
	return nil
}

// blame names the field that is at fault, where one is.
func (s *Sink) blame(r *broker.Redactor, err error) error {
	if ofMachine(err) {
		return apitypes.Invalidf("accessKeyId", giveKeys, "is missing, and %s", r.Error(err))
	}
	name, shown := awserr.Code(err), s.problem(err)
	var later *sink.RetryAfter
	if errors.As(shown, &later) {
		shown = later.Err
	}
	shown = r.Error(shown)
	switch {
	case ofRole(err) && s.role:
		return apitypes.Invalidf("roleArn", "have it trust these credentials, or name another one", "is refused: %s", shown)
	case awserr.BadCredentials(err):
		return apitypes.Invalidf("accessKeyId", "give credentials that AWS takes, or see to those of the server's machine", "or what belongs to it is refused: %s", shown)
	case awserr.Is(name, "QueueDoesNotExist", "NonExistentQueue", "NotFound", "NotFoundException"):
		return apitypes.Invalidf(s.target.Field, "create it first, or name another one", "names nothing that is there: %s", shown)
	case awserr.Is(name, "InvalidAddress", "InvalidParameter", "InvalidParameterValue"):
		return apitypes.Invalidf(s.target.Field, "name another one", "is refused: %s", shown)
	}
	return shown
}
