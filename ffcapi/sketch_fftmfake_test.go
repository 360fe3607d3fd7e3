package ffcapi_test

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// fakeFFTM is a connector written for FFTM. What it pushes may come from another view of the chain than what it answers.
type fakeFFTM struct {
	fakeNode
	pushes *fakeChain
	mu     sync.Mutex
	marks  map[string]uint64 // guarded by mu; by listener
}

func newFakeFFTM(answers, pushes *fakeChain) *fakeFFTM {
	return &fakeFFTM{fakeNode: fakeNode{fakeChain: answers, nonces: map[string]uint64{}}, pushes: pushes, marks: map[string]uint64{}}
}

func (f *fakeFFTM) blockInfoByNumber(_ context.Context, n uint64) (fakeBlock, error) { return f.at(n) }

func (f *fakeFFTM) newBlockListener(ctx context.Context, hashes chan<- string) {
	go func() {
		for seen := ""; ; {
			head, err := f.until(ctx, func(head fakeBlock) bool { return head.hash != seen })
			if err != nil {
				return
			}
			seen = head.hash
			select {
			case hashes <- seen:
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (f *fakeFFTM) transactionPrepare(context.Context, string) (string, error) { return "50000", nil }

func (f *fakeFFTM) transactionSend(ctx context.Context, raw evmRaw) (string, error) {
	return f.sendRaw(ctx, raw)
}

func (f *fakeFFTM) transactionReceipt(ctx context.Context, hash string) (*ffcapi.Receipt, error) {
	return f.receipt(ctx, hash)
}

func (f *fakeFFTM) nextNonceForSigner(ctx context.Context, signer string) (uint64, error) {
	return f.nonce(ctx, signer, "pending")
}

func (f *fakeFFTM) eventListenerHWM(_ context.Context, listener string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.marks[listener], nil
}

func (f *fakeFFTM) mark(listener string, block uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks[listener] = block
}

func (f *fakeFFTM) eventStreamStart(ctx context.Context, events chan<- fftmEvent, listeners []fftmListener) {
	for _, l := range listeners {
		go f.push(ctx, events, l)
	}
}

// push follows the chain for one listener and takes back what was on blocks that are replaced.
func (f *fakeFFTM) push(ctx context.Context, events chan<- fftmEvent, l fftmListener) {
	send := func(b fakeBlock, removed bool) bool {
		for i, tx := range b.txs {
			c := ffcapi.Cursor{Block: b.number, Tx: uint64(i)}
			if tx.event != l.event || c.Before(l.checkpoint) {
				continue
			}
			ev := ffcapi.Event{Cursor: c, BlockHash: b.hash, TxHash: tx.id, Name: tx.event, Data: json.RawMessage(tx.data)}
			select {
			case events <- fftmEvent{l.id, removed, ev}:
			case <-ctx.Done():
				return false
			}
		}
		return true
	}
	var seen []fakeBlock
	for next := l.checkpoint.Block; ; {
		head, err := f.pushes.until(ctx, func(head fakeBlock) bool {
			return head.number >= next || len(seen) > 0 && head.hash != seen[len(seen)-1].hash
		})
		if err != nil {
			return
		}
		if n := len(seen); n > 0 {
			if b, err := f.pushes.at(next - 1); err != nil || b.hash != seen[n-1].hash {
				next--
				f.mark(l.id, next)
				if !send(seen[n-1], true) {
					return
				}
				seen = seen[:n-1]
				continue
			}
		}
		b, err := f.pushes.at(min(next, head.number))
		if err != nil || b.number != next {
			continue
		}
		if !send(b, false) {
			return
		}
		seen = append(seen, b)
		next++
		f.mark(l.id, next)
	}
}
