package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Key implements store.Transactions.
func (s *Store) Key(ctx context.Context, key string) (tx string, bodyHash [32]byte, err error) {
	found := false
	now := toMicros(s.opts.Now())
	err = s.read(ctx, readKey, func(r row) error {
		found = r.int(3) > now || r.flag(4)
		tx = r.text(0)
		copy(bodyHash[:], r.blob(1))
		return nil
	}, key)
	if err != nil {
		return "", [32]byte{}, fmt.Errorf("key %s: %w", key, err)
	}
	if !found {
		return "", [32]byte{}, notFound("key", key)
	}
	return tx, bodyHash, nil
}

// Transaction implements store.Transactions.
func (s *Store) Transaction(ctx context.Context, id string) (*store.Tx, error) {
	txs, err := s.readTxs(ctx, readTx, id)
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w", id, err)
	}
	if len(txs) == 0 {
		return nil, notFound("transaction", id)
	}
	return txs[0], nil
}

func (s *Store) readTxs(ctx context.Context, id readID, args ...any) ([]*store.Tx, error) {
	var txs []*store.Tx
	err := s.read(ctx, id, appendTx(&txs), args...)
	return txs, err
}

func appendTx(txs *[]*store.Tx) func(r row) error {
	return func(r row) error {
		tx, err := scanTx(r)
		*txs = append(*txs, tx)
		return err
	}
}

// Attempts implements store.Transactions.
func (s *Store) Attempts(ctx context.Context, id string) ([]*store.Attempt, error) {
	var as []*store.Attempt
	err := s.read(ctx, readAttempts, func(r row) error {
		a, err := scanAttempt(r, id)
		as = append(as, a)
		return err
	}, id, id)
	if err != nil {
		return nil, fmt.Errorf("attempts of transaction %s: %w", id, err)
	}
	if len(as) == 0 {
		return nil, notFound("transaction", id)
	}
	return as, nil
}

// History implements store.Transactions.
func (s *Store) History(ctx context.Context, id string) ([]store.History, error) {
	var hs []store.History
	found := false
	err := s.read(ctx, readBody, func(r row) (err error) {
		found = true
		hs, err = decodeHistory(r.text(2), r.time(0))
		return err
	}, id)
	if err != nil {
		return nil, fmt.Errorf("history of transaction %s: %w", id, err)
	}
	if !found {
		return nil, notFound("transaction", id)
	}
	all := make([]store.History, 0, len(hs))
	for _, h := range hs {
		all = fold(all, h)
	}
	err = s.read(ctx, readHistory, func(r row) error {
		all = fold(all, store.History{
			Sub: store.SubStatus(r.text(0)), Action: r.text(1), Time: r.time(2), Last: r.time(3), Count: int(r.int(4)),
			Error: r.text(5), Info: r.raw(6),
		})
		return nil
	}, id)
	if err != nil {
		return nil, fmt.Errorf("history of transaction %s: %w", id, err)
	}
	return all, nil
}

// Request implements store.Transactions.
func (s *Store) Request(ctx context.Context, id string) (json.RawMessage, error) {
	var request json.RawMessage
	err := s.read(ctx, readBody, func(r row) error {
		request = r.raw(1)
		return nil
	}, id)
	if err != nil {
		return nil, fmt.Errorf("request of transaction %s: %w", id, err)
	}
	if request == nil {
		return nil, notFound("request of transaction", id)
	}
	return request, nil
}

// Payload implements store.Transactions.
func (s *Store) Payload(ctx context.Context, id string, attempt int) (*store.Payload, error) {
	var p *store.Payload
	var err error
	each := func(r row) error {
		p = &store.Payload{Prepared: r.blob(0), Result: r.raw(1), Sensitive: r.blob(2)}
		return nil
	}
	if attempt == 1 {
		err = s.read(ctx, readFirstPayload, each, id)
	}
	if err == nil && p == nil {
		err = s.read(ctx, readPayload, each, id, attempt)
	}
	if err != nil {
		return nil, fmt.Errorf("payload %d of transaction %s: %w", attempt, id, err)
	}
	if p == nil {
		return nil, notFound("payload of transaction", id)
	}
	return p, nil
}

// Open implements store.Transactions.
func (s *Store) Open(ctx context.Context, after int64, limit int) ([]*store.Tx, error) {
	txs, err := s.readTxs(ctx, readOpen, after, limitOf(limit))
	if err != nil {
		return nil, fmt.Errorf("open transactions: %w", err)
	}
	return txs, nil
}

// CountOpen implements store.Transactions.
func (s *Store) CountOpen(ctx context.Context) (int, error) {
	n, err := s.readInt(ctx, readCountOpen)
	if err != nil {
		return 0, fmt.Errorf("count open transactions: %w", err)
	}
	return int(n), nil
}

// readInt reads one number.
func (s *Store) readInt(ctx context.Context, id readID, args ...any) (n int64, err error) {
	err = s.read(ctx, id, func(r row) error {
		n = r.int(0)
		return nil
	}, args...)
	return n, err
}

// NewestNonce implements store.Transactions.
func (s *Store) NewestNonce(ctx context.Context, ledger, signer string) (nonce uint64, at time.Time, err error) {
	found := false
	err = s.read(ctx, readSigner, func(r row) error {
		next := *r.number(0)
		found, nonce, at = next > 0, next-1, r.time(1)
		return nil
	}, ledger, signer)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("newest nonce of %s: %w", signer, err)
	}
	if !found {
		return 0, time.Time{}, notFound("nonce of", signer)
	}
	return nonce, at, nil
}

// OpenNonces implements store.Transactions.
func (s *Store) OpenNonces(ctx context.Context, ledger, signer string, from uint64, limit int) ([]uint64, error) {
	var nonces []uint64
	err := s.read(ctx, readOpenNonces, func(r row) error {
		nonces = append(nonces, *r.number(0))
		return nil
	}, ledger, signer, bits(from), ledger, signer, bits(from), limitOf(limit))
	if err != nil {
		return nil, fmt.Errorf("open nonces of %s: %w", signer, err)
	}
	return nonces, nil
}
