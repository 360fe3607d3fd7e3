package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// listPage is how many rows are read from the store at once.
const listPage = 500

// finalError ends a stream: another run would end the same way.
type finalError struct{ err error }

func (f *finalError) Error() string { return f.err.Error() }
func (f *finalError) Unwrap() error { return f.err }

func final(err error) error { return &finalError{err} }

// run is one run of one stream: everything between two changes of it.
type run struct {
	m         *Manager
	s         *stream
	log       *logrus.Entry
	def       *store.Stream
	epoch     int64
	listeners []*store.Listener
	changes   bool                       // some listeners are of type transactions
	finality  map[string]ffcapi.Finality // by ledger of the others
	delivery  *delivery
	reader    *reader

	live     atomic.Bool   // every group has been at the safe head
	caughtUp []atomic.Bool // by listener

	outlet sink.Sink // for dead letters; nil: none
	// handed counts the dead letters that went to the outlet. Only the sending goroutine uses it.
	handed int64
	// trailed is, by listener, the block of the position with which older ones were stored last. Only who writes checkpoints uses it.
	trailed []uint64
}

// newRun takes a new epoch and prepares everything from what is stored. After it no other run of the stream can write.
func (m *Manager) newRun(ctx context.Context, s *stream, def *store.Stream, main, outlet sink.Sink) (*run, error) {
	r := &run{m: m, s: s, def: def, outlet: outlet, log: m.opts.Log.WithField("stream", def.Name), finality: make(map[string]ffcapi.Finality)}
	var err error
	if r.epoch, err = m.opts.Store.NewEpoch(ctx, m.opts.Fence(), def.ID); err != nil {
		return nil, fmt.Errorf("new epoch: %w", err)
	}
	if r.listeners, err = m.storedListeners(ctx, def.ID); err != nil {
		return nil, err
	}
	r.listeners = slices.DeleteFunc(r.listeners, func(l *store.Listener) bool { return l.Undeclared })
	if err := r.ledgers(ctx); err != nil {
		return nil, err
	}
	start, older, err := r.positions(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.verify(ctx, start, older); err != nil {
		return nil, err
	}
	p := policy{
		readAhead: m.opts.ReadAhead, unstored: *m.opts.MaxUnstored, batchTimeout: def.BatchTimeout, retryTimeout: def.RetryTimeout, blockedDelay: def.BlockedRetryDelay,
		skip: def.ErrorHandling == apitypes.ErrorHandlingSkip,
	}
	r.delivery = newDelivery(main, p, r.epoch, inflight.New(start), m.budget, &s.stats, m.opts.Now)
	r.delivery.keep = r.keep
	r.caughtUp, r.trailed = make([]atomic.Bool, len(r.listeners)), make([]uint64, len(r.listeners))
	if r.reader, err = r.newReader(main, start); err != nil {
		return nil, err
	}
	return r, nil
}

// safe is the block up to which the stream reads a ledger.
func (r *run) safe(ledger string) (head ffcapi.BlockRef, ok bool, moved <-chan struct{}) {
	return r.m.opts.Chain.SafeAt(ledger, confirmations(r.def))
}

// newest is the listener of the run that was made last, 0 without any.
func (r *run) newest() int64 {
	if n := len(r.listeners); n > 0 {
		return r.listeners[n-1].Seq
	}
	return 0
}

// readsChanges says that a listener is of type transactions.
func (r *run) readsChanges(listener int) bool {
	return kindOf(r.listeners[listener]) == ofChanges
}

func (m *Manager) storedListeners(ctx context.Context, stream string) ([]*store.Listener, error) {
	var all []*store.Listener
	for after := int64(0); ; {
		page, err := m.opts.Store.Listeners(ctx, stream, after, listPage)
		if err != nil {
			return nil, fmt.Errorf("listeners: %w", err)
		}
		all = append(all, page...)
		if len(page) < listPage {
			return all, nil
		}
		after = page[len(page)-1].Seq
	}
}

// ledgers starts following the ledgers of the listeners and learns what their blocks are worth.
func (r *run) ledgers(ctx context.Context) error {
	for i, l := range r.listeners {
		name := l.Resolved.Ledger
		if r.readsChanges(i) {
			r.changes = true
			continue
		}
		if _, known := r.finality[name]; known {
			continue
		}
		r.m.opts.Chain.Follow(name)
		if err := r.m.opts.Chain.Failed(name); err != nil {
			return final(err)
		}
		f, err := r.m.finality(ctx, name)
		if err != nil {
			return err
		}
		r.finality[name] = f
	}
	return nil
}

// positions is where each listener goes on: at its checkpoint or, without one, at its start; and the blocks that are stored with it.
func (r *run) positions(ctx context.Context) (start []inflight.Position, older [][]ffcapi.BlockRef, err error) {
	cps, err := r.m.opts.Store.Checkpoints(ctx, r.def.ID)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoints: %w", err)
	}
	byID := make(map[string]store.Checkpoint, len(cps))
	for _, cp := range cps {
		byID[cp.Listener] = cp
	}
	start, older = make([]inflight.Position, len(r.listeners)), make([][]ffcapi.BlockRef, len(r.listeners))
	for i, l := range r.listeners {
		start[i].Cursor = l.Resolved.Start
		if cp, ok := byID[l.ID]; ok {
			start[i], older[i] = inflight.Position{Cursor: cp.Cursor, Block: cp.Block}, cp.Older
		}
	}
	return start, older, nil
}

func (r *run) newReader(main sink.Sink, start []inflight.Position) (*reader, error) {
	a := &assembler{
		maxEvents: r.def.BatchSize,
		maxBytes:  int(min(maxBatchBytes, r.m.opts.MaxMemory/4)),
		now:       r.m.opts.Now,
		stamps:    make([]stamp, len(r.listeners)),
		claim:     r.delivery.claim,
	}
	rd := &reader{
		run: r, asm: a, tops: r.topsOf(start), encoders: make(map[string]*encoder), filters: make([]changeFilters, len(r.listeners)), wake: make(chan struct{}, 1),
		footholds: make(map[string]*foothold),
	}
	rd.waiter, _ = main.(sink.Waiter)
	var err error
	if rd.programs, err = r.programsOf(r.m.exprs); err != nil {
		return nil, err
	}
	for i, l := range r.listeners {
		r.caughtUp[i].Store(complete(l, start[i].Cursor))
		if r.readsChanges(i) {
			if rd.filters[i], _, _, err = parseChangeFilters(l.Filters); err != nil {
				return nil, final(fmt.Errorf("listener %q: %w", l.Name, err))
			}
		}
		a.tails = append(a.tails, tail(r.def, l))
		a.names = append(a.names, &sink.Listener{ID: l.ID, Name: l.Name, Stream: r.def.ID, Replay: replay(l)})
	}
	for ledger, f := range r.finality {
		rd.encoders[ledger] = newEncoder(r.m.opts.ConnectorName, ledger, f)
	}
	rd.groups = newGroups(r.listeners, start)
	return rd, nil
}

// replay names the time since which a listener has not been changed. A reset changes a listener; so does a PATCH, which may
// then cost a repetition that a broker would have swallowed, never an event.
func replay(l *store.Listener) string { return strconv.FormatInt(l.Updated.UnixMicro(), 36) }

// observe notes how far the groups are, for the status.
func (r *run) observe(gs *groups) {
	if r.live.Load() {
		return
	}
	all := true
	for _, g := range gs.list {
		if !g.live {
			all = false
			continue
		}
		for _, l := range g.listeners {
			r.caughtUp[l].Store(true)
		}
	}
	r.live.Store(all)
}

// work runs until ctx is done or something ends it. When it returns, nothing of the run is left but a Send that its sink does
// not give back.
func (r *run) work(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(fn func(ctx context.Context) error) {
		parts.Go(func() {
			if err := r.guard(ctx, fn); err != nil {
				cancel(err)
			}
		})
	}
	for ledger := range r.finality {
		part(func(ctx context.Context) error {
			return r.watch(ctx, func() <-chan struct{} {
				_, _, moved := r.safe(ledger)
				return moved
			})
		})
	}
	if r.changes {
		part(func(ctx context.Context) error {
			return r.watch(ctx, func() <-chan struct{} {
				_, _, moved := r.m.journal.newest()
				return moved
			})
		})
	}
	part(r.checkpoints)
	part(r.delivery.run)
	part(r.replays)
	err := r.guard(ctx, r.reader.loop)
	if err != nil {
		cancel(err)
	}
	<-ctx.Done()
	r.delivery.close()
	parts.Wait()
	r.lastCheckpoint(ctx)
	r.lastDrop(ctx)
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// guard makes a panic, say of a connector, the end of the run instead of the process.
func (r *run) guard(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.WithField("stack", string(debug.Stack())).Errorf("A part of the run panicked: %v", p)
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(ctx)
}

// watch wakes the reader when a head moves.
func (r *run) watch(ctx context.Context, head func() (moved <-chan struct{})) error {
	for {
		moved := head()
		signal(r.reader.wake)
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// finality asks once what the blocks of a ledger are worth.
func (m *Manager) finality(ctx context.Context, ledger string) (ffcapi.Finality, error) {
	m.mu.Lock()
	f, known := m.finalities[ledger]
	m.mu.Unlock()
	if known {
		return f, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	l, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Ledger, error) { return m.opts.Connector.Ledger(ctx, ledger) })
	if err != nil {
		return "", fmt.Errorf("ledger %q: %w", ledger, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finalities[ledger] = l.Finality
	return l.Finality, nil
}
