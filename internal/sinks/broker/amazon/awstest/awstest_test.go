package awstest_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
)

func start(t *testing.T) (*awstest.Server, aws.Config) {
	t.Helper()
	s := awstest.New(map[string]string{"AKIA": "key"})
	t.Cleanup(s.Close)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return s, aws.Config{
		Region: awstest.Region, BaseEndpoint: &s.URL, HTTPClient: &http.Client{Transport: tr},
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "key", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func put(t *testing.T, c *sqs.Client, url, body, group, id string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}
	if group != "" {
		in.MessageGroupId, in.MessageDeduplicationId = &group, &id
	}
	_, err := c.SendMessage(t.Context(), in)
	require.NoError(t, err)
}

func receive(ctx context.Context, t *testing.T, c *sqs.Client, url string, wait int32) []types.Message {
	t.Helper()
	out, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait})
	require.NoError(t, err)
	return out.Messages
}

func bodies(messages []types.Message) (out []string) {
	for _, m := range messages {
		out = append(out, *m.Body)
	}
	return out
}

func TestFIFOQueue(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	url, c := s.CreateQueue("q.fifo", nil), sqs.NewFromConfig(cfg)
	for i, group := range []string{"a", "a", "b"} {
		put(t, c, url, group+strconv.Itoa(i), group, strconv.Itoa(i))
	}
	put(t, c, url, "again", "a", "0")
	got := receive(t.Context(), t, c, url, 0)
	require.Equal(t, []string{"a0", "a1", "b2"}, bodies(got), "in order, and once")
	require.Equal(t, "a", got[0].Attributes["MessageGroupId"])
	put(t, c, url, "a3", "a", "3")
	put(t, c, url, "c4", "c", "4")
	require.Equal(t, []string{"c4"}, bodies(receive(t.Context(), t, c, url, 0)), "the groups that are out are held")
	_, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: got[0].ReceiptHandle})
	require.NoError(t, err)
	s.Advance(31 * time.Second)
	require.Equal(t, []string{"a1", "b2", "a3", "c4"}, bodies(receive(t.Context(), t, c, url, 0)), "what was not deleted is back")
	require.Equal(t, 4, s.Waiting(url))

	s.Advance(5 * time.Minute)
	put(t, c, url, "again", "a", "0")
	require.Len(t, s.Messages(url), 6, "the id is forgotten")
}

func TestReceiveWaits(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	url, c := s.CreateQueue("q", nil), sqs.NewFromConfig(cfg)
	came := make(chan []string)
	go func() { came <- bodies(receive(context.Background(), t, c, url, 20)) }()
	require.Eventually(t, func() bool { return len(s.Calls("ReceiveMessage")) == 1 }, time.Minute, time.Millisecond)
	put(t, c, url, "news", "", "")
	require.Equal(t, []string{"news"}, <-came)
	out, err := c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	require.NoError(t, err)
	require.Equal(t, url, *out.QueueUrl)
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	url, arn := s.CreateQueue("q.fifo", nil), s.CreateTopic("t.fifo", nil)
	s.Subscribe(arn, url)
	for range 2 {
		_, err := sns.NewFromConfig(cfg).Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("m"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("1")})
		require.NoError(t, err)
	}
	require.Equal(t, []string{"m"}, bodies(receive(t.Context(), t, sqs.NewFromConfig(cfg), url, 0)))
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	arn := s.PutSecret("hooks/key", "value")
	c := secretsmanager.NewFromConfig(cfg)
	for _, id := range []string{"hooks/key", arn} {
		out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
		require.NoError(t, err)
		require.Equal(t, "value", *out.SecretString)
	}
	_, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("none")})
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, "ResourceNotFoundException", api.ErrorCode())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	url, arn := s.CreateQueue("q", nil), s.CreateTopic("t", nil)
	ask := func(cfg aws.Config) string {
		_, err := sqs.NewFromConfig(cfg).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url})
		if err == nil {
			return ""
		}
		var api smithy.APIError
		require.ErrorAs(t, err, &api)
		return api.ErrorCode()
	}
	require.Empty(t, ask(cfg))
	for want, credential := range map[string][2]string{"SignatureDoesNotMatch": {"AKIA", "other"}, "InvalidClientTokenId": {"AKIB", "key"}} {
		other := cfg
		other.Credentials = credentials.NewStaticCredentialsProvider(credential[0], credential[1], "")
		require.Equal(t, want, ask(other))
		_, err := sns.NewFromConfig(other).GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
		require.ErrorContains(t, err, want)
	}
	s.On(func(context.Context, *awstest.Call) awstest.Fault { return awstest.Fault{Code: "Wanted", Text: "so"} })
	require.Equal(t, "Wanted", ask(cfg))
	s.On(func(context.Context, *awstest.Call) awstest.Fault { return awstest.Fault{Cut: true} })
	_, err := sqs.NewFromConfig(cfg).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	require.ErrorContains(t, err, "EOF")
	require.Empty(t, s.Messages(url))
	s.On(func(context.Context, *awstest.Call) awstest.Fault { return awstest.Fault{Lose: true} })
	_, err = sqs.NewFromConfig(cfg).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	require.Error(t, err)
	require.Len(t, s.Messages(url), 1)
}
