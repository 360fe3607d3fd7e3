package sqlstore

import (
	"context"
	"fmt"
	"math"

	"github.com/pyralis-io/pyralis/internal/store"
)

// letterPortion is how many dead letters one transaction changes.
const letterPortion = 1000

// scanLetter reads a row of letterColumns, and the payload if that comes after them.
func scanLetter(r row) *store.DeadLetter {
	const width = 14
	l := &store.DeadLetter{
		Seq: r.int(0), ID: r.text(1), Stream: r.text(2), Listener: r.text(3), ListenerName: r.text(4), Replay: r.text(5), Event: r.text(6),
		Block: uint64(r.int(7)), Kind: r.text(8), Error: r.text(9), Attempts: int(r.int(10)),
		FirstFailed: r.time(11), LastFailed: r.time(12), ReplayAsked: r.time(13),
	}
	if len(r) > width {
		l.Payload = r.blob(width)
	}
	return l
}

// letterArgs are the arguments of letterFilter.
func letterArgs(flt store.LetterFilter) []any {
	before := int64(math.MaxInt64)
	if flt.Before > 0 {
		before = flt.Before
	}
	return append([]any{flt.Stream, flt.After, before}, restArgs(flt)...)
}

// restArgs are the arguments of letterRest.
func restArgs(flt store.LetterFilter) []any {
	until := int64(math.MaxInt64)
	if !flt.Until.IsZero() {
		until = toMicros(flt.Until)
	}
	return []any{flt.Listener, flt.Listener, flt.Kind, flt.Kind, toMicros(flt.Since), until}
}

// DeadLetter implements store.DeadLetters.
func (s *Store) DeadLetter(ctx context.Context, stream, id string) (*store.DeadLetter, error) {
	all, err := s.letters(ctx, readLetter, stream, id)
	if err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", id, err)
	}
	if len(all) == 0 {
		return nil, notFound("dead letter", id)
	}
	return all[0], nil
}

// ListDeadLetters implements store.DeadLetters.
func (s *Store) ListDeadLetters(ctx context.Context, flt store.LetterFilter, limit int) ([]*store.DeadLetter, error) {
	all, err := s.letters(ctx, readLetters, append(letterArgs(flt), limitOf(limit))...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters of stream %s: %w", flt.Stream, err)
	}
	return all, nil
}

// DeadLettersToReplay implements store.DeadLetters.
func (s *Store) DeadLettersToReplay(ctx context.Context, stream string, limit int, size int64) ([]*store.DeadLetter, error) {
	fit, more := 0, true
	err := s.read(ctx, readReplaySizes, func(r row) error {
		size -= r.int(0)
		if more = more && (size >= 0 || fit == 0); more {
			fit++
		}
		return nil
	}, stream, limitOf(limit))
	var all []*store.DeadLetter
	if err == nil && fit > 0 {
		all, err = s.letters(ctx, readReplays, stream, fit)
	}
	if err != nil {
		return nil, fmt.Errorf("dead letters to replay of stream %s: %w", stream, err)
	}
	return all, nil
}

func (s *Store) letters(ctx context.Context, id readID, args ...any) ([]*store.DeadLetter, error) {
	var all []*store.DeadLetter
	err := s.read(ctx, id, func(r row) error {
		all = append(all, scanLetter(r))
		return nil
	}, args...)
	return all, err
}

// CountDeadLetters implements store.DeadLetters.
func (s *Store) CountDeadLetters(ctx context.Context, streams []string) (map[string]store.LetterCount, error) {
	count := make(map[string]store.LetterCount)
	err := s.read(ctx, readLetterCounts, func(r row) error {
		count[r.text(0)] = store.LetterCount{All: r.int(1), Replays: r.int(2)}
		return nil
	}, s.texts(streams))
	if err != nil {
		return nil, fmt.Errorf("count dead letters of %d streams: %w", len(streams), err)
	}
	return count, nil
}

// AskReplay implements store.DeadLetters.
func (s *Store) AskReplay(ctx context.Context, f store.Fence, flt store.LetterFilter) (int64, error) {
	n, err := s.portions(ctx, &f, flt, func(g *group, count func(row), args []any) error {
		_, err := g.ask(sqlAskReplay, count, append([]any{g.now}, args...)...)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("replay dead letters of stream %s: %w", flt.Stream, err)
	}
	return n, nil
}

// DeleteDeadLetters implements store.DeadLetters.
func (s *Store) DeleteDeadLetters(ctx context.Context, f store.Fence, flt store.LetterFilter) (int64, error) {
	n, err := s.deleteLetters(ctx, &f, flt)
	if err != nil {
		return n, fmt.Errorf("delete dead letters of stream %s: %w", flt.Stream, err)
	}
	return n, nil
}

func (s *Store) deleteLetters(ctx context.Context, f *store.Fence, flt store.LetterFilter) (int64, error) {
	return s.portions(ctx, f, flt, func(g *group, count func(row), args []any) error {
		_, err := g.ask(sqlDeleteLetters, count, args...)
		return err
	})
}

// portions changes what a filter selects, some with each transaction, so that nothing else waits long. What to change is looked for beside the
// writer, and looked at again by it. What comes meanwhile has a higher Seq: the end is fixed first, so that there is one.
func (s *Store) portions(ctx context.Context, f *store.Fence, flt store.LetterFilter, change func(g *group, count func(row), args []any) error) (total int64, err error) {
	if flt.Before == 0 {
		newest, err := s.readInt(ctx, readNewestLetter, flt.Stream)
		if err != nil {
			return 0, err
		}
		flt.Before = newest + 1
	}
	for {
		var seqs []int64
		err := s.read(ctx, readLetterPlaces, func(r row) error {
			seqs = append(seqs, r.int(0))
			return nil
		}, append(letterArgs(flt), int64(letterPortion))...)
		if err != nil || len(seqs) == 0 {
			return total, err
		}
		var n int64
		err = s.lone(ctx, f, func(g *group) error {
			n = 0
			return change(g, func(row) { n++ }, append([]any{flt.Stream, g.session.ints(seqs)}, restArgs(flt)...))
		})
		if err != nil {
			return total, err
		}
		if total += n; len(seqs) < letterPortion {
			return total, nil
		}
		flt.After = seqs[len(seqs)-1]
	}
}

// lettersCmd writes dead letters of one stream under the epoch of its run.
type lettersCmd struct {
	epochCheck
	write func(g *group)
}

func (c *lettersCmd) plan(g *group) error {
	if err := c.check(); err != nil {
		return err
	}
	c.write(g)
	return nil
}

// PutDeadLetters implements store.DeadLetters.
func (s *Store) PutDeadLetters(ctx context.Context, f store.Fence, stream string, epoch int64, letters []*store.DeadLetter) error {
	var err error
	for _, l := range letters {
		if err = names("id", l.ID, "listener", l.Listener, "kind", l.Kind); err != nil {
			break
		}
	}
	if err == nil {
		err = s.writeLetters(ctx, f, stream, epoch, func(g *group) {
			for _, l := range letters {
				payload := []byte(l.Payload)
				if payload == nil {
					payload = []byte{}
				}
				g.session.exec(sqlPutLetter, 1, l.ID, stream, l.Listener, text(l.ListenerName), text(l.Replay), text(l.Event), bits(l.Block), payload, l.Kind,
					text(l.Error), int64(l.Attempts), toMicros(l.FirstFailed), toMicros(l.LastFailed), toMicros(l.ReplayAsked))
			}
		})
	}
	if err != nil {
		return fmt.Errorf("set aside events of stream %s: %w", stream, err)
	}
	return nil
}

// ReturnDeadLetters implements store.DeadLetters.
func (s *Store) ReturnDeadLetters(ctx context.Context, f store.Fence, stream string, epoch int64, letters []*store.DeadLetter) error {
	err := s.writeLetters(ctx, f, stream, epoch, func(g *group) {
		for _, l := range letters {
			g.session.exec(sqlReturnLetter, anyRows, text(l.Kind), text(l.Error), int64(l.Attempts), toMicros(l.LastFailed), l.Seq, stream)
		}
	})
	if err != nil {
		return fmt.Errorf("put back dead letters of stream %s: %w", stream, err)
	}
	return nil
}

func (s *Store) writeLetters(ctx context.Context, f store.Fence, stream string, epoch int64, write func(g *group)) error {
	return s.writer.submit(ctx, classCheckpoint, &f, &lettersCmd{epochCheck: epochCheck{stream: stream, epoch: epoch}, write: write})
}

// DropDeadLetters implements store.DeadLetters.
func (s *Store) DropDeadLetters(ctx context.Context, f store.Fence, stream string, seqs []int64) error {
	err := s.lone(ctx, &f, func(g *group) error {
		for _, seq := range seqs {
			g.session.exec(sqlDropLetter, anyRows, seq, stream)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop dead letters of stream %s: %w", stream, err)
	}
	return nil
}
