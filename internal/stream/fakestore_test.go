package stream

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pyralis-io/pyralis/internal/store"
)

// fakeStore keeps streams in memory.
type fakeStore struct {
	mu        sync.Mutex
	seq       int64
	streams   []*store.Stream
	listeners []*store.Listener
	cps       map[string]store.Checkpoint
	letters   []*store.DeadLetter
	writes    int
	inserts   int // of listeners, tried
	fault     func(call string) error
	// onWrite sees every accepted checkpoint write, in order.
	onWrite func(stream string, epoch int64, cps []store.Checkpoint)
	// onLetters sees every event that is set aside.
	onLetters func(letters []*store.DeadLetter)
	// onDrop sees every dead letter that is deleted because it got through.
	onDrop func(letter *store.DeadLetter)

	replayBytes atomic.Int64 // of events that were read to be replayed
}

func newFakeStore() *fakeStore { return &fakeStore{cps: make(map[string]store.Checkpoint)} }

func (f *fakeStore) enter(call string) (func(), error) {
	f.mu.Lock()
	if f.fault != nil {
		if err := f.fault(call); err != nil {
			f.mu.Unlock()
			return nil, err
		}
	}
	return f.mu.Unlock, nil
}

func (f *fakeStore) setFault(fault func(call string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fakeStore) InsertStream(_ context.Context, s *store.Stream) error {
	leave, err := f.enter("InsertStream")
	if err != nil {
		return err
	}
	defer leave()
	for _, o := range f.streams {
		if o.Name == s.Name || o.ID == s.ID {
			return store.ErrConflict
		}
	}
	f.seq++
	s.Seq = f.seq
	c := *s
	f.streams = append(f.streams, &c)
	return nil
}

func (f *fakeStore) UpdateStream(_ context.Context, s *store.Stream) error {
	leave, err := f.enter("UpdateStream")
	if err != nil {
		return err
	}
	defer leave()
	for _, o := range f.streams {
		if o.Name == s.Name && o.ID != s.ID {
			return store.ErrConflict
		}
	}
	for i, o := range f.streams {
		if o.ID == s.ID {
			c := *s
			c.Epoch = o.Epoch
			f.streams[i] = &c
			return nil
		}
	}
	return store.ErrNotFound
}

func (f *fakeStore) DeleteStream(_ context.Context, id string) error {
	leave, err := f.enter("DeleteStream")
	if err != nil {
		return err
	}
	defer leave()
	n := len(f.streams)
	f.streams = slices.DeleteFunc(f.streams, func(s *store.Stream) bool { return s.ID == id })
	f.listeners = slices.DeleteFunc(f.listeners, func(l *store.Listener) bool { return l.StreamID == id })
	f.letters = slices.DeleteFunc(f.letters, func(l *store.DeadLetter) bool { return l.Stream == id })
	if len(f.streams) == n {
		return store.ErrNotFound
	}
	return nil
}

func (f *fakeStore) Stream(_ context.Context, idOrName string) (*store.Stream, error) {
	leave, err := f.enter("Stream")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, s := range f.streams {
		if s.ID == idOrName || s.Name == idOrName {
			c := *s
			return &c, nil
		}
	}
	return nil, store.ErrNotFound
}

func (f *fakeStore) Streams(_ context.Context, after int64, limit int) ([]*store.Stream, error) {
	leave, err := f.enter("Streams")
	if err != nil {
		return nil, err
	}
	defer leave()
	var page []*store.Stream
	for _, s := range f.streams {
		if s.Seq > after && len(page) < limit {
			c := *s
			page = append(page, &c)
		}
	}
	return page, nil
}

func (f *fakeStore) InsertListener(_ context.Context, l *store.Listener) error {
	leave, err := f.enter("InsertListener")
	if err != nil {
		return err
	}
	defer leave()
	f.inserts++
	for _, o := range f.listeners {
		if o.StreamID == l.StreamID && o.Name == l.Name {
			return store.ErrConflict
		}
	}
	f.seq++
	l.Seq = f.seq
	c := *l
	f.listeners = append(f.listeners, &c)
	return nil
}

func (f *fakeStore) UpdateListener(_ context.Context, l *store.Listener) error {
	leave, err := f.enter("UpdateListener")
	if err != nil {
		return err
	}
	defer leave()
	for _, o := range f.listeners {
		if o.StreamID == l.StreamID && o.Name == l.Name && o.ID != l.ID {
			return store.ErrConflict
		}
	}
	for i, o := range f.listeners {
		if o.ID == l.ID {
			c := *l
			f.listeners[i] = &c
			return nil
		}
	}
	return store.ErrNotFound
}

func (f *fakeStore) DeleteListener(_ context.Context, id string) error {
	leave, err := f.enter("DeleteListener")
	if err != nil {
		return err
	}
	defer leave()
	f.listeners = slices.DeleteFunc(f.listeners, func(l *store.Listener) bool { return l.ID == id })
	delete(f.cps, id)
	return nil
}

func (f *fakeStore) Listener(_ context.Context, id string) (*store.Listener, error) {
	leave, err := f.enter("Listener")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, l := range f.listeners {
		if l.ID == id {
			c := *l
			return &c, nil
		}
	}
	return nil, store.ErrNotFound
}

func (f *fakeStore) Listeners(_ context.Context, stream string, after int64, limit int) ([]*store.Listener, error) {
	leave, err := f.enter("Listeners")
	if err != nil {
		return nil, err
	}
	defer leave()
	var page []*store.Listener
	for _, l := range f.listeners {
		if (stream == "" || l.StreamID == stream) && l.Seq > after && len(page) < limit {
			c := *l
			page = append(page, &c)
		}
	}
	return page, nil
}

func (f *fakeStore) NewEpoch(_ context.Context, _ store.Fence, stream string) (int64, error) {
	leave, err := f.enter("NewEpoch")
	if err != nil {
		return 0, err
	}
	defer leave()
	for _, s := range f.streams {
		if s.ID == stream {
			s.Epoch++
			return s.Epoch, nil
		}
	}
	return 0, store.ErrNotFound
}

func (f *fakeStore) Checkpoints(_ context.Context, stream string) ([]store.Checkpoint, error) {
	leave, err := f.enter("Checkpoints")
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []store.Checkpoint
	for _, l := range f.listeners {
		if cp, ok := f.cps[l.ID]; ok && l.StreamID == stream {
			list = append(list, cp)
		}
	}
	return list, nil
}

func (f *fakeStore) WriteCheckpoints(_ context.Context, _ store.Fence, stream string, epoch int64, cps []store.Checkpoint) error {
	leave, err := f.enter("WriteCheckpoints")
	if err != nil {
		return err
	}
	defer leave()
	for _, s := range f.streams {
		if s.ID == stream && s.Epoch != epoch {
			return store.ErrFenced
		}
	}
	if f.onWrite != nil {
		f.onWrite(stream, epoch, cps)
	}
	f.writes++
	for _, cp := range cps {
		if cp.Older == nil {
			cp.Older = f.cps[cp.Listener].Older
		}
		f.cps[cp.Listener] = cp
	}
	return nil
}

func (f *fakeStore) ResetCheckpoints(_ context.Context, _ store.Fence, ls []*store.Listener) error {
	leave, err := f.enter("ResetCheckpoints")
	if err != nil {
		return err
	}
	defer leave()
	raised := make(map[string]bool)
	for _, l := range ls {
		delete(f.cps, l.ID)
		for i, o := range f.listeners {
			if o.ID == l.ID {
				c := *l
				f.listeners[i] = &c
			}
		}
		for _, s := range f.streams {
			if s.ID == l.StreamID && !raised[s.ID] {
				raised[s.ID] = true
				s.Epoch++
			}
		}
	}
	return nil
}

func (f *fakeStore) insertions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inserts
}

func (f *fakeStore) checkpoint(listener string) (store.Checkpoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cp, ok := f.cps[listener]
	return cp, ok
}
