package sqs

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"
)

// maxSize is how many bytes SQS takes in a message, and in a call.
const maxSize = 1 << 20

// service is the queue of one URL.
type service struct{ queueURL string }

func (service) Name() string { return "SQS" }

func (s service) Client(c *amazon.Connection) amazon.Client {
	return &client{queueURL: s.queueURL, api: sqs.NewFromConfig(c.Config, func(o *sqs.Options) {
		o.DisableMessageChecksumValidation = true // TLS has it, and the check panics over an answer that lacks an id
		if c.Endpoint != nil {
			o.BaseEndpoint = c.Endpoint
		}
	})}
}

type client struct {
	api      *sqs.Client
	queueURL string
}

// State implements amazon.Client.
func (c *client) State(ctx context.Context) (*amazon.State, error) {
	out, err := c.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &c.queueURL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return nil, err
	}
	number := func(name types.QueueAttributeName, none int) int {
		if n, err := strconv.Atoi(out.Attributes[string(name)]); err == nil {
			return n
		}
		return none
	}
	const day = 24 * time.Hour
	s := &amazon.State{
		FIFO:    out.Attributes[string(types.QueueAttributeNameFifoQueue)] == "true",
		Message: number(types.QueueAttributeNameMaximumMessageSize, maxSize), Call: maxSize,
	}
	if kept := time.Duration(number(types.QueueAttributeNameMessageRetentionPeriod, int(day/time.Second))) * time.Second; kept < day {
		s.Warnings = []string{"The queue drops messages after " + kept.String() + ": events are lost if their consumer is away for longer."}
	}
	return s, nil
}

// Send implements amazon.Client.
func (c *client) Send(ctx context.Context, messages []*amazon.Message) (map[int]*amazon.Refusal, error) {
	in := &sqs.SendMessageBatchInput{QueueUrl: &c.queueURL}
	for i, m := range messages {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
			Id: amazon.ID(i), MessageBody: &m.Body, MessageAttributes: attributes(m.Attributes),
			MessageGroupId: amazon.Text(m.Group), MessageDeduplicationId: amazon.Text(m.DedupID),
		})
	}
	out, err := c.api.SendMessageBatch(ctx, in)
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
