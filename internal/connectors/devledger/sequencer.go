package devledger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// sequencedLedger is a ledger with nonces. It is a type of its own so that a type assertion tells.
type sequencedLedger struct{ *ledger }

// NextNonce implements ffcapi.Sequencer.
func (l *sequencedLedger) NextNonce(ctx context.Context, name, signer string) (pending, latest uint64, err error) {
	if err := l.enter(ctx, MethodNextNonce, name); err != nil {
		return 0, 0, err
	}
	if err := checkSigner(signer); err != nil {
		return 0, 0, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	latest = l.chain.nonces[signer]
	return l.pool.pending(signer, latest), latest, nil
}

// Cancel implements ffcapi.Sequencer: a transaction of the signer that does nothing. It goes before what waits with the same nonce if
// it offers as much or more.
func (l *sequencedLedger) Cancel(ctx context.Context, name, signer string, nonce uint64) (*ffcapi.Prepared, error) {
	if err := l.enter(ctx, MethodPrepare, name); err != nil {
		return nil, err
	}
	if err := checkSigner(signer); err != nil {
		return nil, err
	}
	c := call{op: opNoop, from: signer}
	return &ffcapi.Prepared{
		Payload:   encodePayload(c, true),
		Gas:       strconv.FormatUint(c.gas(), 10),
		Exclusive: fmt.Sprintf("%s/%d", signer, nonce),
	}, nil
}
