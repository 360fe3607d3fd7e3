package stream

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// maxLetterError bounds what is kept of a receiver's words.
const maxLetterError = 2000

// keep stores the events of a batch as dead letters, and hands them to the outlet, or, if that is what they were, puts them back. It returns when that
// is durable, when ctx is done, or when another run has taken the stream over.
func (r *run) keep(ctx context.Context, b *batch) error {
	write := r.m.opts.Store.PutDeadLetters
	if b.letters != nil {
		write = r.m.opts.Store.ReturnDeadLetters
	}
	letters := r.deadLetters(b)
	err := r.insist(ctx, func(ctx context.Context) error { return write(ctx, r.m.opts.Fence(), r.def.ID, r.epoch, letters) })
	if err != nil || b.letters != nil {
		return err
	}
	for _, l := range letters {
		r.log.WithField("event", l.Event).WithField("listener", l.Listener).WithField("attempts", l.Attempts).Warnf("The event was set aside as dead letter %s: %s", l.ID, l.Error)
	}
	return r.hand(ctx, b, letters)
}

// insist carries a write out, however long the store is away. It ends early when another run has taken the stream over, or it is deleted.
func (r *run) insist(ctx context.Context, write func(ctx context.Context) error) error {
	return retry.Do(ctx, storeBackoff, func(ctx context.Context, _ int) error {
		err := write(ctx)
		switch {
		case errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound):
			return retry.Permanent(err)
		case err != nil:
			r.s.stats.fail(err, r.m.opts.Now())
		}
		return err
	})
}

// deadLetters are what is kept of the events of a batch that is set aside.
func (r *run) deadLetters(b *batch) []*store.DeadLetter {
	now := r.m.opts.Now()
	kind, cause := b.fault()
	if len(cause) > maxLetterError {
		cause = strings.ToValidUTF8(cause[:maxLetterError], "") + "…"
	}
	list := make([]*store.DeadLetter, len(b.events))
	for i := range b.events {
		if b.letters != nil {
			l := *b.letters[i]
			if l.Kind != store.LetterExpression { // else what is kept is the event before its listener's programs
				l.Kind = kind
			}
			l.Error, l.LastFailed, l.Attempts = cause, now, l.Attempts+b.sends
			list[i] = &l
			continue
		}
		e := &b.events[i]
		list[i] = &store.DeadLetter{
			ID: letterID(e), Stream: r.def.ID, Listener: e.Listener.ID, ListenerName: e.Listener.Name, Replay: e.Listener.Replay, Event: e.ID,
			Block: e.Block, Payload: e.JSON, Kind: kind, Error: cause, Attempts: b.sends, FirstFailed: b.first, LastFailed: now,
		}
	}
	return list
}

// fault is the kind of a dead letter, and the cause in words.
func (b *batch) fault() (kind, cause string) {
	err := b.last
	if b.poison != nil {
		err = b.poison
	}
	switch {
	case sink.IsPermanent(err):
		kind = store.LetterPermanent
	case sink.IsRefused(err):
		kind = store.LetterRefused
	default:
		kind = store.LetterExpression
	}
	return kind, err.Error()
}

// letterID is the same whenever the event is set aside, so that a crash repeats no dead letter. After a reset of the listener it is another.
func letterID(e *sink.Event) string {
	return uuid.NewHash(sha256.New(), uuid.Nil, []byte(e.DedupID()), 8).String()
}
