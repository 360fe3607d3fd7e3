package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/migrations"
)

// migrate brings the schema to this binary's version, and takes ownership: it raises the generation and returns the new one. The
// caller holds the lock of the store.
func migrate(ctx context.Context, db *sql.DB, d dialect, now int64) (int64, error) {
	folder, kind := "sqlite", goose.DialectSQLite3
	if d == dialectPostgres {
		folder, kind = "postgres", goose.DialectPostgres
	}
	files, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return 0, err
	}
	p, err := goose.NewProvider(kind, db, files)
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("read version of schema: %w", err)
	}
	if have > want {
		return 0, fmt.Errorf("%w: its schema is version %d, this program knows %d; use the program that wrote it, or a newer one",
			store.ErrTooNew, have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, fmt.Errorf("migrate schema: %w", err)
	}
	return takeOver(ctx, db, d, now)
}

// takeOver raises the generation, so that whatever an earlier owner still tries to write is refused.
func takeOver(ctx context.Context, db *sql.DB, d dialect, now int64) (generation int64, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("take ownership: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("take ownership: %w", err), ignoreDone(tx.Rollback()))
		}
	}()
	if _, err := tx.ExecContext(ctx, d.render(`INSERT INTO lease (name, generation, owner, since) VALUES (?, 1, ?, ?)
		ON CONFLICT (name) DO UPDATE SET generation = lease.generation + 1, owner = excluded.owner, since = excluded.since`),
		leaseName, identity(), now); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, d.render(`SELECT generation FROM lease WHERE name = ?`), leaseName).Scan(&generation); err != nil {
		return 0, err
	}
	return generation, tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
