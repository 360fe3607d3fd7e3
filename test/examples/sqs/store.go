package main

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // the driver
)

// store is where events have their effect.
type store struct{ db *sql.DB }

func openStore(ctx context.Context, path string) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS handled (id TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
		CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY, body TEXT NOT NULL)`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db}, nil
}

func (s *store) close() { _ = s.db.Close() }

// apply gives an event its effect, unless it had it before. The id and the effect are written together, or neither of them is.
func (s *store) apply(ctx context.Context, id, body string) (fresh bool, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // after Commit there is nothing to roll back
	done, err := tx.ExecContext(ctx, `INSERT INTO handled (id) VALUES (?) ON CONFLICT DO NOTHING`, id)
	if err != nil {
		return false, err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	// The effect. Yours stands here.
	if _, err := tx.ExecContext(ctx, `INSERT INTO events (body) VALUES (?)`, body); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

// events are all events that had their effect, in its order.
func (s *store) events(ctx context.Context) (all []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT body FROM events ORDER BY position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		all = append(all, body)
	}
	return all, rows.Err()
}
