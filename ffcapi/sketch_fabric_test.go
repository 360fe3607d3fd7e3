package ffcapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// fabricGateway is what the sketch uses of a Fabric client: one peer that serves several channels.
type fabricGateway interface {
	// endorse simulates a call on the peers and returns a signed envelope.
	endorse(ctx context.Context, channel, chaincode, creator string, args []string) (*fabricEnvelope, error)
	// order hands an envelope to the ordering service.
	order(ctx context.Context, envelope []byte) error
	// deliver streams blocks from a number on and follows the head.
	deliver(ctx context.Context, channel string, from uint64) iter.Seq2[fakeBlock, error]
	height(ctx context.Context, channel string) (uint64, error)
}

type fabricEnvelope struct {
	Channel string   `json:"channel"`
	TxID    string   `json:"txId"`
	Creator string   `json:"creator"`
	Event   string   `json:"event"`
	Data    string   `json:"data"`
	Keys    []string `json:"keys"` // read and written
}

var errNoChannel = errors.New("no such channel")

// fabricSketch is a connector whose ledgers are channels. A transaction is "channel/chaincode", and its id is known when it is
// endorsed; a block tells how each of its transactions ended, so there are no receipts to ask for.
type fabricSketch struct{ gw fabricGateway }

var _ ffcapi.Connector = (*fabricSketch)(nil)

// Ledger: the genesis block's hash identifies a channel. A channel never reorganises.
func (f *fabricSketch) Ledger(ctx context.Context, channel string) (*ffcapi.Ledger, error) {
	height, err := f.gw.height(ctx, channel)
	if err != nil {
		return nil, fabricError(err)
	}
	genesis, err := f.Block(ctx, channel, 0)
	if err != nil {
		return nil, err
	}
	head, err := f.Block(ctx, channel, height-1)
	if err != nil {
		return nil, err
	}
	return &ffcapi.Ledger{ID: genesis.Hash, Name: channel, Finality: ffcapi.Instant, Head: head.BlockRef}, nil
}

func (f *fabricSketch) Blocks(ctx context.Context, channel string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		from := uint64(0)
		if !after.IsZero() {
			from = after.Number + 1
		}
		for b, err := range f.gw.deliver(ctx, channel, from) {
			if err != nil {
				yield(nil, fabricError(err))
				return
			}
			if !yield(fabricBlock(b), nil) {
				return
			}
		}
	}
}

func (f *fabricSketch) Block(ctx context.Context, channel string, number uint64) (*ffcapi.Block, error) {
	height, err := f.gw.height(ctx, channel)
	if err != nil {
		return nil, fabricError(err)
	}
	if number >= height {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "block %d of %s", number, channel)
	}
	for b, err := range f.gw.deliver(ctx, channel, number) {
		if err != nil {
			return nil, fabricError(err)
		}
		return fabricBlock(b), nil
	}
	return nil, ffcapi.Errorf(ffcapi.Unavailable, "block %d of %s did not come", number, channel)
}

func fabricBlock(b fakeBlock) *ffcapi.Block {
	out := &ffcapi.Block{BlockRef: ffcapi.BlockRef{Number: b.number, Hash: b.hash}, ParentHash: b.parent, Outcomes: true}
	for i, tx := range b.txs {
		if tx.invalid == "DUPLICATE_TXID" {
			continue // the first occurrence is the outcome
		}
		out.Transactions = append(out.Transactions, ffcapi.TxOutcome{
			Hash: tx.id, Index: uint64(i), From: tx.from, Success: tx.invalid == "", Reason: tx.invalid,
			Retryable: tx.invalid == "MVCC_READ_CONFLICT",
		})
	}
	return out
}

// Prepare endorses: what is stored is an envelope that commits at most once, however often it is ordered.
func (f *fabricSketch) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	channel, chaincode, ok := strings.Cut(req.To, "/")
	if !ok {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "to: %q is not channel/chaincode", req.To)
	}
	args := []string{string(req.Method)}
	for _, p := range req.Params {
		args = append(args, string(p))
	}
	env, err := f.gw.endorse(ctx, channel, chaincode, req.From, args)
	if err != nil {
		return nil, fabricError(err)
	}
	payload, err := json.Marshal(env)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "envelope: %w", err)
	}
	return &ffcapi.Prepared{Ledger: channel, Payload: payload, Hash: env.TxID, ConflictKeys: env.Keys}, nil
}

func (f *fabricSketch) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	if err := f.gw.order(ctx, sub.Prepared.Payload); err != nil {
		return nil, fabricError(err)
	}
	return &ffcapi.Submitted{Hash: sub.Prepared.Hash}, nil
}

func (f *fabricSketch) Query(ctx context.Context, req *ffcapi.Request) (json.RawMessage, error) {
	p, err := f.Prepare(ctx, req) // evaluating is endorsing without ordering
	if err != nil {
		return nil, err
	}
	return p.Result, nil
}

// Receipt searches the blocks here; a peer answers by transaction id.
func (f *fabricSketch) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	l, err := f.Ledger(ctx, q.Ledger)
	if err != nil {
		return nil, err
	}
	for b, err := range f.Blocks(ctx, q.Ledger, ffcapi.BlockRef{}) {
		if err != nil {
			return nil, err
		}
		for _, tx := range b.Transactions {
			if tx.Hash == q.Hash {
				return &ffcapi.Receipt{Block: b.BlockRef, TxIndex: tx.Index, Success: tx.Success, Reason: tx.Reason, Retryable: tx.Retryable}, nil
			}
		}
		if b.Number == l.Head.Number {
			break
		}
	}
	return nil, ffcapi.Errorf(ffcapi.NotFound, "transaction %s", q.Hash)
}

func (f *fabricSketch) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	var filter sketchFilter
	if err := json.Unmarshal(spec.Filters[0], &filter); err != nil {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters[0]: %w", err)
	}
	l := &ffcapi.Listener{Ledger: filter.Channel, Key: string(spec.Filters[0]), Signature: filter.Event, Resolved: spec.Filters[0]}
	switch spec.FromBlock {
	case "earliest":
	case "", "latest":
		height, err := f.gw.height(ctx, filter.Channel)
		if err != nil {
			return nil, fabricError(err)
		}
		l.Start = ffcapi.BlockStart(height)
	default:
		n, err := strconv.ParseUint(spec.FromBlock, 10, 64)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.InvalidInput, "fromBlock: %w", err)
		}
		l.Start = ffcapi.BlockStart(n)
	}
	return l, nil
}

// Events reads one block stream for all listeners. The peer is asked for Upto first: blocks never change, so a peer that
// holds it holds every block before it.
func (f *fabricSketch) Events(ctx context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		if q.From.Block > q.Upto.Number || q.Upto.IsZero() {
			return
		}
		if last, err := f.Block(ctx, q.Ledger, q.Upto.Number); err != nil || last.Hash != q.Upto.Hash {
			yield(nil, ffcapi.Errorf(ffcapi.Unavailable, "the peer does not hold block %d %s of %s", q.Upto.Number, q.Upto.Hash, q.Ledger))
			return
		}
		page := &ffcapi.EventPage{}
		for b, err := range f.gw.deliver(ctx, q.Ledger, q.From.Block) {
			if err != nil {
				yield(nil, fabricError(err))
				return
			}
			page.Events = append(page.Events, fabricEvents(b, q)...)
			page.Next, page.Through = ffcapi.BlockStart(b.number+1), ffcapi.BlockRef{Number: b.number, Hash: b.hash}
			done := b.number == q.Upto.Number
			if len(page.Events) >= q.Max || done {
				if !yield(page, nil) || done {
					return
				}
				page = &ffcapi.EventPage{}
			}
		}
	}
}

func fabricEvents(b fakeBlock, q *ffcapi.EventQuery) (events []ffcapi.Event) {
	for i, tx := range b.txs {
		ev := ffcapi.Event{
			Cursor: ffcapi.Cursor{Block: b.number, Tx: uint64(i)}, BlockHash: b.hash, TxHash: tx.id, Name: tx.event, Data: json.RawMessage(tx.data),
		}
		if tx.invalid != "" || ev.Cursor.Before(q.From) {
			continue
		}
		for k, l := range q.Listeners {
			if l.Signature == tx.event {
				ev.Matches = append(ev.Matches, k)
			}
		}
		if len(ev.Matches) > 0 {
			events = append(events, ev)
		}
	}
	return events
}

// fabricError decides by status codes in a real connector.
func fabricError(err error) error {
	if errors.Is(err, errNoChannel) {
		return ffcapi.Errorf(ffcapi.NotFound, "%w", err)
	}
	return ffcapi.Errorf(ffcapi.Unavailable, "%w", err)
}

// fakeGateway is a peer and an orderer.
type fakeGateway map[string]*fakeChain

func (g fakeGateway) endorse(_ context.Context, channel, chaincode, creator string, args []string) (*fabricEnvelope, error) {
	if g[channel] == nil {
		return nil, errNoChannel
	}
	key := chaincode + ":" + args[1]
	return &fabricEnvelope{
		Channel: channel, TxID: fmt.Sprintf("tx-%s-%s", channel, args[1]), Creator: creator, Event: "AssetCreated", Data: args[1], Keys: []string{key},
	}, nil
}

func (g fakeGateway) order(_ context.Context, envelope []byte) error {
	var env fabricEnvelope
	if err := json.Unmarshal(envelope, &env); err != nil {
		return err
	}
	tx := fakeTx{id: env.TxID, from: env.Creator, event: env.Event, data: env.Data}
	if _, _, known := g[env.Channel].find(env.TxID); known {
		tx.invalid = "DUPLICATE_TXID"
	}
	g[env.Channel].add(tx)
	return nil
}

func (g fakeGateway) deliver(ctx context.Context, channel string, from uint64) iter.Seq2[fakeBlock, error] {
	return func(yield func(fakeBlock, error) bool) {
		if g[channel] == nil {
			yield(fakeBlock{}, errNoChannel)
			return
		}
		for n := from; ; n++ {
			b, err := g[channel].wait(ctx, n)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (g fakeGateway) height(_ context.Context, channel string) (uint64, error) {
	if g[channel] == nil {
		return 0, errNoChannel
	}
	return g[channel].head().number + 1, nil
}

func TestFabricSketch(t *testing.T) {
	t.Parallel()
	red, blue := newFakeChain("red"), newFakeChain("blue")
	f := &fabricSketch{fakeGateway{"red": red, "blue": blue}}
	for _, channel := range []string{"red", "blue"} {
		c := newCore(t, f, channel)
		for i := range 3 {
			req := &ffcapi.Request{From: "ann", To: channel + "/assets", Method: json.RawMessage(`"create"`), Params: []json.RawMessage{json.RawMessage(strconv.Itoa(i))}}
			require.True(t, c.send(req).Success)
		}
		filter := fmt.Sprintf(`{"channel":%q,"event":"AssetCreated"}`, channel)
		events, next, err := c.read(ffcapi.Cursor{}, c.head(), filter, filter)
		require.NoError(t, err)
		require.Equal(t, []string{"AssetCreated 0@[0 1]", "AssetCreated 1@[0 1]", "AssetCreated 2@[0 1]"}, events, "sent twice, there once")
		require.Equal(t, ffcapi.BlockStart(c.head().Number+1), next)
	}
	c := newCore(t, f, "red")
	_, _, err := c.read(ffcapi.Cursor{}, ffcapi.BlockRef{Number: 2, Hash: blue.head().hash}, `{"channel":"red","event":"AssetCreated"}`)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	_, err = f.Ledger(t.Context(), "green")
	require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err))
}
