package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	// journalPage is how many rows of the status log are read at once, and how many positions a page of the past spans.
	journalPage = 500
	// journalPoll is how long a change may stay unnoticed when the store's wake-up is lost on the way.
	journalPoll = time.Second
	// journalBytes bounds what is kept of the newest rows, and again what is kept of pages of the past.
	journalBytes = 4 << 20
)

var journalBackoff = retry.Backoff{Initial: 50 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: true}

// journal is the log of status changes as all listeners of type transactions in the process read it: one goroutine reads what is
// new, however many listeners there are, and those in the past share pages.
//
//	store ── new rows ──▶ window ──▶ readers at the head
//	      ── pages ─────▶ past ────▶ readers behind the window
//
// While nobody uses it, nothing is read and nothing kept.
type journal struct {
	source    store.StatusLog
	connector string
	log       *logrus.Entry
	span      int64         // journalPage; smaller in tests
	limit     int           // journalBytes; smaller in tests
	wanted    chan struct{} // to the goroutine: somebody uses it
	reading   chan struct{} // held by who reads a page of the past

	mu     sync.Mutex
	users  int           // guarded by mu, as all below
	ready  bool          // head is known
	head   int64         // the newest row
	from   int64         // window holds every row above
	oldest int64         // the oldest row of the log right after the window was begun
	window []change      // in order; its elements never change
	size   int           // bytes of window
	moved  chan struct{} // closed and replaced when head moves or becomes known
	past   []*pastPage   // least recently used first
	held   int           // bytes of past
}

// pastPage holds all rows of one span of positions.
type pastPage struct {
	index   int64 // it spans the positions above index·span
	oldest  int64 // the oldest row of the log right after the page was read
	changes []change
	size    int
}

func newJournal(source store.StatusLog, connector string, log *logrus.Entry) *journal {
	return &journal{
		source: source, connector: connector, log: log, span: journalPage, limit: journalBytes,
		wanted: make(chan struct{}, 1), reading: make(chan struct{}, 1), moved: make(chan struct{}),
	}
}

// use keeps the journal going until release is called.
func (j *journal) use() (release func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.users++; j.users == 1 {
		signal(j.wanted)
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.users--
	}
}

// newest returns the newest row; moved is closed when it changes. ok is false while none is known.
func (j *journal) newest() (head int64, ok bool, moved <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head, j.ready, j.moved
}

// tail reads what is new while the journal is used, until ctx is done.
func (j *journal) tail(ctx context.Context) {
	for {
		select {
		case <-j.wanted:
			j.follow(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// follow reads until nobody uses the journal: subscribe, then read, so that nothing is missed.
func (j *journal) follow(ctx context.Context) {
	timer := time.NewTimer(journalPoll)
	defer timer.Stop()
	for failures := 0; !j.forget() && ctx.Err() == nil; {
		changed := j.source.Changed()
		more, err := j.advance(ctx)
		if err != nil {
			if failures++; failures == 1 && ctx.Err() == nil {
				j.log.WithError(err).Warn("The log of status changes cannot be read; it is tried again")
			}
			if retry.Sleep(ctx, journalBackoff.Delay(failures, nil)) != nil {
				return
			}
			continue
		}
		failures = 0
		if more {
			continue
		}
		timer.Reset(journalPoll)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// forget lets go of everything if nobody uses the journal.
func (j *journal) forget() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.users > 0 {
		return false
	}
	j.ready, j.head, j.from, j.oldest, j.window, j.size, j.past, j.held = false, 0, 0, 0, nil, 0, nil, 0
	return true
}

// advance reads on at the head. more says that there may be more at once.
func (j *journal) advance(ctx context.Context) (more bool, err error) {
	ctx, cancel := call(ctx)
	defer cancel()
	head, known, _ := j.newest()
	if !known {
		return true, j.begin(ctx)
	}
	rows, err := j.source.Status(ctx, head, int(j.span))
	if err != nil || len(rows) == 0 {
		return false, err
	}
	added := j.encode(rows)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.grow(rows[len(rows)-1].Seq, added)
	return len(rows) == int(j.span), nil
}

// begin makes a window of the newest page, which those who are nearly at the head share.
func (j *journal) begin(ctx context.Context) error {
	head, err := j.source.StatusHead(ctx)
	if err != nil {
		return err
	}
	from := head - head%j.span
	rows, err := j.source.Status(ctx, from, int(j.span))
	if err != nil {
		return err
	}
	oldest, err := oldestChange(ctx, j.source)
	if err != nil {
		return err
	}
	if n := len(rows); n > 0 {
		head = rows[n-1].Seq
	}
	added := j.encode(rows)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ready, j.from, j.oldest = true, from, oldest
	j.grow(head, added)
	return nil
}

func (j *journal) encode(rows []store.StatusEntry) []change {
	list := make([]change, len(rows))
	for i := range rows {
		list[i] = newChange(j.connector, &rows[i])
	}
	return list
}

// grow takes new rows into the window, and lets go of the oldest. The caller holds mu.
func (j *journal) grow(head int64, added []change) {
	j.head = head
	j.window = append(j.window, added...)
	for i := range added {
		j.size += added[i].size()
	}
	drop := 0
	for ; j.size > j.limit; drop++ {
		j.size -= j.window[drop].size()
		j.from = j.window[drop].seq
	}
	j.window = j.window[drop:]
	close(j.moved)
	j.moved = make(chan struct{})
}

// errTrimmed says that rows which are still to be delivered are no longer there.
var errTrimmed = errors.New("trimmed")

// read returns rows above a position, in order and at most a page; none only if there are none. What it returns is shared. The
// error is errTrimmed when rows above the position may be gone.
func (j *journal) read(ctx context.Context, after int64) ([]change, error) {
	for next := after; ; {
		recent, from, ok, err := j.recent(after, next)
		if ok || err != nil {
			return recent, err
		}
		p, err := j.page(ctx, next/j.span)
		if err != nil {
			return nil, err
		}
		if err := intact(after, p.oldest); err != nil {
			return nil, err
		}
		if list := above(p.changes, next); len(list) > 0 {
			return list, nil
		}
		next = min((next/j.span+1)*j.span, from)
	}
}

// intact checks that nothing is gone between a position and the oldest row. Before the first row of all there was nothing.
func intact(after, oldest int64) error {
	if after > 0 && after+1 < oldest {
		return fmt.Errorf("%w: the log begins at %d", errTrimmed, oldest)
	}
	return nil
}

// recent returns rows of the window from next on, for a reader who has everything up to after; ok is false if it does not reach back so far.
func (j *journal) recent(after, next int64) (list []change, from int64, ok bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if next < j.from {
		return nil, j.from, false, nil
	}
	list = above(j.window, next)
	return list[:min(len(list), int(j.span))], j.from, true, intact(after, j.oldest)
}

// above cuts off what is not after a position.
func above(list []change, after int64) []change {
	i, _ := slices.BinarySearchFunc(list, after+1, func(c change, seq int64) int { return cmp.Compare(c.seq, seq) })
	return list[i:]
}

// page returns the rows of a span of positions behind the window. One is read at a time: who wants the same one next finds it here.
func (j *journal) page(ctx context.Context, index int64) (*pastPage, error) {
	select {
	case j.reading <- struct{}{}:
		defer func() { <-j.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p := j.known(index); p != nil {
		return p, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	head, _, _ := j.newest()
	rows, err := j.source.Status(ctx, index*j.span, int(j.span))
	if err != nil {
		return nil, fmt.Errorf("reading the log of status changes after %d: %w", index*j.span, err)
	}
	end := (index + 1) * j.span
	for len(rows) > 0 && rows[len(rows)-1].Seq > end {
		rows = rows[:len(rows)-1]
	}
	p := &pastPage{index: index, changes: j.encode(rows)}
	if p.oldest, err = oldestChange(ctx, j.source); err != nil {
		return nil, err
	}
	for i := range p.changes {
		p.size += p.changes[i].size()
	}
	if end <= head { // else rows may still come
		j.keep(p)
	}
	return p, nil
}

// known returns a page that is kept.
func (j *journal) known(index int64) *pastPage {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.past, func(p *pastPage) bool { return p.index == index })
	if i < 0 {
		return nil
	}
	p := j.past[i]
	j.past = append(slices.Delete(j.past, i, i+1), p)
	return p
}

func (j *journal) keep(p *pastPage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.past = append(j.past, p)
	j.held += p.size
	for len(j.past) > 1 && j.held > j.limit {
		j.held -= j.past[0].size
		j.past = slices.Delete(j.past, 0, 1)
	}
}

// oldestChange returns the oldest row of the log, 0 if there is none.
func oldestChange(ctx context.Context, log store.StatusLog) (int64, error) {
	rows, err := log.Status(ctx, 0, 1)
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the beginning of the log of status changes: %w", err)
	case len(rows) == 0:
		return 0, nil
	default:
		return rows[0].Seq, nil
	}
}
