package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Status implements store.StatusLog.
func (s *Store) Status(ctx context.Context, after int64, limit int) ([]store.StatusEntry, error) {
	var entries []store.StatusEntry
	err := s.read(ctx, readStatus, func(r row) error {
		e := store.StatusEntry{
			Seq: r.int(0), TxID: r.text(1), Status: store.TxStatus(r.text(2)), Sub: store.SubStatus(r.text(3)), Time: r.time(4),
		}
		if r[5] != nil {
			tx, err := scanTx(r[5:])
			if err != nil {
				return err
			}
			e.Tx = tx
		}
		entries = append(entries, e)
		return nil
	}, after, limitOf(limit))
	if err != nil {
		return nil, fmt.Errorf("read status log: %w", err)
	}
	return entries, nil
}

// StatusHead implements store.StatusLog.
func (s *Store) StatusHead(ctx context.Context) (int64, error) {
	n, err := s.readInt(ctx, readStatusHead)
	if err != nil {
		return 0, fmt.Errorf("read head of status log: %w", err)
	}
	return n, nil
}
