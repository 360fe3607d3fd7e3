package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// fake is a connector whose calls do what a test says.
type fake struct {
	mu      sync.Mutex
	count   map[string]int
	sent    []send
	flying  map[string]int // Submits under way, by signer
	overlap bool           // two Submits of one signer were under way at once
	chain   map[string]*ffcapi.Receipt
	nonces  map[string]uint64
	late    bool // the hash is known from the first Submit on only

	onPrepare func(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error)
	onSubmit  func(ctx context.Context, sub *ffcapi.Submission, n int) error // n: which send of this payload, from 1
	onReceipt func(ctx context.Context, q *ffcapi.ReceiptQuery) error
	onBlock   func(number uint64) (*ffcapi.Block, error)
}

// send is one Submit that was begun.
type send struct {
	from    string
	nonce   uint64
	payload string
	fee     string
}

// hash is what the chain calls it: where there are nonces, another fee makes another transaction.
func (s send) hash(sequenced bool) string {
	if sequenced && s.fee != "" {
		return hashOf(s.payload + "@" + s.fee)
	}
	return hashOf(s.payload)
}

func newFake() *fake {
	return &fake{count: map[string]int{}, flying: map[string]int{}, chain: map[string]*ffcapi.Receipt{}, nonces: map[string]uint64{}}
}

// sequenced is a fake with nonces.
type sequenced struct{ *fake }

func (s sequenced) NextNonce(_ context.Context, _, signer string) (pending, latest uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count["NextNonce"]++
	return s.nonces[signer], s.nonces[signer], nil
}

func (s sequenced) Cancel(_ context.Context, _, signer string, nonce uint64) (*ffcapi.Prepared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count["Cancel"]++
	payload := fmt.Sprintf("cancel %s %d", signer, nonce)
	return &ffcapi.Prepared{Payload: []byte(payload), Hash: hashOf(payload)}, nil
}

func hashOf(payload string) string { return "h:" + payload }

func (f *fake) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	f.mu.Lock()
	f.count["Prepare"]++
	n, hook, late := f.count["Prepare"], f.onPrepare, f.late
	f.mu.Unlock()
	if hook != nil {
		return hook(ctx, req)
	}
	payload := fmt.Sprintf("%s#%d", strings.Trim(string(req.Method), `"`), n)
	p := &ffcapi.Prepared{Payload: []byte(payload), Gas: req.Gas}
	if !late {
		p.Hash = hashOf(payload)
	}
	return p, nil
}

func (f *fake) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	s := send{from: sub.From, payload: string(sub.Prepared.Payload), fee: string(sub.Fee)}
	if sub.Nonce != nil {
		s.nonce = *sub.Nonce
	}
	f.mu.Lock()
	f.sent = append(f.sent, s)
	f.flying[s.from]++
	f.overlap = f.overlap || f.flying[s.from] > 1
	f.count["Submit "+s.payload]++
	n, hook := f.count["Submit "+s.payload], f.onSubmit
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.flying[s.from]--
	}()
	if hook != nil {
		if err := hook(ctx, sub, n); err != nil {
			return nil, err
		}
	}
	return &ffcapi.Submitted{Hash: s.hash(sub.Nonce != nil)}, nil
}

func (f *fake) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	f.mu.Lock()
	f.count["Receipt"]++
	hook, r := f.onReceipt, f.chain[q.Hash]
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, q); err != nil {
			return nil, err
		}
	}
	if r == nil {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "%s is not on the chain", q.Hash)
	}
	return r, nil
}

// put lets Receipt find a transaction.
func (f *fake) put(payload string, r *ffcapi.Receipt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chain[hashOf(payload)] = r
}

func (f *fake) calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[method]
}

func (f *fake) sends() []send {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

func (f *fake) overlapped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.overlap
}

func (f *fake) Query(_ context.Context, req *ffcapi.Request) (json.RawMessage, error) {
	return json.Marshal(map[string]string{"to": req.To, "value": req.Value, "block": req.BlockNumber})
}

func (f *fake) Ledger(context.Context, string) (*ffcapi.Ledger, error) {
	return &ffcapi.Ledger{ID: "genesis", Finality: ffcapi.Instant}, nil
}

func (f *fake) Block(_ context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	f.mu.Lock()
	hook := f.onBlock
	f.mu.Unlock()
	if hook == nil {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "block %d", number)
	}
	return hook(number)
}

func (f *fake) Blocks(context.Context, string, ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(func(*ffcapi.Block, error) bool) {}
}

func (f *fake) Listener(context.Context, *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	return nil, ffcapi.Errorf(ffcapi.Unsupported, "no events")
}

func (f *fake) Events(context.Context, *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(func(*ffcapi.EventPage, error) bool) {}
}

// patient sends once, and then waits until it is told that everything begins anew.
type patient struct{}

func (patient) Decide(v policy.View) policy.Decision {
	switch {
	case v.State == nil && v.Tx.Phase != policy.Tracking && v.LastError == nil:
		return policy.Decision{Do: policy.Submit}
	default:
		return policy.Decision{Do: policy.Wait, Until: v.Now.Add(time.Hour), State: json.RawMessage(`"waiting"`)}
	}
}
