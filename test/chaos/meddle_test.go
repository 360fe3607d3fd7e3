//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// mostListeners bounds the listeners that are added to a stream.
const mostListeners = 5

// meddle changes streams at random moments, until ctx is done.
func (r *eventRun) meddle(ctx context.Context) {
	rnd := r.rand(2)
	added := map[string]int{}
	for ctx.Err() == nil {
		if retry.Sleep(ctx, span(rnd, time.Second)) != nil {
			return
		}
		a := r.accounts[rnd.IntN(len(r.accounts))]
		var kind string
		switch dice := rnd.IntN(10); {
		case dice < 4:
			kind = "patch"
			r.patch(a, rnd)
		case dice < 7:
			kind = "suspend"
			r.insist("suspend "+a.stream, func(ctx context.Context) error { return r.c.SuspendStream(ctx, a.stream) })
			_ = retry.Sleep(ctx, span(rnd, time.Second)) // the end of it all resumes it at once
			r.insist("resume "+a.stream, func(ctx context.Context) error { return r.c.ResumeStream(ctx, a.stream) })
		case dice < 9:
			kind = "reset"
			r.reset(a, rnd)
		case added[a.stream] < mostListeners:
			kind = "listener"
			added[a.stream]++
			r.listen(a.stream, fmt.Sprint(a.stream, " ", added[a.stream]), apitypes.ListenerEvents, r.anyBlock(rnd))
		default:
			continue
		}
		r.mu.Lock()
		r.changes[kind]++
		r.mu.Unlock()
	}
}

func (r *eventRun) patch(a *account, rnd *rand.Rand) {
	body := &apitypes.EventStream{BatchSize: ptr(uint64(1 + rnd.IntN(200))), BatchTimeout: duration(span(rnd, 200*time.Millisecond))}
	r.insist("patch "+a.stream, func(ctx context.Context) error {
		_, err := r.c.UpdateStream(ctx, a.stream, body)
		return err
	})
}

// anyBlock is the number of a block, more often than not a recent one.
func (r *eventRun) anyBlock(rnd *rand.Rand) (number uint64) {
	head := uint64(0)
	r.insist("newest block", func(ctx context.Context) error {
		s, err := r.c.Stream(ctx, r.accounts[0].stream)
		if err == nil && s.StreamState.HeadBlock != nil {
			head = *s.StreamState.HeadBlock
		}
		return err
	})
	if rnd.IntN(10) == 0 {
		return rnd.Uint64N(head + 1)
	}
	return head - min(head, rnd.Uint64N(100))
}

// reset lets one of the listeners that were there from the start deliver again what it has delivered.
func (r *eventRun) reset(a *account, rnd *rand.Rand) {
	name := a.stream + []string{" events", " blocks", chosen}[rnd.IntN(3)]
	id, from := "", uint64(0)
	r.insist("position of "+name, func(ctx context.Context) error {
		list, err := r.c.Listeners(ctx, a.stream, 500, "")
		for _, l := range list {
			if *l.Name == name {
				id = l.ID.String()
			}
		}
		if err != nil {
			return err
		}
		l, err := r.c.Listener(ctx, a.stream, id)
		if err == nil && l.Checkpoint != nil {
			from = l.Checkpoint.Block
		}
		return err
	})
	back := rnd.Uint64N(100)
	if rnd.IntN(10) == 0 {
		back = from
	}
	from -= min(from, back) // behind its position: what lies between that and a later block would be passed over
	a.forget(id)
	r.mu.Lock()
	r.again[name] = from
	r.mu.Unlock()
	number := apitypes.BlockNumber(fmt.Sprint(from))
	r.insist("reset "+name, func(ctx context.Context) error {
		_, err := r.c.ResetListener(ctx, a.stream, id, &number, false)
		return err
	})
}
