package amazon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pyralis-io/pyralis/internal/awserr"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	maxEntries = 10 // messages in a call
	parallel   = 4  // calls at the same time
)

// deliver sends the messages of a batch. The caller has the turn.
func (s *Sink) deliver(ctx context.Context, b *sink.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c, err := s.connected(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	made, bad := s.maker.Make(ctx, b)
	messages := make([]Message, 0, len(made))
	for i := range made {
		one, err := s.message(&made[i], c.state.Message)
		if err != nil {
			made, bad = made[:i], err
			break
		}
		messages = append(messages, one)
	}
	d := &dispatch{sink: s, client: c, messages: messages, errs: make([]error, len(messages))}
	d.run(ctx)
	if d.broken {
		s.disconnect()
		d.explain()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, err := range d.errs {
		d.errs[i] = c.redactor.Error(err)
	}
	return s.maker.Outcome(b, made, d.errs, bad)
}

// dispatch is the sending of one batch.
type dispatch struct {
	sink     *Sink
	client   *client
	messages []Message

	mu     sync.Mutex
	errs   []error // guarded by mu; what became of each message
	broken bool    // guarded by mu; a call failed as a whole, and no further one is made
	cause  error   // guarded by mu; what that call failed with
}

// run sends in rounds, in each of which the first message goes that is left of each group.
func (d *dispatch) run(ctx context.Context) {
	for i := range d.errs {
		d.errs[i] = broker.ErrWaits
	}
	for groups := d.groups(); len(groups) > 0 && !d.broken; {
		first := make([]int, len(groups))
		for i, g := range groups {
			first[i] = g[0]
		}
		d.round(ctx, first)
		var left [][]int
		for _, g := range groups {
			if d.errs[g[0]] == nil && len(g) > 1 {
				left = append(left, g[1:])
			}
		}
		groups = left
	}
}

// explain has what was not tried, since a call broke, say so in the words of that call.
func (d *dispatch) explain() {
	for i, err := range d.errs {
		if errors.Is(err, broker.ErrWaits) {
			d.errs[i] = d.cause
		}
	}
}

// groups are the messages of each group, in their order. Where no order is kept, each message is alone.
func (d *dispatch) groups() (groups [][]int) {
	known := make(map[string]int)
	for i := range d.messages {
		at, ok := known[d.messages[i].Group]
		if !ok || !d.sink.target.FIFO {
			at = len(groups)
			known[d.messages[i].Group] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// round sends messages that need no order among them, in as few calls as hold them.
func (d *dispatch) round(ctx context.Context, messages []int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, parallel)
	for len(messages) > 0 {
		size, n := 0, 0
		for n < len(messages) && n < maxEntries && (n == 0 || size+d.messages[messages[n]].size <= d.client.state.Call) {
			size += d.messages[messages[n]].size
			n++
		}
		call := messages[:n]
		messages = messages[n:]
		room <- struct{}{}
		if d.isBroken() {
			return
		}
		wg.Go(func() {
			defer func() { <-room }()
			d.call(ctx, call)
		})
	}
}

func (d *dispatch) isBroken() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// call makes one call and notes what became of its messages.
func (d *dispatch) call(ctx context.Context, which []int) {
	messages := make([]*Message, len(which))
	for i, w := range which {
		messages[i] = &d.messages[w]
	}
	var refused map[int]*Refusal
	err := d.sink.within(ctx, func(ctx context.Context) (err error) {
		// The answer is made by whoever is at the address: what the SDK makes of it must not end the process.
		refused, err = d.client.survive(ctx, messages)
		return err
	})
	content := aboutContent(err)
	if content && len(which) > 1 {
		for i := range which { // to know which one it is
			if d.isBroken() {
				return
			}
			d.call(ctx, which[i:i+1])
		}
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, w := range which {
		switch {
		case content:
			d.errs[w] = sink.Refused(d.sink.problem(err))
			if forGood(awserr.Code(err)) {
				d.errs[w] = sink.Permanent(d.sink.problem(err))
			}
		case err != nil && ctx.Err() != nil:
			d.errs[w], d.broken, d.cause = err, true, err
		case err != nil:
			d.errs[w], d.broken = d.sink.problem(err), true
			d.cause = d.errs[w]
		case refused[i] != nil:
			d.errs[w] = d.sink.refusal(refused[i])
		default:
			d.errs[w] = nil
		}
	}
}

// survive is Send, a panic being an error.
func (c *client) survive(ctx context.Context, messages []*Message) (refused map[int]*Refusal, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the answer makes no sense: %v", v)
		}
	}()
	return c.Send(ctx, messages)
}
