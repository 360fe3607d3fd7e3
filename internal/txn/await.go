package txn

import (
	"context"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// showWithin bounds the reading of what many wait for; it hangs on none of them.
const showWithin = 10 * time.Second

// waiters are the requests that wait for transactions to end. Those that wait for the same one share what is read when it does.
type waiters struct {
	most int
	over chan struct{} // closed by endWaits

	mu    sync.Mutex
	count int
	byID  map[string]*awaited
	ended bool
}

// awaited is a transaction that somebody waits for.
type awaited struct {
	waiting int           // guarded by waiters.mu
	done    chan struct{} // closed when it has ended; before that show is set
	show    [2]func() (*apitypes.TransactionWithStatus, error)
}

func (w *waiters) init(most int) {
	w.most, w.over, w.byID = most, make(chan struct{}), map[string]*awaited{}
}

// join subscribes to the end of a transaction; nil: too many wait already.
func (w *waiters) join(id string) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.most {
		return nil
	}
	a := w.byID[id]
	if a == nil {
		a = &awaited{done: make(chan struct{})}
		w.byID[id] = a
	}
	a.waiting++
	w.count++
	return a
}

func (w *waiters) leave(id string, a *awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	if a.waiting--; a.waiting == 0 && w.byID[id] == a {
		delete(w.byID, id)
	}
}

// take takes out what waits for a transaction that has ended; nil if nobody does.
func (w *waiters) take(id string) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.byID[id]
	delete(w.byID, id)
	return a
}

// EndWaits answers everybody who waits for a transaction with what it is now, and whoever comes later at once: the server is about to
// stop. It is idempotent.
func (m *Manager) EndWaits() {
	w := &m.waiters
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.over)
	}
}

// Waiting is how many requests wait for transactions to end.
func (m *Manager) Waiting() int {
	m.waiters.mu.Lock()
	defer m.waiters.mu.Unlock()
	return m.waiters.count
}

// Await is Transaction, but waits until the transaction has ended, or for atMost. Many may wait for the same one: its end is learned
// from the status log, and read once for all of them. Errors: those of Transaction; apitypes.ErrTooManyWaiting; ctx's.
func (m *Manager) Await(ctx context.Context, id string, withHistory bool, atMost time.Duration) (*apitypes.TransactionWithStatus, error) {
	a := m.waiters.join(id) // before the reading: what ends in between is not missed
	if a == nil {
		return nil, apitypes.ErrTooManyWaiting
	}
	defer m.waiters.leave(id, a)
	tx, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	if tx.Status.Terminal() {
		return m.shown(ctx, tx, withHistory)
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-a.done:
		if withHistory {
			return a.show[1]()
		}
		return a.show[0]()
	case <-timer.C:
	case <-m.waiters.over:
	case <-m.life.Done():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return m.Transaction(ctx, id, withHistory)
}

// tell wakes those who wait for a transaction that has ended.
func (m *Manager) tell(e *store.StatusEntry) {
	a := m.waiters.take(e.TxID)
	if a == nil {
		return
	}
	for i := range a.show {
		a.show[i] = sync.OnceValues(func() (*apitypes.TransactionWithStatus, error) {
			ctx, cancel := context.WithTimeout(context.Background(), showWithin)
			defer cancel()
			if e.Tx == nil { // it was removed meanwhile, or will be found to be
				return m.Transaction(ctx, e.TxID, i == 1)
			}
			return m.shown(ctx, e.Tx, i == 1)
		})
	}
	close(a.done)
}
