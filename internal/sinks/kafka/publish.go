package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
)

// abortAgain is how soon records that moved inside the client while they were taken out of it are looked for again.
const abortAgain = 10 * time.Millisecond

// publish has records taken by the brokers. It returns when the fate of each is known, or when ctx is done and none is left in the client. failed is what
// became of those that were not acknowledged, by their index; where one failed, all behind it in its partition did.
func (c *client) publish(ctx context.Context, records []*kgo.Record) (failed map[int]error) {
	failed = make(map[int]error)
	for begin := 0; begin < len(records); {
		end := begin + c.round(records[begin:])
		for i, err := range c.produce(ctx, records[begin:end]) {
			if err != nil {
				failed[begin+i] = err
			}
		}
		begin = end
		if len(failed) > 0 {
			for i := begin; i < len(records); i++ {
				failed[i] = broker.ErrWaits
			}
			break
		}
	}
	for _, group := range suspects(records, failed) {
		c.search(ctx, records, group, failed)
	}
	return failed
}

// round says how many records may go together: the first one of a topic is the last, since those behind it could be sent when it has failed as long as
// the client does not know where they belong.
func (c *client) round(records []*kgo.Record) int {
	last := ""
	for i, r := range records {
		if r.Topic != last && !c.learnt[r.Topic] {
			return i + 1
		}
		last = r.Topic
	}
	return len(records)
}

// produce is publish for a round. errs is nil if all were acknowledged.
func (c *client) produce(ctx context.Context, records []*kgo.Record) (errs []error) {
	left, done := len(records), make(chan struct{})
	var index map[*kgo.Record]int
	promise := func(r *kgo.Record, err error) { // never called by two at a time
		if err != nil {
			if errs == nil {
				errs, index = make([]error, len(records)), make(map[*kgo.Record]int, len(records))
				for i, r := range records {
					index[r] = i
				}
			}
			errs[index[r]] = err
		}
		if left--; left == 0 {
			close(done)
		}
	}
	c.filling.Lock()
	for _, r := range records {
		c.kafka.Produce(ctx, r, promise)
	}
	c.filling.Unlock()
	if c.kafka.Flush(ctx) != nil {
		c.abort(done)
	}
	<-done
	last := ""
	for i, r := range records {
		if r.Topic != last && (errs == nil || errs[i] == nil) {
			last = r.Topic
			c.learnt[last] = true
		}
	}
	return errs
}

// abort takes out of the client all that it still has. What was sent under its epoch is not taken behind what is sent from now on.
func (c *client) abort(done chan struct{}) {
	again := time.NewTicker(abortAgain)
	defer again.Stop()
	for {
		c.kafka.UnsafeAbortBufferedRecords()
		select {
		case <-done:
			return
		case <-again.C:
		}
	}
}

// place is where records keep their order.
type place struct {
	topic     string
	partition int32
}

// suspects are the records that failed since the broker refused one among them for what it is, by partition, in their order.
func suspects(records []*kgo.Record, failed map[int]error) map[place][]int {
	groups := make(map[place][]int)
	for i, r := range records {
		if isContent(failed[i]) {
			at := place{r.Topic, r.Partition}
			groups[at] = append(groups[at], i)
		}
	}
	return groups
}

// search sends the records of a partition again in smaller and smaller parts, as long as the broker refuses one for its content, until the record
// at fault is alone. What is before that one is delivered then, and what is behind it was not sent.
func (c *client) search(ctx context.Context, records []*kgo.Record, group []int, failed map[int]error) {
	for size := len(group) / 2; size > 0 && len(group) > 0; {
		part := group[:min(size, len(group))]
		some := make([]*kgo.Record, len(part))
		for i, at := range part {
			some[i] = records[at]
		}
		errs := c.produce(ctx, some)
		taken := 0
		for taken < len(part) && (errs == nil || errs[taken] == nil) {
			delete(failed, part[taken])
			taken++
		}
		group = group[taken:]
		if taken == len(part) {
			continue
		}
		rest := part[taken:]
		if len(rest) > 1 && isContent(errs[taken]) {
			size = len(rest) / 2
			continue
		}
		for _, at := range group {
			failed[at] = broker.ErrWaits
		}
		failed[rest[0]] = errs[taken]
		return
	}
}

// isContent says whether a broker refuses a batch of records for what is in it.
func isContent(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord)
}
