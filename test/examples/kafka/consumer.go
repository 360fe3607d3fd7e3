package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// messageID is the header that has the same value whenever a message comes again.
const messageID = "pyralis-message-id"

// consumer is a member of a group.
type consumer struct {
	brokers      []string
	topic, group string
	session      time.Duration
	store        store
}

// run handles messages until ctx is done. An offset is committed when everything before it has had its effect: what was handled and not
// committed comes again, and is known by its id then.
func (c *consumer) run(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.brokers...), kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topic), kgo.SessionTimeout(c.session), kgo.HeartbeatInterval(c.session/5),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), // partitions move between two polls, and never while their messages are handled
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetched := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetched.Err(); err != nil {
			return err
		}
		for _, r := range fetched.Records() {
			if err := c.handle(r); err != nil {
				return fmt.Errorf("partition %d, offset %d: %w", r.Partition, r.Offset, err)
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "offsets are not committed, and what they stand for will come again:", err)
		}
		client.AllowRebalance()
	}
}

func (c *consumer) handle(r *kgo.Record) error {
	id := ""
	for _, h := range r.Headers {
		if h.Key == messageID {
			id = string(h.Value)
		}
	}
	if id == "" {
		return errors.New("a message without the header " + messageID + ": Pyralis did not write it")
	}
	first, err := c.store.apply(id, r.Value)
	if err == nil && !first {
		fmt.Fprintln(os.Stderr, id, "came again")
	}
	return err
}
