package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// fakeChain is a ledger with knobs: a connector and the view of its chain in one. A listener matches the events whose name is in
// its filters, given as JSON strings; "*" matches all.
type fakeChain struct {
	ffcapi.Connector // what the engine does not call

	mu       sync.Mutex
	finality ffcapi.Finality
	blocks   []*fakeBlock
	safe     int // number of the newest final block, -1 for none
	moved    chan struct{}
	alarm    error
	window   int                                       // blocks Canonical knows; 0: all
	tamper   func(*ffcapi.EventPage) *ffcapi.EventPage // changes a page before it is given out
	fault    func(call string) error                   // makes a call fail
	pageCap  int                                       // largest page; 0: as asked
	reads    int                                       // pages given out
	sessions int                                       // sessions opened
	noTimes  bool                                      // events carry no timestamp
}

type fakeBlock struct {
	ref    ffcapi.BlockRef
	events []string // names, one transaction each
}

func newFakeChain() *fakeChain {
	c := &fakeChain{finality: ffcapi.Instant, safe: -1, moved: make(chan struct{})}
	c.mine()
	return c
}

// mine appends a final block with events of these names.
func (c *fakeChain) mine(events ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendLocked("a", events)
	c.safe = len(c.blocks) - 1
	c.moveLocked()
}

func (c *fakeChain) appendLocked(fork string, events []string) {
	n := uint64(len(c.blocks))
	c.blocks = append(c.blocks, &fakeBlock{ref: ffcapi.BlockRef{Number: n, Hash: fmt.Sprintf("0x%s%07d", fork, n)}, events: events})
}

func (c *fakeChain) moveLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// reorganise replaces every block from number on by the same number of others with these events each.
func (c *fakeChain) reorganise(number int, fork string, events ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.blocks)
	c.blocks = c.blocks[:number]
	for len(c.blocks) < n {
		c.appendLocked(fork, events)
	}
	c.moveLocked()
}

func (c *fakeChain) set(change func(*fakeChain)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	c.moveLocked()
}

func (c *fakeChain) pagesRead() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

func (c *fakeChain) Follow(string) {}

func (c *fakeChain) Safe(string) (ffcapi.BlockRef, bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.safe < 0 {
		return ffcapi.BlockRef{}, false, c.moved
	}
	return c.blocks[c.safe].ref, true, c.moved
}

func (c *fakeChain) Head(string) (ffcapi.BlockRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1].ref, true
}

func (c *fakeChain) Canonical(_ string, number uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number >= uint64(len(c.blocks)) || c.window > 0 && int(number) < len(c.blocks)-c.window {
		return "", false
	}
	return c.blocks[number].ref.Hash, true
}

func (c *fakeChain) Failed(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarm
}

func (c *fakeChain) faulty(call string) error {
	if c.fault == nil {
		return nil
	}
	return c.fault(call)
}

func (c *fakeChain) Ledger(context.Context, string) (*ffcapi.Ledger, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Ledger"); err != nil {
		return nil, err
	}
	return &ffcapi.Ledger{ID: "genesis", Finality: c.finality, Head: c.blocks[len(c.blocks)-1].ref}, nil
}

func (c *fakeChain) Block(_ context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Block"); err != nil {
		return nil, err
	}
	if number >= uint64(len(c.blocks)) {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "no block %d", number)
	}
	return &ffcapi.Block{BlockRef: c.blocks[number].ref, Timestamp: blockTime(number)}, nil
}

func blockTime(number uint64) time.Time { return time.Unix(int64(1700000000+number), 5000).UTC() }

func (c *fakeChain) Listener(_ context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Listener"); err != nil {
		return nil, err
	}
	if len(spec.Filters) == 0 {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters is missing")
	}
	var names []string
	for _, f := range spec.Filters {
		var name string
		if err := json.Unmarshal(f, &name); err != nil {
			return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	resolved, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	l := &ffcapi.Listener{Key: string(resolved), Signature: "fake:" + names[0], Resolved: resolved}
	switch spec.FromBlock {
	case "earliest":
	case "latest":
		l.Start = ffcapi.BlockStart(uint64(len(c.blocks)))
	default:
		n, err := strconv.ParseUint(spec.FromBlock, 10, 64)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.InvalidInput, "fromBlock: %w", err)
		}
		l.Start = ffcapi.BlockStart(n)
	}
	return l, nil
}

func (c *fakeChain) Events(_ context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	filters := make([][]string, len(q.Listeners))
	for i, l := range q.Listeners {
		if err := json.Unmarshal(l.Resolved, &filters[i]); err != nil {
			panic(err)
		}
	}
	return func(yield func(*ffcapi.EventPage, error) bool) {
		c.mu.Lock()
		c.sessions++
		c.mu.Unlock()
		for at := q.From; at.Block <= q.Upto.Number; {
			p, err := c.page(q, filters, at)
			if !yield(p, err) || err != nil {
				return
			}
			at = p.Next
		}
	}
}

func (c *fakeChain) page(q *ffcapi.EventQuery, filters [][]string, at ffcapi.Cursor) (*ffcapi.EventPage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Events"); err != nil {
		return nil, err
	}
	c.reads++
	limit := q.Max
	if c.pageCap > 0 {
		limit = min(limit, c.pageCap)
	}
	p := &ffcapi.EventPage{Next: at}
	for p.Next.Block <= q.Upto.Number && p.Next.Block < uint64(len(c.blocks)) && len(p.Events) < limit {
		b := c.blocks[p.Next.Block]
		p.Through = b.ref
		for tx := p.Next.Tx; tx < uint64(len(b.events)); tx++ {
			if len(p.Events) == limit {
				break
			}
			ev := ffcapi.Event{
				Cursor: ffcapi.Cursor{Block: b.ref.Number, Tx: tx}, BlockHash: b.ref.Hash, TxHash: fmt.Sprintf("%s-%d", b.ref.Hash, tx),
				Name: b.events[tx], Address: "fake", Data: json.RawMessage(`{"n":` + strconv.Itoa(int(tx)) + `}`),
			}
			if t := blockTime(b.ref.Number); !c.noTimes {
				ev.Timestamp = &t
			}
			for i, names := range filters {
				if slices.Contains(names, "*") || slices.Contains(names, ev.Name) {
					ev.Matches = append(ev.Matches, i)
				}
			}
			p.Next = ffcapi.Cursor{Block: b.ref.Number, Tx: tx + 1}
			if len(ev.Matches) > 0 {
				p.Events = append(p.Events, ev)
			}
		}
		if p.Next.Tx >= uint64(len(b.events)) {
			p.Next = ffcapi.BlockStart(b.ref.Number + 1)
		}
	}
	if c.tamper != nil {
		p = c.tamper(p)
	}
	return p, nil
}

// fakeStore keeps streams in memory.
type fakeStore struct {
	mu        sync.Mutex
	seq       int64
	streams   []*store.Stream
	listeners []*store.Listener
	cps       map[string]store.Checkpoint
	writes    int
	fault     func(call string) error
	// onWrite sees every accepted checkpoint write, in order.
	onWrite func(stream string, epoch int64, cps []store.Checkpoint)
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
		f.cps[cp.Listener] = cp
	}
	return nil
}

func (f *fakeStore) ResetCheckpoint(_ context.Context, _ store.Fence, l *store.Listener) error {
	leave, err := f.enter("ResetCheckpoint")
	if err != nil {
		return err
	}
	defer leave()
	delete(f.cps, l.ID)
	for i, o := range f.listeners {
		if o.ID == l.ID {
			c := *l
			f.listeners[i] = &c
		}
	}
	for _, s := range f.streams {
		if s.ID == l.StreamID {
			s.Epoch++
		}
	}
	return nil
}

func (f *fakeStore) checkpoint(listener string) (store.Checkpoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cp, ok := f.cps[listener]
	return cp, ok
}

// fakeSink takes batches and leaves them to the test.
type fakeSink struct {
	out    chan *delivered
	window int
	stuck  chan struct{} // not nil: Send does nothing, whatever its context says, until it is closed

	mu     sync.Mutex
	absent chan struct{} // not nil: nobody is there; closed when somebody comes
	closed bool
}

type delivered struct {
	*sink.Batch
	ctx  context.Context // what Send was given
	done func(error)
	once sync.Once
}

// finish calls done, once: by the test or, when the batch is void, by the sink.
func (d *delivered) finish(err error) { d.once.Do(func() { d.done(err) }) }

type fakeFactory struct {
	mu    sync.Mutex
	sinks map[string]*fakeSink // by stream
	setup func(*fakeSink)
}

func (f *fakeFactory) Type() string { return "websocket" }

func (f *fakeFactory) Validate(cfg json.RawMessage) (json.RawMessage, error) {
	if string(cfg) == `{"bad":true}` {
		return nil, errors.New("bad")
	}
	return json.RawMessage(`{"distributionMode":"load_balance"}`), nil
}

func (f *fakeFactory) Open(_ context.Context, s sink.Stream, _ json.RawMessage) (sink.Sink, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sinks == nil {
		f.sinks = make(map[string]*fakeSink)
	}
	fs := &fakeSink{out: make(chan *delivered, 1000), window: 1}
	if f.setup != nil {
		f.setup(fs)
	}
	f.sinks[s.Name] = fs
	return fs, nil
}

func (f *fakeFactory) of(stream string) *fakeSink {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sinks[stream]
}

func (s *fakeSink) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *fakeSink) Window() int { return s.window }

func (s *fakeSink) Wait(ctx context.Context) error {
	s.mu.Lock()
	absent := s.absent
	s.mu.Unlock()
	if absent == nil {
		return nil
	}
	select {
	case <-absent:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// come lets a receiver come that was absent.
func (s *fakeSink) come() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.absent)
	s.absent = nil
}

func (s *fakeSink) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	if s.stuck != nil {
		<-s.stuck
	}
	d := &delivered{Batch: b, ctx: ctx, done: done}
	context.AfterFunc(ctx, func() { d.finish(context.Cause(ctx)) })
	select {
	case s.out <- d:
	case <-ctx.Done():
	}
}

func (s *fakeSink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
