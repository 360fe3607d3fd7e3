package stream

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// fakeLog is a log of status changes in memory.
type fakeLog struct {
	mu      sync.Mutex
	rows    []store.StatusEntry // guarded by mu
	next    int64               // guarded by mu; the newest sequence given out
	written int                 // guarded by mu; rows ever written
	changed chan struct{}       // guarded by mu
	reads   int                 // guarded by mu; pages read that were not empty
	fault   error               // guarded by mu
	mute    bool                // guarded by mu; nobody is woken
}

func newFakeLog() *fakeLog { return &fakeLog{changed: make(chan struct{})} }

// withLog gives a rig a log.
func withLog(log *fakeLog) func(*rig) {
	return func(r *rig) { r.opts.Changes = log }
}

// tx is a transaction that has ended well, changed as told.
func tx(id string, change ...func(*store.StatusEntry)) store.StatusEntry {
	e := store.StatusEntry{
		TxID: id, Status: store.Succeeded, Sub: store.SubConfirmed, Time: time.Unix(1_700_000_000, 5000),
		Tx: &store.Tx{ID: id, From: "alice", Status: store.Succeeded, Sub: store.SubConfirmed},
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// add writes rows. A row whose Seq is set has that one: there is a gap before it.
func (l *fakeLog) add(rows ...store.StatusEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range rows {
		l.next = max(l.next+1, e.Seq)
		e.Seq = l.next
		l.rows = append(l.rows, e)
		l.written++
	}
	if !l.mute {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// addN writes n rows, whose ids are the numbers from first on.
func (l *fakeLog) addN(first, n int) {
	rows := make([]store.StatusEntry, n)
	for i := range rows {
		rows[i] = tx(strconv.Itoa(first + i))
	}
	l.add(rows...)
}

// trim removes rows up to a sequence.
func (l *fakeLog) trim(upTo int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = slices.DeleteFunc(l.rows, func(e store.StatusEntry) bool { return e.Seq <= upTo })
}

// trimSafely removes rows up to a sequence as retention does: never the newest one.
func (l *fakeLog) trimSafely(upTo int64) {
	head, _ := l.StatusHead(context.Background())
	l.trim(min(upTo, head-1))
}

func (l *fakeLog) set(change func(*fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *fakeLog) pagesRead() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *fakeLog) Status(_ context.Context, after int64, limit int) ([]store.StatusEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return nil, l.fault
	}
	var page []store.StatusEntry
	first := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].Seq > after })
	page = append(page, l.rows[first:min(first+limit, len(l.rows))]...)
	if len(page) > 0 {
		l.reads++
	}
	return page, nil
}

func (l *fakeLog) StatusHead(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rows) == 0 {
		return 0, l.fault
	}
	return l.rows[len(l.rows)-1].Seq, l.fault
}

func (l *fakeLog) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}
