package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// producer is the sink of one stream.
type producer struct {
	factory *Factory
	stream  sink.Stream
	cfg     *apitypes.KafkaConfig
	texts   *texts
	maker   broker.Maker
	ownKey  []byte // of messages for which no key is configured

	turn *turn.Slot // there is one delivery at a time, which keeps their order

	// Of whose turn it is.
	client *client           // nil before the first delivery
	sure   bool              // nothing has gone wrong since client had its id
	topics map[string]*topic // that were there when nothing had gone wrong
	room   room              // for records

	mu       sync.Mutex
	warnings []string // guarded by mu
}

var _ sink.Advising = (*producer)(nil)

// Send implements sink.Sink. It returns when the fate of the batch is known.
func (p *producer) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	p.turn.Send(ctx, b, done, p.deliver)
}

// Close implements sink.Sink.
func (p *producer) Close(ctx context.Context) error {
	return p.turn.Close(ctx, p.disconnect)
}

func (p *producer) disconnect() {
	if p.client != nil {
		p.client.close()
	}
	p.client, p.sure = nil, false
}

// errTimeout is the cause of the end of a batch that took too long.
var errTimeout = errors.New("timeout of the batch")

func (p *producer) deliver(ctx context.Context, b *sink.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	messages, bad := p.maker.Make(ctx, b)
	records, large := p.records(messages)
	if large != nil {
		bad = large
	}
	parent := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(*p.cfg.RequestTimeout), errTimeout)
	defer cancel()
	if p.client != nil {
		p.client.forget()
	}
	reached, err := p.reachAll(ctx, records)
	if err != nil {
		records, bad = records[:reached], err
	}
	var failed map[int]error
	if len(records) > 0 {
		failed = p.client.publish(ctx, records)
	}
	defer func() { p.room.release(len(failed) > 0) }()
	if parent.Err() != nil && (len(failed) > 0 || bad != nil) {
		p.doubt()
		return context.Cause(parent)
	}
	again := madeAgain(failed)
	for i, err := range failed {
		failed[i] = p.judge(ctx, &messages[i], records[i], err)
	}
	if bad != nil && !sink.IsPermanent(bad) {
		p.doubt()
		bad = p.problem(ctx, bad)
	}
	if len(failed) > 0 {
		p.doubt()
	}
	if again {
		p.disconnect()
	}
	errs := make([]error, len(records))
	for i, err := range failed {
		errs[i] = err
	}
	return p.maker.Outcome(b, messages[:len(records)], errs, bad)
}

// madeAgain says that a topic was deleted and created again: then the client sends nothing to it any more, whatever it learns of it.
func madeAgain(failed map[int]error) bool {
	for _, err := range failed {
		if errors.Is(err, kerr.UnknownTopicID) {
			return true
		}
	}
	return false
}

// reachAll is reach for records, in their order, up to the first for which it fails.
func (p *producer) reachAll(ctx context.Context, records []*kgo.Record) (reached int, err error) {
	for i, r := range records {
		if i > 0 && r.Topic == records[i-1].Topic && r.Partition == records[i-1].Partition {
			continue
		}
		if err := p.reach(ctx, r); err != nil {
			return i, err
		}
	}
	return len(records), nil
}

// reach makes sure that there is a client that can send, and that the cluster has a place for a record.
func (p *producer) reach(ctx context.Context, r *kgo.Record) error {
	if p.client == nil {
		c, err := p.factory.connect(p.cfg)
		if err != nil {
			return err
		}
		p.client = c
	}
	if err := p.know(ctx, r); err != nil {
		return err
	}
	if p.sure {
		return nil
	}
	if err := p.client.id(ctx); err != nil {
		err = p.problem(ctx, err)
		p.disconnect()
		return err
	}
	p.sure = true
	return nil
}

// doubt has the next batch look again whether all is as it was.
func (p *producer) doubt() {
	p.sure = false
	clear(p.topics)
}
