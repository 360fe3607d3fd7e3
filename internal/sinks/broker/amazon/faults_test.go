package amazon_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// What a whole call fails with says nothing about its messages, and is told in the words of AWS.
func TestCallsThatFail(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		for _, f := range []awstest.Fault{
			{Code: "ThrottlingException", Text: "Rate exceeded"},
			{Code: "RequestThrottled", Text: "Request throttled", Status: http.StatusTooManyRequests},
			{Code: "ServiceUnavailable", Text: "Service is busy", Status: http.StatusServiceUnavailable},
			{Code: "AccessDenied", Text: "User: arn:aws:iam::123456789012:user/x is not authorized", Status: http.StatusForbidden},
			{Code: "KMSAccessDenied", Text: "The caller doesn't have the required KMS access."},
		} {
			r.fail(f)
			before := len(r.aws.Calls(r.send))
			err := send(t, s, batch(1, "a", "b"))
			require.EqualError(t, err, r.name+": "+f.Code+": "+f.Text)
			require.False(t, sink.IsRefused(err))
			require.Len(t, r.aws.Calls(r.send), before+1, "the SDK leaves it to the engine to try again")
		}
		r.fail(awstest.Fault{Code: "ThrottlingException", Text: "Rate exceeded", Status: http.StatusTooManyRequests, RetryAfter: "7"})
		var later *sink.RetryAfter
		require.ErrorAs(t, send(t, s, batch(1, "a")), &later)
		require.Equal(t, 7*time.Second, later.After)
		require.NoError(t, send(t, s, batch(1, "a")))
	})
}

func TestAFailedCallIsTheLastOfItsBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events.fifo", nil)
		s := r.open(target, `"groupId":"=.data.group"`)
		r.fail(awstest.Fault{}, awstest.Fault{Code: "ThrottlingException", Text: "Rate exceeded"})
		b := batch(1, "a", "a", "a", "b")
		got := failed(t, b, send(t, s, b))
		require.Len(t, r.aws.Calls(r.send), 2)
		require.Len(t, got, 2)
		require.EqualError(t, got[1], r.name+": ThrottlingException: Rate exceeded")
		require.ErrorContains(t, got[2], "Rate exceeded", "it was not tried, for the same reason")
	})
}

// What AWS refuses of a message tells whose fault it is.
func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		for _, c := range []struct {
			entry              awstest.Entry
			refused, permanent bool
		}{
			{awstest.Entry{Code: "InvalidParameterValue", Text: "no", Sender: true}, true, false},
			{awstest.Entry{Code: "InvalidMessageContents", Text: "no", Sender: true}, true, true},
			{awstest.Entry{Code: "InternalError", Text: "no"}, false, false},
			{awstest.Entry{Code: "AccessDenied", Text: "no", Sender: true}, false, false},
			{awstest.Entry{Code: "KMS.DisabledException", Text: "no", Sender: true}, false, false},
			{awstest.Entry{Code: "ThrottlingException", Text: "no", Sender: true}, false, false},
		} {
			r.fail(awstest.Fault{Entries: map[int]awstest.Entry{1: c.entry}})
			b := batch(1, "a", "b", "c")
			got := failed(t, b, send(t, s, b))
			require.Len(t, got, 1)
			require.EqualError(t, got[1], r.name+": "+c.entry.Code+": no")
			require.Equal(t, c.refused, sink.IsRefused(got[1]), c.entry.Code)
			require.Equal(t, c.permanent, sink.IsPermanent(got[1]), c.entry.Code)
		}
	})
}

// A call that is refused for what may be in one of its messages is made again with each of them alone.
func TestARefusedCallIsTakenApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, "")
		b := batch(1, "a", "bad", "c")
		r.aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
			for _, m := range c.Messages {
				if m.Body == string(b.Events[1].JSON) {
					return awstest.Fault{Code: r.refused, Text: "no"}
				}
			}
			return awstest.Fault{}
		})
		got := failed(t, b, send(t, s, b))
		require.Len(t, got, 1)
		require.True(t, sink.IsRefused(got[1]))
		require.Len(t, r.aws.Messages(target), 2)
	})
}

// What a call is refused for that is the same for all of its messages is the fault of none of them.
func TestARefusedTargetIsNoFaultOfMessages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		s := r.open(r.create(r.aws, "events", nil), "")
		text := map[string]string{"SQS": "Value x for parameter QueueUrl is invalid.", "SNS": "Invalid parameter: TopicArn"}[r.name]
		r.aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
			if c.Action == r.send {
				return awstest.Fault{Code: r.refused, Text: text}
			}
			return awstest.Fault{}
		})
		err := send(t, s, batch(1, "a", "b", "c"))
		require.EqualError(t, err, r.name+": "+r.refused+": "+text)
		require.False(t, sink.IsRefused(err))
		require.Len(t, r.aws.Calls(r.send), 1)
	})
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		s := r.open(target, `"requestTimeout":"1s"`)
		deliver(t, s, batch(1, "a"))
		r.aws.On(func(ctx context.Context, _ *awstest.Call) awstest.Fault {
			<-ctx.Done()
			return awstest.Fault{Cut: true}
		})
		err := send(t, s, batch(2, "a"))
		require.EqualError(t, err, r.name+": no answer within 1s")
	})
}

// Credentials that AWS does not take block the stream, are not shown, and are looked up again for the next attempt.
func TestCredentials(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		for _, key := range []string{"canary-wrong", "env:AWS_WRONG"} {
			s := r.open(target, `"secretAccessKey":"`+key+`","sessionToken":"canary-token"`)
			err := send(t, s, batch(1, "a"))
			require.ErrorContains(t, err, r.name+": SignatureDoesNotMatch: The request signature we calculated does not match")
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "\n")
			require.False(t, sink.IsRefused(err))
		}
		s := r.open(target, `"secretAccessKey":"env:AWS_KEY","sessionToken":"canary-token"`)
		require.NoError(t, send(t, s, batch(1, "a")))
		calls := r.aws.Calls(r.send)
		require.Equal(t, "canary-token", calls[len(calls)-1].Token)

		s = r.open(target, `"accessKeyId":"AKIAUNKNOWN"`)
		require.EqualError(t, send(t, s, batch(1, "a")), r.name+": InvalidClientTokenId: The security token included in the request is invalid.")
	})
}

// A secret that was changed counts after the old one has failed.
func TestCredentialsAreReadAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		refs := &rotating{value: "canary-wrong"}
		env, err := broker.NewEnv(broker.Config{AllowPrivateIPs: true}, refs)
		require.NoError(t, err)
		f, err := r.kind.factory(env)
		require.NoError(t, err)
		r.factory = f
		s := r.open(target, `"secretAccessKey":"ref:key"`)
		require.Error(t, send(t, s, batch(1, "a")))
		refs.value = ""
		require.EqualError(t, send(t, s, batch(1, "a")), "secretAccessKey: it is gone")
		refs.value = secretKey
		require.NoError(t, send(t, s, batch(1, "a")))
		require.NoError(t, send(t, s, batch(2, "a")))
		require.Equal(t, 3, refs.read, "not for each batch")
	})
}

type rotating struct {
	value string
	read  int
}

func (*rotating) IsReference(text string) bool { return text == "ref:key" }
func (*rotating) Check(string) error           { return nil }
func (r *rotating) Resolve(context.Context, string) (string, error) {
	r.read++
	if r.value == "" {
		return "", errors.New("it is gone")
	}
	return r.value, nil
}

func TestTargetIsNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		err := send(t, r.open(r.other(r.aws), ""), batch(1, "a"))
		require.ErrorContains(t, err, r.name+": "+r.absent+": ")
		require.False(t, sink.IsRefused(err))
	})
}

// The endpoint that a stream names is connected to through the guard.
func TestForbiddenEndpoint(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		cfg, err := r.factory.Validate(r.config(target, ""))
		require.NoError(t, err)
		s, err := r.newFactory(broker.Config{}).Open(t.Context(), theStream, cfg)
		require.NoError(t, err)
		require.ErrorContains(t, send(t, s, batch(1, "a")), "a loopback address, which may not be connected to; brokers.allow and")
		require.NoError(t, s.Close(t.Context()))
		require.Empty(t, r.aws.Calls(r.send))
	})
}
