package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	maxKeysAsked = 256  // keys that one look-up asks for
	keysWaiting  = 1024 // that may wait for the next one
)

// keyReads looks keys up, as every request does that is accepted: those that come while a look-up is under way share the next one.
type keyReads struct {
	ask     func(ctx context.Context, keys []string) (map[string]row, error)
	waiting chan *keyRead
	stopped chan struct{} // closed when nobody looks keys up any more
}

// keyRead is a key that somebody waits for.
type keyRead struct {
	key  string
	row  row   // nil: there is none
	err  error // both belong to run until done is closed
	done chan struct{}
}

func newKeyReads(ask func(ctx context.Context, keys []string) (map[string]row, error)) *keyReads {
	return &keyReads{ask: ask, waiting: make(chan *keyRead, keysWaiting), stopped: make(chan struct{})}
}

// read hands the row of a key to each, if there is one.
func (p *keyReads) read(ctx context.Context, key string, each func(r row) error) error {
	k := &keyRead{key: key, done: make(chan struct{})}
	select {
	case p.waiting <- k:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.stopped:
		return errClosed
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.stopped:
		select {
		case <-k.done:
		default:
			return errClosed
		}
	}
	if k.err != nil || k.row == nil {
		return k.err
	}
	return each(k.row)
}

// run looks up until ctx ends, and finishes what is under way then.
func (p *keyReads) run(ctx context.Context) {
	defer close(p.stopped)
	for {
		select {
		case k := <-p.waiting:
			asked := []*keyRead{k}
			for len(asked) < maxKeysAsked && len(p.waiting) > 0 {
				asked = append(asked, <-p.waiting)
			}
			p.lookUp(ctx, asked)
		case <-ctx.Done():
			return
		}
	}
}

func (p *keyReads) lookUp(ctx context.Context, asked []*keyRead) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgAnswer)
	defer cancel()
	keys := make([]string, len(asked))
	for i, k := range asked {
		keys[i] = k.key
	}
	found, err := p.ask(ctx, keys)
	if errors.Is(err, context.DeadlineExceeded) { // its own: no caller's is
		err = fmt.Errorf("%w: no answer within %s: %w", store.ErrUnavailable, pgAnswer, err)
	}
	if len(asked) > 1 && errors.Is(translatePostgres(err), store.ErrInvalid) {
		for i := range asked { // one of them is no text: that one fails alone
			p.lookUp(ctx, asked[i:i+1])
		}
		return
	}
	for _, k := range asked {
		k.row, k.err = found[k.key], err
		close(k.done)
	}
}
