package stream

import (
	"context"
	"errors"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	// maxReplay is how many dead letters are replayed in one batch at most.
	maxReplay = 500
	// shortReplay is how many bytes of them are read where memory is short.
	shortReplay = 64 << 10
)

// replays delivers the dead letters that are to be replayed, batch after batch, in the order in which they were set aside. They go the way of
// all batches, among those of new events. One that gets through is deleted, one that is refused is a dead letter again. After a
// crash, those that were under way go again.
func (r *run) replays(ctx context.Context) error {
	limit := maxReplay
	for {
		n, err := r.replay(ctx, limit)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if err != nil {
			return err
		}
		if n > 0 {
			limit = min(2*n, maxReplay) // those that had to go alone are not read with all behind them again and again
			continue
		}
		limit = maxReplay
		select {
		case <-r.s.replay:
		case <-ctx.Done():
			return nil
		}
	}
}

// replay delivers a batch of dead letters and waits until nothing of it is under way. It returns how many there were, 0 if there are none.
func (r *run) replay(ctx context.Context, limit int) (n int, err error) {
	// Nothing is read before somebody is there to take it.
	if err := r.reader.receiver(ctx); err != nil {
		return 0, err
	}
	if err := r.delivery.memory(ctx); err != nil {
		return 0, err
	}
	if n, err = r.pushReplays(ctx, min(limit, r.def.BatchSize)); err != nil || n == 0 {
		return 0, err
	}
	for {
		if err := r.insist(ctx, r.dropReplayed); err != nil {
			return 0, err
		}
		if r.delivery.replayDone() {
			return n, nil
		}
		select {
		case <-r.delivery.freed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// pushReplays reads dead letters and puts those that can go together into a batch. It returns how many they are.
func (r *run) pushReplays(ctx context.Context, limit int) (int, error) {
	letters, size, err := r.toReplay(ctx, limit)
	if err != nil || len(letters) == 0 {
		return 0, err
	}
	defer r.delivery.hold(-size)
	ready, poison, err := r.evaluated(ctx, letters)
	if err != nil {
		return 0, err
	}
	if len(ready) == 0 {
		r.delivery.passed(letters[0])
		return 1, nil
	}
	b := replayed(ready, r.reader.asm.maxBytes)
	b.poison = poison
	return len(b.letters), r.delivery.push(ctx, b)
}

// toReplay reads dead letters, and counts their events in the budget.
func (r *run) toReplay(ctx context.Context, limit int) (letters []*store.DeadLetter, size int64, err error) {
	claimed := int64(r.reader.asm.maxBytes)
	most := claimed
	if !r.delivery.claim(claimed) {
		claimed, most = 0, min(most, shortReplay)
	}
	err = r.insist(ctx, func(ctx context.Context) error {
		letters, err = r.m.opts.Store.DeadLettersToReplay(ctx, r.def.ID, limit, most)
		return err
	})
	for _, l := range letters {
		size += int64(len(l.Payload))
	}
	r.delivery.hold(size - claimed)
	return letters, size, err
}

// dropReplayed deletes the dead letters that got through.
func (r *run) dropReplayed(ctx context.Context) error {
	seqs := r.delivery.replayedSeqs()
	if len(seqs) == 0 {
		return nil
	}
	if err := r.m.opts.Store.DropDeadLetters(ctx, r.m.opts.Fence(), r.def.ID, seqs); err != nil {
		return err
	}
	r.delivery.dropped(len(seqs))
	return nil
}

// lastDrop deletes at the end of a run what got through, so that it does not come again with the next one.
func (r *run) lastDrop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := r.dropReplayed(ctx); err != nil && !errors.Is(err, store.ErrFenced) {
		r.log.WithError(err).Warn("Dead letters that were replayed could not be deleted; they will be replayed again")
	}
}

// replayed makes a batch of dead letters, as many as have room.
func replayed(letters []*store.DeadLetter, maxBytes int) *batch {
	b := &batch{buf: []byte{'['}}
	for i, l := range letters {
		if i > 0 {
			if len(b.buf)+len(l.Payload) > maxBytes {
				break
			}
			b.buf = append(b.buf, ',')
		}
		b.buf = append(b.buf, l.Payload...)
		without := *l
		without.Payload = nil // the batch has it
		b.letters = append(b.letters, &without)
	}
	b.buf = append(b.buf, ']')
	b.events = make([]sink.Event, len(b.letters))
	at := 1
	for i, l := range b.letters {
		end := at + len(letters[i].Payload)
		b.events[i] = sink.Event{
			ID: l.Event, Block: l.Block, JSON: b.buf[at:end:end],
			// Brokers must not take it for the repetition of what they have seen; but they may if it is the same replay.
			Listener: &sink.Listener{
				ID: l.Listener, Name: l.ListenerName, Stream: l.Stream, Replay: l.Replay + "/" + strconv.FormatInt(l.ReplayAsked.UnixMicro(), 36),
			},
		}
		at = end + 1
	}
	return b
}

// replayDone says that no dead letter is under way.
func (d *delivery) replayDone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.replaying == 0 && len(d.replayed) == 0
}

// replayedSeqs are the dead letters that got through and are not deleted yet.
func (d *delivery) replayedSeqs() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	seqs := make([]int64, len(d.replayed))
	for i, l := range d.replayed {
		seqs[i] = l.Seq
	}
	return seqs
}

// dropped says that so many of those that got through first are deleted.
func (d *delivery) dropped(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replayed = append(d.replayed[:0], d.replayed[n:]...)
}
