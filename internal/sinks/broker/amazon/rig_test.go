package amazon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/internal/sinks/sns"
	"github.com/pyralis-io/pyralis/internal/sinks/sqs"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	patience  = 2 * time.Minute
	keyID     = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "canary-secret-key"
)

var theStream = sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "orders"}

// kind is one of the two services, and what of it tests have to know.
type kind struct {
	name    string // in errors
	send    string // the call that sends
	ask     string // the call that asks for attributes
	target  string // field of the configuration
	refused string // what AWS calls a refused parameter
	absent  string // what AWS calls a target that is not there
	factory func(env *broker.Env) (factory, error)
	create  func(s *awstest.Server, name string, attributes map[string]string) string
	other   func(s *awstest.Server) string // names nothing that is there
}

type factory interface {
	sink.Factory
	sink.Confidential
	sink.Prober
}

var queues = kind{
	name: "SQS", send: "SendMessageBatch", ask: "GetQueueAttributes", target: "queueUrl", refused: "InvalidParameterValue", absent: "QueueDoesNotExist",
	factory: func(env *broker.Env) (factory, error) { return sqs.New(env) },
	create:  (*awstest.Server).CreateQueue,
	other:   func(s *awstest.Server) string { return s.URL + "/123456789012/nowhere" },
}

var topics = kind{
	name: "SNS", send: "PublishBatch", ask: "GetTopicAttributes", target: "topicArn", refused: "InvalidParameter", absent: "NotFound",
	factory: func(env *broker.Env) (factory, error) { return sns.New(env) },
	create:  (*awstest.Server).CreateTopic,
	other:   func(*awstest.Server) string { return "arn:aws:sns:eu-central-1:123456789012:nowhere" },
}

// each runs a test for both.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	for _, k := range []kind{queues, topics} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, k))
		})
	}
}

// rig is a fake AWS with a factory that may connect to it.
type rig struct {
	kind
	t       *testing.T
	aws     *awstest.Server
	factory factory
}

func newRig(t *testing.T, k kind) *rig {
	t.Helper()
	r := &rig{kind: k, t: t, aws: awstest.New(map[string]string{keyID: secretKey})}
	t.Cleanup(r.aws.Close)
	r.factory = r.newFactory(broker.Config{AllowPrivateIPs: true})
	return r
}

func (r *rig) newFactory(cfg broker.Config) factory {
	r.t.Helper()
	vars := map[string]string{"AWS_KEY": secretKey, "AWS_WRONG": "canary-wrong"}
	refs, err := secret.New(secret.Options{Allow: []string{"env:AWS_*"}, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	require.NoError(r.t, err)
	env, err := broker.NewEnv(cfg, refs)
	require.NoError(r.t, err)
	f, err := r.kind.factory(env)
	require.NoError(r.t, err)
	return f
}

// config is a configuration for a target, with further fields that stand for those before them. It waits as long as the machine needs.
func (r *rig) config(target, fields string) json.RawMessage {
	r.t.Helper()
	all := map[string]any{
		r.target: target, "region": awstest.Region, "endpoint": r.aws.URL, "accessKeyId": keyID, "secretAccessKey": secretKey, "requestTimeout": "100s",
	}
	if fields != "" {
		require.NoError(r.t, json.Unmarshal([]byte("{"+fields+"}"), &all))
	}
	raw, err := json.Marshal(all)
	require.NoError(r.t, err)
	return raw
}

// open opens a sink, which is closed at the end of the test.
func (r *rig) open(target, fields string) sink.Sink {
	r.t.Helper()
	cfg, err := r.factory.Validate(r.config(target, fields))
	require.NoError(r.t, err)
	s, err := r.factory.Open(r.t.Context(), theStream, cfg)
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(r.t, s.Close(ctx))
	})
	return s
}

// fail has the next calls that send fail, one after the other.
func (r *rig) fail(faults ...awstest.Fault) {
	queue := make(chan awstest.Fault, len(faults))
	for _, f := range faults {
		queue <- f
	}
	r.aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
		if c.Action == r.send {
			select {
			case f := <-queue:
				return f
			default:
			}
		}
		return awstest.Fault{}
	})
}

var listener = &sink.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "l", Stream: theStream.ID, Replay: "r1"}

// batch makes a batch of events, each in a group: batch("a", "b", "a").
func batch(number int64, groups ...string) *sink.Batch {
	b := &sink.Batch{Number: number, Attempt: 1}
	for i, group := range groups {
		id := fmt.Sprintf("%d-%d", number, i)
		b.Events = append(b.Events, event(id, fmt.Sprintf(`{"id":%q,"data":{"group":%q}}`, id, group)))
	}
	return whole(b)
}

func event(id, body string) sink.Event {
	return sink.Event{ID: id, Listener: listener, Block: 1, JSON: []byte(body)}
}

func whole(b *sink.Batch) *sink.Batch {
	var all []string
	for _, e := range b.Events {
		all = append(all, string(e.JSON))
	}
	b.Body = []byte("[" + strings.Join(all, ",") + "]")
	return b
}

// send delivers a batch.
func send(t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	return sendWith(t.Context(), t, s, b)
}

func sendWith(ctx context.Context, t *testing.T, s sink.Sink, b *sink.Batch) error {
	t.Helper()
	result := make(chan error, 1)
	go s.Send(ctx, b, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
		return nil
	}
}

// failed are the events of a batch that failed, by index.
func failed(t *testing.T, b *sink.Batch, err error) map[int]error {
	t.Helper()
	var p *sink.Partial
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		require.NotEmpty(t, p.Failed)
		return p.Failed
	}
	all := make(map[int]error)
	for i := range b.Events {
		all[i] = err
	}
	return all
}

// bodies are the bodies that a target has taken.
func (r *rig) bodies(target string) (out []string) {
	for _, m := range r.aws.Messages(target) {
		out = append(out, m.Body)
	}
	return out
}
