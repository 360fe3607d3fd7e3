package jetstream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nuid"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// maxGroup is how many messages may be stored as one; servers take 1000 unless they are set up otherwise.
const maxGroup = 500

// The headers of messages that are stored together or not at all.
const (
	headerGroup    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// inGroups publishes messages in groups that the stream stores as a whole or not at all. When it refuses a group, because there are too many
// groups or because it has some of the messages already, the rest goes one by one, which tells what is wrong with which message.
func (l *link) inGroups(ctx context.Context, messages []broker.Message) (stored int, err error) {
	for stored < len(messages) {
		group := groupOf(messages[stored:])
		if len(group) > 1 {
			err = l.group(ctx, group)
		}
		var r *refusal
		switch {
		case len(group) == 1, errors.As(err, &r):
			n, err := l.oneByOne(ctx, messages[stored:])
			return stored + n, err
		case err != nil:
			return stored, l.judged(ctx, &messages[stored], err)
		}
		stored += len(group)
	}
	return stored, nil
}

// groupOf is the beginning of the messages that fits into one group.
func groupOf(messages []broker.Message) []broker.Message {
	size := 0
	for i := range messages {
		if size += len(messages[i].Body); i > 0 && size > maxFlight || i == maxGroup {
			return messages[:i]
		}
	}
	return messages
}

// group publishes messages as one. Only the last is answered, for all.
func (l *link) group(ctx context.Context, messages []broker.Message) error {
	id := nuid.Next()
	for i := range messages {
		const more = 3
		fields, last := l.header(&messages[i], more), i == len(messages)-1
		fields[headerGroup] = []string{id}
		fields[headerSequence] = []string{strconv.Itoa(i + 1)}
		if last {
			fields[headerCommit] = []string{"1"}
		}
		if err := l.put(&messages[i], fields, last); err != nil {
			if sink.IsPermanent(err) { // it is too large, and was not sent; a group that is not ended comes to nothing
				return &refusal{Description: err.Error()}
			}
			return err
		}
	}
	patience := time.NewTimer(l.timeout)
	defer patience.Stop()
	answered, verdict := false, error(nil)
	for !answered {
		if err := l.await(ctx, patience, func(number uint64, err error) {
			if number == l.number {
				answered, verdict = true, err
			}
		}); err != nil {
			l.doubtful = true
			return err
		}
	}
	return verdict
}
