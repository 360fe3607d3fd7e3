package ffcapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// fftmAPI is the part of FFTM's connector interface that the sketch needs. It pushes: blocks by hash into one channel, events of
// all listeners of a stream into another, also such as may be taken back.
type fftmAPI interface {
	blockInfoByNumber(ctx context.Context, n uint64) (fakeBlock, error)
	newBlockListener(ctx context.Context, hashes chan<- string)
	transactionPrepare(ctx context.Context, data string) (gas string, err error)
	transactionSend(ctx context.Context, raw evmRaw) (hash string, err error)
	transactionReceipt(ctx context.Context, hash string) (*ffcapi.Receipt, error)
	nextNonceForSigner(ctx context.Context, signer string) (uint64, error)
	// eventStreamStart pushes from each listener's checkpoint on until streamCtx is done.
	eventStreamStart(streamCtx context.Context, events chan<- fftmEvent, listeners []fftmListener)
	// eventListenerHWM is the block that a listener has come to: all its events before that block have been pushed.
	eventListenerHWM(ctx context.Context, listener string) (uint64, error)
}

type fftmListener struct {
	id, event  string
	checkpoint ffcapi.Cursor
}

type fftmEvent struct {
	listener string
	removed  bool
	ev       ffcapi.Event
}

const hwmPoll = time.Millisecond // seconds, in a real adapter: the mark moves slowly while nothing is pushed

// fftmAdapter makes a puller of a pusher. A session is an event stream of FFTM's: it opens with the session and ends with it.
//
//	push stream ──▶ held, by position ──▶ page, once every listener has come past a block, and only up to Upto
//	                   ▲ removed: forgotten again
//
// What is pushed beyond Upto is not read: the channel has no room, so the pusher waits. Upto is final, so no page holds an
// event that may still be taken back.
type fftmAdapter struct{ api fftmAPI }

var (
	_ ffcapi.Connector = (*fftmAdapter)(nil)
	_ ffcapi.Sequencer = (*fftmAdapter)(nil)
)

// head walks up, as FFTM's interface cannot say where the head is. A real adapter remembers what it was told last.
func (a *fftmAdapter) head(ctx context.Context) (last fakeBlock, err error) {
	for n := uint64(0); ; n++ {
		b, err := a.api.blockInfoByNumber(ctx, n)
		if errors.Is(err, errNoBlock) {
			return last, nil
		}
		if err != nil {
			return last, evmError(err)
		}
		last = b
	}
}

func (a *fftmAdapter) Ledger(ctx context.Context, _ string) (*ffcapi.Ledger, error) {
	genesis, err := a.api.blockInfoByNumber(ctx, 0)
	if err != nil {
		return nil, evmError(err)
	}
	head, err := a.head(ctx)
	if err != nil {
		return nil, err
	}
	return &ffcapi.Ledger{ID: genesis.hash, Finality: ffcapi.Confirmations, Head: ffcapi.BlockRef{Number: head.number, Hash: head.hash}}, nil
}

// Blocks reads by number and uses what is pushed only to wake up.
func (a *fftmAdapter) Blocks(ctx context.Context, _ string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		hashes := make(chan string, 1)
		a.api.newBlockListener(ctx, hashes)
		for last := after; ; {
			next := uint64(0)
			if !last.IsZero() {
				next = last.Number + 1
			}
			b, err := a.api.blockInfoByNumber(ctx, next)
			if errors.Is(err, errNoBlock) {
				select {
				case <-hashes:
					continue
				case <-ctx.Done():
					return
				}
			}
			if err == nil && !last.IsZero() && b.parent != last.Hash {
				b, err = a.api.blockInfoByNumber(ctx, next-min(next, evmFork))
			}
			if err != nil {
				yield(nil, evmError(err))
				return
			}
			if !yield(evmBlock(b), nil) {
				return
			}
			last = ffcapi.BlockRef{Number: b.number, Hash: b.hash}
		}
	}
}

func (a *fftmAdapter) Block(ctx context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	b, err := a.api.blockInfoByNumber(ctx, number)
	if err != nil {
		return nil, evmError(err)
	}
	return evmBlock(b), nil
}

func (a *fftmAdapter) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	gas, err := a.api.transactionPrepare(ctx, string(req.Params[0]))
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "%w", err)
	}
	return &ffcapi.Prepared{Payload: req.Params[0], Gas: gas}, nil
}

func (a *fftmAdapter) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	raw := evmRaw{sub.From, string(sub.Prepared.Payload), *sub.Nonce}
	hash, err := a.api.transactionSend(ctx, raw)
	if errors.Is(err, errAlreadyKnown) {
		return nil, &ffcapi.Error{Kind: ffcapi.KnownTransaction, Sent: ffcapi.SentYes, Hash: evmHash(raw), Err: err}
	}
	if err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe, Err: err}
	}
	return &ffcapi.Submitted{Hash: hash}, nil
}

// NextNonce: FFTM's interface has one number, which counts what waits. Latest is then only known to be no higher.
func (a *fftmAdapter) NextNonce(ctx context.Context, _, signer string) (pending, latest uint64, err error) {
	n, err := a.api.nextNonceForSigner(ctx, signer)
	if err != nil {
		return 0, 0, evmError(err)
	}
	return n, n, nil
}

func (a *fftmAdapter) Cancel(context.Context, string, string, uint64) (*ffcapi.Prepared, error) {
	return nil, ffcapi.Errorf(ffcapi.Unsupported, "FFTM's interface cannot fill the gap of a nonce")
}

func (a *fftmAdapter) Query(context.Context, *ffcapi.Request) (json.RawMessage, error) {
	return nil, ffcapi.Errorf(ffcapi.Unsupported, "QueryInvoke is left out of the sketch")
}

func (a *fftmAdapter) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	r, err := a.api.transactionReceipt(ctx, q.Hash)
	if err != nil {
		return nil, evmError(err)
	}
	return r, nil
}

func (a *fftmAdapter) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	var filter sketchFilter
	if err := json.Unmarshal(spec.Filters[0], &filter); err != nil {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters[0]: %w", err)
	}
	l := &ffcapi.Listener{Key: filter.Event, Signature: filter.Event, Resolved: spec.Filters[0]}
	if spec.FromBlock == "earliest" {
		return l, nil
	}
	head, err := a.head(ctx)
	if err != nil {
		return nil, err
	}
	l.Start = ffcapi.BlockStart(head.number + 1)
	return l, nil
}

func (a *fftmAdapter) Events(ctx context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s := a.open(ctx, q)
		for pos := q.From; !q.Upto.IsZero() && pos.Block <= q.Upto.Number; {
			page, err := s.page(ctx, pos)
			if err != nil {
				yield(nil, err)
				return
			}
			pos = page.Next
			if !yield(page, nil) {
				return
			}
		}
	}
}

// fftmSession is a push stream that is read like pages.
type fftmSession struct {
	api    fftmAPI
	q      *ffcapi.EventQuery
	pushed chan fftmEvent
	ids    []string        // by listener
	come   []uint64        // by listener: the block it has come to, as far as its last event tells
	held   []*ffcapi.Event // pushed and not yet in a page, in chain order
}

func (a *fftmAdapter) open(ctx context.Context, q *ffcapi.EventQuery) *fftmSession {
	s := &fftmSession{api: a.api, q: q, pushed: make(chan fftmEvent), come: make([]uint64, len(q.Listeners))}
	listeners := make([]fftmListener, len(q.Listeners))
	for i, l := range q.Listeners {
		s.ids = append(s.ids, fmt.Sprintf("%p-%d", s, i))
		listeners[i] = fftmListener{s.ids[i], l.Signature, q.From}
	}
	a.api.eventStreamStart(ctx, s.pushed, listeners)
	return s
}

// page waits until all listeners have come past the block of pos, and takes what is held before the block they have come to.
func (s *fftmSession) page(ctx context.Context, pos ffcapi.Cursor) (*ffcapi.EventPage, error) {
	poll := time.NewTicker(hwmPoll)
	defer poll.Stop()
	for {
		if upto, err := s.api.blockInfoByNumber(ctx, s.q.Upto.Number); err != nil || upto.hash != s.q.Upto.Hash {
			return nil, ffcapi.Errorf(ffcapi.Unavailable, "the node does not hold block %d %s", s.q.Upto.Number, s.q.Upto.Hash)
		}
		if end := s.certain(ctx, min(s.progress(ctx), s.q.Upto.Number+1)); end > pos.Block {
			return s.take(ctx, end)
		}
		select {
		case p := <-s.pushed:
			s.hold(p)
		case <-poll.C: // the marks may have moved
		case <-ctx.Done():
			return nil, evmError(ctx.Err())
		}
	}
}

// progress is the block that every listener has come to: by its last event, or by its mark.
func (s *fftmSession) progress(ctx context.Context) uint64 {
	all := s.q.Upto.Number + 1
	for i, id := range s.ids {
		block := s.come[i]
		if mark, err := s.api.eventListenerHWM(ctx, id); err == nil {
			block = max(block, mark)
		}
		all = min(all, block)
	}
	return all
}

// hold keeps a pushed event at its position, together with what other listeners got of it.
func (s *fftmSession) hold(p fftmEvent) {
	i := slices.Index(s.ids, p.listener)
	same := func(e *ffcapi.Event) bool { return e.Cursor == p.ev.Cursor && e.BlockHash == p.ev.BlockHash }
	if p.removed {
		s.held = slices.DeleteFunc(s.held, same)
		s.come[i] = min(s.come[i], p.ev.Cursor.Block)
		return
	}
	s.come[i] = p.ev.Cursor.Block
	if k := slices.IndexFunc(s.held, same); k >= 0 {
		s.held[k].Matches = append(s.held[k].Matches, i)
		slices.Sort(s.held[k].Matches)
		return
	}
	p.ev.Matches = []int{i}
	s.held = append(s.held, &p.ev)
	slices.SortStableFunc(s.held, func(a, b *ffcapi.Event) int { return a.Cursor.Compare(b.Cursor) })
}

// certain lowers end to the first block of which an event is held that the chain does not have: the pusher has not seen yet that
// the block was replaced. Where nothing was pushed only the mark tells, and FFTM's marks have no hash: the adapter relies on the pusher
// to move its mark back when it finds out, and on Upto being as deep as the confirmations that the pusher waits for itself.
func (s *fftmSession) certain(ctx context.Context, end uint64) uint64 {
	for _, ev := range s.held {
		if n := ev.Cursor.Block; n < end {
			if b, err := s.api.blockInfoByNumber(ctx, n); err != nil || b.hash != ev.BlockHash {
				return n
			}
		}
	}
	return end
}

// take makes a page of the blocks before end.
func (s *fftmSession) take(ctx context.Context, end uint64) (*ffcapi.EventPage, error) {
	last, err := s.api.blockInfoByNumber(ctx, end-1)
	if err != nil {
		return nil, evmError(err)
	}
	page := &ffcapi.EventPage{Next: ffcapi.BlockStart(end), Through: ffcapi.BlockRef{Number: last.number, Hash: last.hash}}
	for len(s.held) > 0 && s.held[0].Cursor.Block < end {
		page.Events = append(page.Events, *s.held[0])
		s.held = s.held[1:]
	}
	return page, nil
}

func TestFFTMSketch(t *testing.T) {
	t.Parallel()
	chain := newFakeChain("fftm")
	c := newCore(t, &fftmAdapter{newFakeFFTM(chain, chain)}, "")
	for i := range 4 {
		require.True(t, c.send(&ffcapi.Request{From: "ann", To: "0xc", Params: []json.RawMessage{json.RawMessage(strconv.Itoa(i))}}).Success)
	}
	const changed, other = `{"event":"Changed"}`, `{"event":"Other"}`
	events, next, err := c.read(ffcapi.Cursor{}, c.head(), changed, other, changed)
	require.NoError(t, err)
	require.Equal(t, []string{"Changed 0@[0 2]", "Changed 1@[0 2]", "Changed 2@[0 2]", "Changed 3@[0 2]"}, events)
	require.Equal(t, ffcapi.BlockStart(5), next)

	safe, err := c.Block(c.ctx, "", 2)
	require.NoError(t, err)
	events, _, err = c.read(ffcapi.Cursor{Block: 2}, safe.BlockRef, changed)
	require.NoError(t, err)
	require.Equal(t, []string{"Changed 1@[0]"}, events, "blocks 3 and 4 may still be replaced: they are held back")

	old := c.head()
	chain.replace(3, []fakeTx{{id: "0xnew", event: "Changed", data: `"new"`}})
	_, _, err = c.read(ffcapi.Cursor{}, old, changed)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	events, _, err = c.read(ffcapi.BlockStart(3), c.head(), changed)
	require.NoError(t, err)
	require.Equal(t, []string{`Changed "new"@[0]`}, events)
}

// The pushing side lags: the session waits for it, and an event that it takes back is in no page.
func TestFFTMSketchWaitsAndForgets(t *testing.T) {
	t.Parallel()
	answers, pushes := newFakeChain("fftm"), newFakeChain("fftm")
	for _, chain := range []*fakeChain{answers, pushes} {
		chain.add(fakeTx{id: "0x1", event: "Changed", data: "1"})
	}
	pushes.add(fakeTx{id: "0xold", event: "Changed", data: `"old"`})
	news := [][]fakeTx{{{id: "0xnew", event: "Changed", data: `"new"`}}, nil}
	answers.add()
	answers.replace(2, news...)

	c := newCore(t, &fftmAdapter{newFakeFFTM(answers, pushes)}, "")
	time.AfterFunc(20*time.Millisecond, func() { pushes.replace(2, news...) })
	events, next, err := c.read(ffcapi.Cursor{}, c.head(), `{"event":"Changed"}`)
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockStart(4), next)
	require.Equal(t, []string{"Changed 1@[0]", `Changed "new"@[0]`}, events)
}
