package sns

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"
)

const (
	maxSize   = 1 << 20   // bytes that a topic can be set up to take
	usualSize = 256 << 10 // bytes that it takes otherwise
)

// service is the topic of one ARN.
type service struct{ topicARN string }

func (service) Name() string { return "SNS" }

func (s service) Client(c *amazon.Connection) amazon.Client {
	return &client{topicARN: s.topicARN, api: sns.NewFromConfig(c.Config, func(o *sns.Options) {
		if c.Endpoint != nil {
			o.BaseEndpoint = c.Endpoint
		}
	})}
}

type client struct {
	api      *sns.Client
	topicARN string
}

// State implements amazon.Client.
func (c *client) State(ctx context.Context) (*amazon.State, error) {
	out, err := c.api.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &c.topicARN})
	if err != nil {
		return nil, err
	}
	s := &amazon.State{FIFO: out.Attributes["FifoTopic"] == "true", Message: usualSize}
	if n, err := strconv.Atoi(out.Attributes["MaximumMessageSize"]); err == nil {
		s.Message = n
	}
	s.Call = s.Message
	if out.Attributes["SubscriptionsConfirmed"] == "0" {
		s.Warnings = []string{"Nobody has subscribed to the topic: what is published is acknowledged, and reaches nobody."}
	}
	return s, nil
}

// Send implements amazon.Client.
func (c *client) Send(ctx context.Context, messages []*amazon.Message) (map[int]*amazon.Refusal, error) {
	in := &sns.PublishBatchInput{TopicArn: &c.topicARN}
	for i, m := range messages {
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, types.PublishBatchRequestEntry{
			Id: amazon.ID(i), Message: &m.Body, Subject: amazon.Text(m.Subject), MessageAttributes: attributes(m.Attributes),
			MessageGroupId: amazon.Text(m.Group), MessageDeduplicationId: amazon.Text(m.DedupID),
		})
	}
	out, err := c.api.PublishBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	var answer amazon.Answer
	for _, e := range out.Successful {
		answer.Took(e.Id)
	}
	for _, e := range out.Failed {
		answer.Refused(e.Id, e.Code, e.Message, e.SenderFault)
	}
	return answer.Refusals(len(messages)), nil
}

func attributes(headers []broker.Header) map[string]types.MessageAttributeValue {
	out := make(map[string]types.MessageAttributeValue, len(headers))
	for _, h := range headers {
		out[h.Name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &h.Value}
	}
	return out
}
