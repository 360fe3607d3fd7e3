package stream

import (
	"context"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

func (f *fakeStore) fenced(stream string, epoch int64) bool {
	return !slices.ContainsFunc(f.streams, func(s *store.Stream) bool { return s.ID == stream && s.Epoch == epoch })
}

func (f *fakeStore) PutDeadLetters(_ context.Context, _ store.Fence, stream string, epoch int64, letters []*store.DeadLetter) error {
	leave, err := f.enter("PutDeadLetters")
	if err != nil {
		return err
	}
	defer leave()
	if f.fenced(stream, epoch) {
		return store.ErrFenced
	}
	for _, l := range letters {
		c := *l
		if i := slices.IndexFunc(f.letters, func(o *store.DeadLetter) bool { return o.ID == l.ID }); i >= 0 {
			c.Seq, c.FirstFailed, c.ReplayAsked = f.letters[i].Seq, f.letters[i].FirstFailed, f.letters[i].ReplayAsked
			f.letters[i] = &c
			continue
		}
		f.seq++
		c.Seq = f.seq
		f.letters = append(f.letters, &c)
	}
	if f.onLetters != nil {
		f.onLetters(letters)
	}
	return nil
}

func (f *fakeStore) ReturnDeadLetters(_ context.Context, _ store.Fence, stream string, epoch int64, letters []*store.DeadLetter) error {
	leave, err := f.enter("ReturnDeadLetters")
	if err != nil {
		return err
	}
	defer leave()
	if f.fenced(stream, epoch) {
		return store.ErrFenced
	}
	for _, l := range letters {
		for _, o := range f.letters {
			if o.Seq == l.Seq {
				o.Kind, o.Error, o.Attempts, o.LastFailed = l.Kind, l.Error, l.Attempts, l.LastFailed
				o.ReplayAsked = time.Time{}
			}
		}
	}
	return nil
}

func (f *fakeStore) DropDeadLetters(_ context.Context, _ store.Fence, _ string, seqs []int64) error {
	leave, err := f.enter("DropDeadLetters")
	if err != nil {
		return err
	}
	defer leave()
	f.letters = slices.DeleteFunc(f.letters, func(l *store.DeadLetter) bool {
		gone := slices.Contains(seqs, l.Seq)
		if gone && f.onDrop != nil {
			f.onDrop(l)
		}
		return gone
	})
	return nil
}

func (f *fakeStore) DeadLetter(_ context.Context, stream, id string) (*store.DeadLetter, error) {
	leave, err := f.enter("DeadLetter")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, l := range f.letters {
		if l.Stream == stream && l.ID == id {
			c := *l
			return &c, nil
		}
	}
	return nil, store.ErrNotFound
}

// selects says whether a filter selects a letter. Times are left to the suite of the store.
func selects(flt store.LetterFilter, l *store.DeadLetter) bool {
	return l.Stream == flt.Stream && l.Seq > flt.After && (flt.Before == 0 || l.Seq < flt.Before) &&
		(flt.Listener == "" || l.Listener == flt.Listener) && (flt.Kind == "" || l.Kind == flt.Kind)
}

func (f *fakeStore) ListDeadLetters(_ context.Context, flt store.LetterFilter, limit int) ([]*store.DeadLetter, error) {
	list, err := f.list("ListDeadLetters", limit, func(l *store.DeadLetter) bool { return selects(flt, l) })
	for _, l := range list {
		l.Payload = nil
	}
	return list, err
}

func (f *fakeStore) DeadLettersToReplay(_ context.Context, stream string, limit int, size int64) ([]*store.DeadLetter, error) {
	list, err := f.list("DeadLettersToReplay", limit, func(l *store.DeadLetter) bool { return l.Stream == stream && !l.ReplayAsked.IsZero() })
	for i, l := range list {
		if size -= int64(len(l.Payload)); size < 0 && i > 0 {
			list = list[:i]
			break
		}
	}
	for _, l := range list {
		f.replayBytes.Add(int64(len(l.Payload)))
	}
	return list, err
}

func (f *fakeStore) list(call string, limit int, want func(*store.DeadLetter) bool) ([]*store.DeadLetter, error) {
	leave, err := f.enter(call)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []*store.DeadLetter
	for _, l := range f.letters {
		if want(l) && (limit <= 0 || len(all) < limit) {
			c := *l
			all = append(all, &c)
		}
	}
	return all, nil
}

func (f *fakeStore) AskReplay(_ context.Context, _ store.Fence, flt store.LetterFilter) (n int64, err error) {
	leave, err := f.enter("AskReplay")
	if err != nil {
		return 0, err
	}
	defer leave()
	for _, l := range f.letters {
		if selects(flt, l) {
			n++
			if l.ReplayAsked.IsZero() {
				l.ReplayAsked = l.LastFailed
			}
		}
	}
	return n, nil
}

func (f *fakeStore) DeleteDeadLetters(_ context.Context, _ store.Fence, flt store.LetterFilter) (int64, error) {
	leave, err := f.enter("DeleteDeadLetters")
	if err != nil {
		return 0, err
	}
	defer leave()
	before := len(f.letters)
	f.letters = slices.DeleteFunc(f.letters, func(l *store.DeadLetter) bool { return selects(flt, l) })
	return int64(before - len(f.letters)), nil
}
