package fabric

import (
	"context"
	"strconv"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Forms of fromBlock besides a number.
const (
	fromLatest   = "latest"
	fromEarliest = "earliest"
)

// startOf resolves fromBlock.
func (c *Connector) startOf(ctx context.Context, ledger, from string) (at ffcapi.Cursor, err error) {
	switch from {
	case fromEarliest:
		return ffcapi.Cursor{}, nil
	case fromLatest, "":
		err := c.visit(ctx, c.cfg.Timeouts.Evaluate, ledger, func(ctx context.Context, n *node, s *signer) error {
			info, e := n.chainInfo(ctx, s, ledger)
			if e != nil {
				return e
			}
			at = ffcapi.BlockStart(info.head.Number + 1)
			return nil
		})
		return at, err
	}
	number, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return at, invalid("fromBlock", "%q is none of %q, %q and a block number", from, fromEarliest, fromLatest)
	}
	return ffcapi.BlockStart(number), nil
}
