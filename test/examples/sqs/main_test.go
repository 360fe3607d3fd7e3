package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/example"
)

const (
	patience = 3 * time.Minute
	events   = 30
	keyID    = "AKIAIOSFODNN7EXAMPLE"
	key      = "wJalrXUtnFEMI"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two consumers share a queue, one of them is killed, answers are lost, everything is sent a second time, and each event has its effect once.
func TestConsumers(t *testing.T) {
	t.Parallel()
	binary := example.Build(t)
	for _, c := range []struct{ name, kind string }{{"ledger", apitypes.StreamSQS}, {"ledger.fifo", apitypes.StreamSQS}, {"ledger.fifo", apitypes.StreamSNS}} {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			t.Parallel()
			fake := awstest.New(map[string]string{keyID: key})
			t.Cleanup(fake.Close)
			queue := fake.CreateQueue(c.name, map[string]string{"VisibilityTimeout": "2"})
			settings := map[string]any{
				"queueUrl": queue, "region": awstest.Region, "endpoint": fake.URL, "accessKeyId": keyID, "secretAccessKey": key, "groupId": "all",
			}
			if c.kind == apitypes.StreamSNS {
				delete(settings, "queueUrl")
				topic := fake.CreateTopic(c.name, nil)
				fake.Subscribe(topic, queue)
				settings["topicArn"] = topic
			}
			fake.On(losses())
			api := stream(t, c.kind, settings)
			database := filepath.Join(t.TempDir(), "events.db")
			first, second := start(t, binary, fake.URL, queue, database), start(t, binary, fake.URL, queue, database)
			submit(t, api, 0, events/2)
			handled := open(t, database)
			require.Eventually(t, func() bool { return len(subjects(t, handled)) >= events/4 }, patience, 20*time.Millisecond)
			first.Kill()
			submit(t, api, events/2, events)
			all := func() bool { return len(subjects(t, handled)) == events && fake.Waiting(queue) == 0 }
			require.Eventually(t, all, patience, 50*time.Millisecond)

			sendAgain(t, fake, queue)
			require.Eventually(t, func() bool { return strings.Count(second.Log.String(), "came again") >= events && all() }, patience, 50*time.Millisecond)
			got := subjects(t, handled)
			var want []string
			for i := range events {
				want = append(want, name(i))
			}
			if strings.HasSuffix(c.name, ".fifo") {
				require.Equal(t, want, got)
			} else {
				require.ElementsMatch(t, want, got)
			}
		})
	}
}

// losses are a fault now and then: an answer that is lost, twice, so that a repetition does not help.
func losses() func(context.Context, *awstest.Call) awstest.Fault {
	var mu sync.Mutex
	n := 0
	return func(_ context.Context, c *awstest.Call) awstest.Fault {
		if c.Action != "SendMessageBatch" && c.Action != "PublishBatch" {
			return awstest.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return awstest.Fault{Lose: n%9 < 2}
	}
}

// stream starts a node with a stream to AWS.
func stream(t *testing.T, kind string, settings map[string]any) *client.Client {
	t.Helper()
	raw, err := json.Marshal(settings)
	require.NoError(t, err)
	s := &apitypes.EventStream{Type: &kind, SQS: raw}
	if kind == apitypes.StreamSNS {
		s.SQS, s.SNS = nil, raw
	}
	api := example.Node(t)
	example.Stream(t, api, s)
	return api
}

func name(i int) string { return fmt.Sprintf("asset-%03d", i) }

func submit(t *testing.T, api *client.Client, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		example.Create(t, api, name(i))
	}
}

func start(t *testing.T, binary, endpoint, queue, database string) *example.Process {
	t.Helper()
	return example.Start(t, []string{"AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + key}, binary, "-endpoint", endpoint, "-queue", queue, "-database", database)
}

func open(t *testing.T, database string) *store {
	t.Helper()
	s, err := openStore(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}

// subjects are the assets of the events that had their effect.
func subjects(t *testing.T, s *store) (all []string) {
	t.Helper()
	bodies, err := s.events(t.Context())
	require.NoError(t, err)
	for _, text := range bodies {
		all = append(all, example.Asset(t, []byte(text)))
	}
	return all
}

// sendAgain puts every message into the queue once more, as a repetition that comes when SQS has forgotten its id.
func sendAgain(t *testing.T, fake *awstest.Server, queue string) {
	t.Helper()
	fake.Advance(6 * time.Minute)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := sqs.NewFromConfig(aws.Config{
		Region: awstest.Region, BaseEndpoint: &fake.URL, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(keyID, key, ""),
	})
	for _, m := range fake.Messages(queue) {
		in := &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &m.Body, MessageAttributes: map[string]types.MessageAttributeValue{
			idName: {DataType: aws.String("String"), StringValue: aws.String(m.Attributes[idName])},
		}}
		if m.Group != "" && m.DedupID != "" {
			in.MessageDeduplicationId = &m.DedupID
		}
		if m.Group != "" {
			in.MessageGroupId = &m.Group
		}
		_, err := c.SendMessage(t.Context(), in)
		require.NoError(t, err)
	}
}
