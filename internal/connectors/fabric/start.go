package fabric

import (
	"context"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Forms of fromBlock besides a number.
const (
	fromLatest   = "latest"
	fromEarliest = "earliest"
	fromTx       = "txid:"
	fromTime     = "time:"
)

// skew is how far the clocks of clients may be apart. A block has no time of its own, only those that clients wrote into its transactions.
const skew = 2 * time.Minute

// startOf resolves fromBlock.
func (c *Connector) startOf(ctx context.Context, ledger, from string) (at ffcapi.Cursor, err error) {
	find := startAtNumber
	id, isTx := strings.CutPrefix(from, fromTx)
	switch {
	case strings.EqualFold(from, fromEarliest):
		return c.startAtFirst(ctx, ledger)
	case strings.EqualFold(from, fromLatest), from == "":
		find = c.startAtHead
	case isTx && id == "":
		return at, invalid("fromBlock", "it names no transaction: give %s<id>", fromTx)
	case isTx:
		find = startAtTx
	case strings.HasPrefix(from, fromTime):
		find = c.startAtTime
	}
	err = c.search(ctx, c.cfg.Timeouts.CommitStatus, ledger, func(ctx context.Context, n *node, s *signer) (err error) {
		at, err = find(ctx, n, s, ledger, from)
		return err
	})
	if isTx && errors.Is(err, errSoon) {
		return at, invalid("fromBlock", "there is no transaction %s in %s", id, ledger)
	}
	return at, err
}

// startAtFirst is the first block that some peer has. Where no peer can be asked it is block 0: a listener that is changed keeps its position, and
// asks for any start that is always there.
func (c *Connector) startAtFirst(ctx context.Context, ledger string) (at ffcapi.Cursor, err error) {
	err = c.visit(ctx, c.cfg.Timeouts.Evaluate, ledger, func(ctx context.Context, n *node, s *signer) error {
		info, e := c.probe(ctx, n, s, ledger)
		if e == nil {
			e = info.pruned(n, 0)
		}
		if e != nil {
			return e
		}
		return nil
	})
	switch e := ffcapi.AsError(err); {
	case e == nil:
		return at, nil
	case e.Kind == ffcapi.Pruned:
		return ffcapi.BlockStart(e.FirstBlock), nil
	case e.Kind.Final():
		return at, e
	default:
		return at, nil
	}
}

// startAtHead begins after the newest block that is known: the peer that is asked may lag behind the one that the channel is followed at.
func (c *Connector) startAtHead(ctx context.Context, n *node, s *signer, ledger, _ string) (at ffcapi.Cursor, err error) {
	info, e := n.chainInfo(ctx, s, ledger)
	if e != nil {
		return at, e
	}
	head := max(info.head.Number, c.tails.of(c, ledger).newest().Number)
	return ffcapi.BlockStart(head + 1), nil
}

// startAtNumber refuses a block that no peer has any more. One that is not there yet is a start in the future, as it is for every chain.
func startAtNumber(ctx context.Context, n *node, s *signer, ledger, from string) (at ffcapi.Cursor, err error) {
	number, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return at, invalid("fromBlock", `%q is none of %q, %q, a block number, "%s<transaction id>" and "%s<RFC 3339 time>"`,
			from, fromEarliest, fromLatest, fromTx, fromTime)
	}
	info, e := n.chainInfo(ctx, s, ledger)
	if e != nil {
		return at, e
	}
	if e := info.pruned(n, number); e != nil {
		return at, e
	}
	return ffcapi.BlockStart(number), nil
}

// startAtTx begins with a transaction: what it gives comes first.
func startAtTx(ctx context.Context, n *node, s *signer, ledger, from string) (at ffcapi.Cursor, err error) {
	id := strings.TrimPrefix(from, fromTx)
	b, e := n.blockOf(ctx, s, ledger, id)
	if e != nil {
		return at, e
	}
	for i := range b.txs {
		if b.txs[i].id == id {
			return ffcapi.Cursor{Block: b.Number, Tx: b.txs[i].index}, nil
		}
	}
	return at, ffcapi.Errorf(ffcapi.Internal, "block %d of %s was given for transaction %s and does not hold it", b.Number, ledger, id)
}

// startAtTime begins with the first block that has a transaction of that time or a later one. Times of clients do not rise from block to block.
// A search by halves for a somewhat earlier time ends at a block before which none can be meant, if no clock is off by more than the skew;
// from there on the blocks are read one by one.
func (c *Connector) startAtTime(ctx context.Context, n *node, s *signer, ledger, from string) (at ffcapi.Cursor, err error) {
	text := strings.TrimPrefix(from, fromTime)
	wanted, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, invalid("fromBlock", "%q is no RFC 3339 time, such as 2026-01-31T12:00:00Z", text)
	}
	if wanted.After(time.Now().Add(skew)) {
		return at, invalid("fromBlock", "%s is in the future", text)
	}
	info, e := n.chainInfo(ctx, s, ledger)
	if e != nil {
		return at, e
	}
	var failed error
	count := int(info.head.Number - info.first + 1)
	begin := info.first + uint64(sort.Search(count, func(i int) bool {
		if failed != nil {
			return true
		}
		at, err := n.timeOf(ctx, s, ledger, info.first, info.first+uint64(i))
		if err != nil {
			failed = err
			return true
		}
		return !at.Before(wanted.Add(-2 * skew))
	}))
	if failed != nil {
		return at, failed
	}
	found, err := c.firstAt(ctx, n, s, ledger, begin, info.head.Number, wanted)
	if err != nil {
		return at, err
	}
	if begin == info.first && begin > 0 && found == begin { // an earlier one may be meant
		return at, info.pruned(n, info.first-1)
	}
	return ffcapi.BlockStart(found), nil
}

// timeOf returns the time of a block, or of the nearest one below it where nothing is valid in it; zero if there is none from first on.
func (n *node) timeOf(ctx context.Context, s *signer, channel string, first, number uint64) (time.Time, error) {
	for {
		b, err := n.block(ctx, s, channel, number)
		switch {
		case err != nil:
			return time.Time{}, err
		case !b.time.IsZero(), number == first:
			return b.time, nil
		}
		number--
	}
}

// firstAt reads blocks until one has a transaction of a time or a later one. If there is none, it is the block after the last.
func (c *Connector) firstAt(ctx context.Context, n *node, s *signer, channel string, from, to uint64, wanted time.Time) (uint64, error) {
	if from > to {
		return from, nil
	}
	st, err := n.open(ctx, s, channel, from, to)
	if err != nil {
		return 0, deliverError(ctx, n, err)
	}
	defer st.close()
	quiet := time.NewTimer(c.quiet)
	defer quiet.Stop()
	for number := from; number <= to; number++ {
		b, _, err := c.await(ctx, n, s, st, quiet, blockOn{channel, number})
		if err != nil {
			return 0, err
		}
		if !b.time.Before(wanted) {
			return number, nil
		}
	}
	return to + 1, nil
}
