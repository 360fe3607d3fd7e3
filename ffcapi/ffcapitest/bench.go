package ffcapitest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	pollEvery = 5 * time.Millisecond
	// soon is what "returns soon after its context is done" means.
	soon = 5 * time.Second
)

// bench is what one sub-test works with.
type bench struct {
	*testing.T
	*Fixture
	features Features
	ctx      context.Context // of the sub-test, with the time-out of all of it
	start    ffcapi.BlockRef // head when the sub-test began
	prefix   string          // of ids, different for each sub-test also on a shared ledger
}

func newBench(t *testing.T, f *Fixture, features Features) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*features.Timeout)
	t.Cleanup(cancel)
	b := &bench{T: t, Fixture: f, features: features, ctx: ctx, prefix: fmt.Sprintf("t%016x-", rand.Uint64())}
	b.start = b.head()
	return b
}

func (b *bench) id(i int) string { return fmt.Sprintf("%s%03d", b.prefix, i) }

func (b *bench) head() ffcapi.BlockRef {
	b.Helper()
	l, err := b.Connector.Ledger(b.ctx, b.Ledger)
	require.NoError(b, err)
	return l.Head
}

// from is the first position of the sub-test's own blocks.
func (b *bench) from() ffcapi.Cursor { return ffcapi.BlockStart(b.start.Number + 1) }

// requireKind checks that err is an error of the contract and of one of the kinds.
func (b *bench) requireKind(err error, kinds ...ffcapi.Kind) {
	b.Helper()
	require.NotNil(b, b.errorOf(err, kinds...))
}

// errorOf is requireKind for those who look at the rest of the error.
func (b *bench) errorOf(err error, kinds ...ffcapi.Kind) *ffcapi.Error {
	b.Helper()
	require.Error(b, err)
	var e *ffcapi.Error
	require.ErrorAs(b, err, &e)
	require.Contains(b, kinds, e.Kind, "%v", err)
	require.NotEmpty(b, e.Error())
	return e
}

// requireFinal checks that err refuses for good.
func (b *bench) requireFinal(err error) {
	b.Helper()
	require.Error(b, err)
	var e *ffcapi.Error
	require.ErrorAs(b, err, &e)
	require.True(b, e.Kind.Final(), "kind %s is not final: %v", e.Kind, err)
}

// prepare is Prepare and what each answer of it must have.
func (b *bench) prepare(req *ffcapi.Request) *ffcapi.Prepared {
	b.Helper()
	p, err := b.Connector.Prepare(b.ctx, req)
	require.NoError(b, err)
	require.Equal(b, b.Ledger, p.Ledger)
	require.NotEmpty(b, p.Payload)
	require.Equal(b, b.features.HashAtPrepare, p.Hash != "")
	return p
}

// submission is what the core would send for req: prepared, and with the signer's next nonce where there are nonces.
func (b *bench) submission(req *ffcapi.Request) *ffcapi.Submission {
	b.Helper()
	return b.complete(&ffcapi.Submission{Prepared: b.prepare(req), From: req.From, To: req.To, Gas: req.Gas, Value: req.Value})
}

// complete adds what the core would: gas, fee and nonce.
func (b *bench) complete(sub *ffcapi.Submission) *ffcapi.Submission {
	b.Helper()
	if sub.Prepared.Gas != "" {
		sub.Gas = sub.Prepared.Gas
	}
	if b.features.Fees {
		sub.Fee = b.fee()
	}
	if b.features.Sequenced {
		n, _ := b.nonces(sub.From)
		sub.Nonce = &n
	}
	return sub
}

func (b *bench) fee() json.RawMessage {
	b.Helper()
	e, ok := b.Connector.(ffcapi.FeeEstimator)
	require.True(b, ok, "the connector is no ffcapi.FeeEstimator")
	fee, err := e.EstimateFee(b.ctx, b.Ledger)
	require.NoError(b, err)
	require.True(b, json.Valid(fee), "the fee is not JSON: %s", fee)
	return fee
}

func (b *bench) sequencer() ffcapi.Sequencer {
	b.Helper()
	s, ok := b.Connector.(ffcapi.Sequencer)
	require.True(b, ok, "the connector is no ffcapi.Sequencer")
	return s
}

func (b *bench) nonces(signer string) (pending, latest uint64) {
	b.Helper()
	pending, latest, err := b.sequencer().NextNonce(b.ctx, b.Ledger, signer)
	require.NoError(b, err)
	return pending, latest
}

// submit sends a submission for the first time.
func (b *bench) submit(sub *ffcapi.Submission) string {
	b.Helper()
	s, err := b.Connector.Submit(b.ctx, sub)
	require.NoError(b, err)
	require.NotEmpty(b, s.Hash)
	if sub.Prepared.Hash != "" {
		require.Equal(b, sub.Prepared.Hash, s.Hash)
	}
	return s.Hash
}

// resubmitted sends a submission again and returns the hash in the answer, success or not.
func (b *bench) resubmitted(sub *ffcapi.Submission) string {
	b.Helper()
	s, err := b.Connector.Submit(b.ctx, sub)
	if err == nil {
		return s.Hash
	}
	return b.errorOf(err, ffcapi.KnownTransaction).Hash
}

// create sends Create with an id and returns its hash.
func (b *bench) create(signer, id string) string {
	b.Helper()
	return b.submit(b.submission(b.Contract.Create(signer, id)))
}

// createSome puts n creates on the chain, the first half one by one and the rest together, and returns their ids and the last
// block with one of them.
func (b *bench) createSome(n int) (ids []string, last ffcapi.BlockRef) {
	b.Helper()
	var together []string
	for i := range n {
		ids = append(ids, b.id(i))
		hash := b.create(b.Signer(), b.id(i))
		if i < n/2 {
			b.placed(hash)
		} else {
			together = append(together, hash)
		}
	}
	for _, hash := range together {
		if p := b.placed(hash); p.Number > last.Number || last.IsZero() {
			last = p.BlockRef
		}
	}
	return ids, last
}

// place is where a transaction is, and how it ended.
type place struct {
	ffcapi.BlockRef
	success   bool
	reason    string
	retryable bool
	index     uint64
}

// placed waits until a transaction is on the chain.
func (b *bench) placed(hash string) place {
	b.Helper()
	var r *ffcapi.Receipt
	require.Eventually(b, func() bool {
		got, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: hash})
		if err != nil {
			return false
		}
		r = got
		return true
	}, b.features.Timeout, pollEvery, "transaction %s is not on the chain", hash)
	return place{r.Block, r.Success, r.Reason, r.Retryable, r.TxIndex}
}

// listed returns every entry for the hash in the blocks from the start of the sub-test up to a block.
func (b *bench) listed(hash string, upto ffcapi.BlockRef) (found []ffcapi.TxOutcome) {
	b.Helper()
	for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, b.start) {
		require.NoError(b, err)
		for _, tx := range blk.Transactions {
			if tx.Hash == hash {
				found = append(found, tx)
			}
		}
		if blk.Number >= upto.Number {
			break
		}
	}
	return found
}

// listener resolves a listener.
func (b *bench) listener(from string, filters ...json.RawMessage) *ffcapi.Listener {
	b.Helper()
	l, err := b.Connector.Listener(b.ctx, &ffcapi.ListenerSpec{Filters: filters, FromBlock: from})
	require.NoError(b, err)
	require.Equal(b, b.Ledger, l.Ledger)
	return l
}

// query is a session of one listener for Contract.Filter.
func (b *bench) query(from ffcapi.Cursor, upto ffcapi.BlockRef, most int) *ffcapi.EventQuery {
	b.Helper()
	return &ffcapi.EventQuery{
		Ledger: b.Ledger, Listeners: []*ffcapi.Listener{b.listener("earliest", b.Contract.Filter)}, From: from, Upto: upto, Max: most,
	}
}

// session reads to the end of a query and checks every page on the way.
func (b *bench) session(c ffcapi.Connector, q *ffcapi.EventQuery) (events []ffcapi.Event) {
	b.Helper()
	pos := q.From
	for page, err := range c.Events(b.ctx, q) {
		require.NoError(b, err)
		b.checkPage(page, pos, q)
		pos = page.Next
		events = append(events, page.Events...)
	}
	require.Greater(b, pos.Block, q.Upto.Number, "the session ended before Next passed Upto")
	return events
}

func (b *bench) checkPage(page *ffcapi.EventPage, pos ffcapi.Cursor, q *ffcapi.EventQuery) {
	b.Helper()
	require.True(b, pos.Before(page.Next), "Next stays at %s", pos)
	require.LessOrEqual(b, page.Through.Number, q.Upto.Number)
	blk, err := b.Connector.Block(b.ctx, b.Ledger, page.Through.Number)
	require.NoError(b, err)
	require.Equal(b, blk.Hash, page.Through.Hash, "Through is not on the chain")
	last := pos
	for i := range page.Events {
		ev := &page.Events[i]
		require.False(b, ev.Cursor.Before(last), "%s comes after %s", ev.Cursor, last)
		require.True(b, ev.Cursor.Before(page.Next))
		require.LessOrEqual(b, ev.Cursor.Block, page.Through.Number)
		last = ev.Cursor.Next()
		require.NotEmpty(b, ev.BlockHash)
		require.NotEmpty(b, ev.TxHash)
		require.NotEmpty(b, ev.Name)
		require.True(b, json.Valid(ev.Data), "data is not JSON: %s", ev.Data)
		require.True(b, ev.Info == nil || json.Valid(ev.Info), "info is not JSON: %s", ev.Info)
		require.NotEmpty(b, ev.Matches)
		require.IsIncreasing(b, append([]int{-1}, ev.Matches...))
		require.Less(b, ev.Matches[len(ev.Matches)-1], len(q.Listeners))
	}
}

// own keeps the events of this sub-test's creates.
func (b *bench) own(events []ffcapi.Event) (own []ffcapi.Event) {
	for i := range events {
		if id := b.Contract.ID(&events[i]); len(id) > len(b.prefix) && id[:len(b.prefix)] == b.prefix {
			own = append(own, events[i])
		}
	}
	return own
}

// ids are those of the sub-test's own events, in the order of the events.
func (b *bench) ids(events []ffcapi.Event) []string {
	ids := []string{}
	for _, ev := range b.own(events) {
		ids = append(ids, b.Contract.ID(&ev))
	}
	return ids
}

// cursors of events.
func cursors(events []ffcapi.Event) []ffcapi.Cursor {
	out := []ffcapi.Cursor{}
	for i := range events {
		out = append(out, events[i].Cursor)
	}
	return out
}

// requireUnavailable reads a query that cannot be read to its end, and returns the events that came before the error. No page may
// pass Upto.
func (b *bench) requireUnavailable(q *ffcapi.EventQuery) (events []ffcapi.Event) {
	b.Helper()
	var failed error
	for page, err := range b.Connector.Events(b.ctx, q) {
		require.NoError(b, failed, "the sequence goes on after an error")
		if err != nil {
			failed = err
			continue
		}
		require.LessOrEqual(b, page.Next.Block, q.Upto.Number, "a page passes a block that the node does not hold")
		events = append(events, page.Events...)
	}
	b.requireKind(failed, ffcapi.Unavailable)
	return events
}
