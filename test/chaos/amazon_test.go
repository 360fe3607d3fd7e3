//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// troubles is what goes wrong with the calls to a service: one kind at a time, each call with some chance.
type troubles struct {
	kind atomic.Int32
	dice func(n int) int // safe for concurrent use
}

const (
	throttled = iota + 1
	cut
	lost // what was asked for is done, and nobody hears of it
	slow
	entries // some of a batch
	kindsOfTrouble
)

func (f *troubles) of(ctx context.Context, c *awstest.Call) awstest.Fault {
	kind := f.kind.Load()
	if kind == 0 || len(c.Messages) == 0 || f.dice(3) == 0 {
		return awstest.Fault{}
	}
	switch kind {
	case throttled:
		return awstest.Fault{Code: "ThrottlingException", Text: "Rate exceeded"}
	case cut:
		return awstest.Fault{Cut: true}
	case lost:
		return awstest.Fault{Lose: true}
	case slow:
		select {
		case <-time.After(time.Duration(f.dice(4000)) * time.Millisecond):
		case <-ctx.Done():
		}
		return awstest.Fault{}
	default:
		failed := map[int]awstest.Entry{}
		for i := range c.Messages {
			if f.dice(2) == 0 {
				failed[i] = awstest.Entry{Code: "InternalError", Text: "try again"}
			}
		}
		return awstest.Fault{Entries: failed}
	}
}

// amazon are queues of SQS and a topic of SNS, each at an address of its own.
func (r *eventRun) amazon() []*someBroker {
	return []*someBroker{r.service("sqs", "events"), r.service("sqs", "events.fifo"), r.service("sns", "events.fifo")}
}

func (r *eventRun) service(kind, name string) *someBroker {
	aws := awstest.New(nil)
	r.t.Cleanup(aws.Close)
	f := &troubles{dice: rand.IntN}
	aws.On(f.of)
	cfg := map[string]any{
		"region": awstest.Region, "endpoint": aws.URL, "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "secret", "requestTimeout": "3s",
	}
	fifo := name == "events.fifo"
	if fifo {
		cfg["groupId"] = byKey
	} else {
		cfg["attributes"] = map[string]string{"key": byKey}
	}
	b := &someBroker{name: kind + " " + name, once: fifo, unordered: !fifo}
	var target string
	switch kind {
	case "sqs":
		target = aws.CreateQueue(name, nil)
		cfg["queueUrl"] = target
	default:
		target = aws.CreateTopic(name, nil)
		cfg["topicArn"] = target
	}
	raw, err := json.Marshal(cfg)
	require.NoError(r.t, err)
	b.stream.Type = &kind
	if kind == apitypes.StreamSQS {
		b.stream.SQS = raw
	} else {
		b.stream.SNS = raw
	}
	b.fault = func(rnd *rand.Rand) {
		f.kind.Store(int32(1 + rnd.IntN(kindsOfTrouble-1)))
		server.Pause(r.t, span(rnd, 2*time.Second))
		f.kind.Store(0)
	}
	b.held = func() (all []held) {
		for _, m := range aws.Messages(target) {
			key := m.Group
			if !fifo {
				key = m.Attributes["key"]
			}
			all = append(all, held{id: m.Attributes["pyralis-message-id"], key: key, body: []byte(m.Body)})
		}
		return all
	}
	return b
}
