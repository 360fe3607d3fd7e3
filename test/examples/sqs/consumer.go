package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	pause    = time.Second // after a failure
	maxBatch = 10          // messages that SQS gives at once
	wait     = 20          // seconds that SQS waits for a message
	idName   = "pyralis-message-id"
)

// consumer handles the messages of a queue.
type consumer struct {
	sqs   *sqs.Client
	queue string
	store *store
	log   io.Writer
}

// run works until ctx is done. SQS gives again what was not deleted, and of a FIFO queue nothing behind it in its group until then.
func (c *consumer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		out, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &c.queue, MaxNumberOfMessages: maxBatch, WaitTimeSeconds: wait,
			MessageAttributeNames:       []string{idName}, // else it does not come along
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameMessageGroupId},
		})
		if err == nil {
			err = c.handleAll(ctx, out.Messages)
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(c.log, err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// handleAll handles messages in their order. Behind one that fails nothing of its group is touched.
func (c *consumer) handleAll(ctx context.Context, messages []types.Message) error {
	var errs []error
	failed := make(map[string]bool)
	for i := range messages {
		m := &messages[i]
		group := m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
		if group != "" && failed[group] {
			continue
		}
		if err := c.handle(ctx, m); err != nil {
			failed[group] = true
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *consumer) handle(ctx context.Context, m *types.Message) error {
	id, ok := m.MessageAttributes[idName]
	if !ok || id.StringValue == nil {
		return fmt.Errorf("message %s has no %s, and is left to the dead-letter queue", *m.MessageId, idName)
	}
	fresh, err := c.store.apply(ctx, *id.StringValue, *m.Body)
	if err != nil {
		return err
	}
	if !fresh {
		fmt.Fprintln(c.log, "came again:", *id.StringValue)
	}
	// Only now: what is deleted before its effect is there would be lost if the program ended in between.
	_, err = c.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &c.queue, ReceiptHandle: m.ReceiptHandle})
	return err
}
