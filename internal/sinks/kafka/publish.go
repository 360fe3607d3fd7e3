package kafka

import (
	"context"
	"errors"
	"sync/atomic"
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
	for next := 0; next < len(records); {
		handed, errs := c.produce(ctx, records[next:])
		for i, err := range errs {
			if err != nil {
				failed[next+i] = err
			}
		}
		next += handed
		if len(failed) > 0 {
			for i := next; i < len(records); i++ {
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

// produce is publish for as many records as can go together: one that the client does not put into its partition at once, since it does not know the topic,
// or knows nothing good of it, is the last. Those behind it could be sent when it has failed. errs is nil if all that were handed over were acknowledged.
func (c *client) produce(ctx context.Context, records []*kgo.Record) (handed int, errs []error) {
	var left atomic.Int64 // a promise may be kept while records are still handed over
	left.Store(int64(len(records)))
	done := make(chan struct{})
	settle := func(n int) {
		if left.Add(int64(-n)) == 0 {
			close(done)
		}
	}
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
		settle(1)
	}
	c.placed.Store(nil) // the memory of records is used again
	c.filling.Lock()
	for handed < len(records) {
		r := records[handed]
		c.kafka.Produce(ctx, r, promise)
		handed++
		if c.placed.Load() != r {
			break
		}
	}
	c.filling.Unlock()
	if waiting := len(records) - handed; waiting > 0 {
		settle(waiting)
	}
	if c.kafka.Flush(ctx) != nil {
		c.abort(done)
	}
	<-done
	return handed, errs
}

// OnProduceRecordPartitioned implements kgo.HookProduceRecordPartitioned: a record stands in its partition, and fails before those that come to stand behind it.
func (c *client) OnProduceRecordPartitioned(r *kgo.Record, _ int32) { c.placed.Store(r) }

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
		handed, errs := c.produce(ctx, some)
		taken := 0
		for taken < handed && (errs == nil || errs[taken] == nil) {
			delete(failed, part[taken])
			taken++
		}
		group = group[taken:]
		if taken == handed {
			continue
		}
		rest := part[taken:handed]
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
