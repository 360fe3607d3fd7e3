package sqlstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgReads carries out the reads of PostgreSQL. It does so without database/sql, which would prepare each statement anew on the
// connection that it gets, and forget it afterwards: three round trips instead of one.
type pgReads struct {
	pool *pgxpool.Pool
	sql  [readCount]string
	mode []any // says how a statement is carried out; empty: as the connection string has it

	keys *keyReads
}

func newPgReads(pool *pgxpool.Pool) *pgReads {
	p := &pgReads{pool: pool}
	p.keys = newKeyReads(p.readKeys)
	for id, query := range readSQL {
		p.sql[id] = dialectPostgres.render(query)
	}
	// Planned each time: a plan that was made when a table was empty would read it from end to end for as long as the connection lives.
	if pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		p.mode = []any{pgx.QueryExecModeCacheDescribe}
	}
	return p
}

func (p *pgReads) serves(readID) bool { return true }

func (p *pgReads) read(ctx context.Context, id readID, each func(r row) error, args []any) error {
	if id == readKey {
		if key, ok := args[0].(string); ok {
			return p.keys.read(ctx, key, each)
		}
	}
	rows, err := p.pool.Query(ctx, p.sql[id], append(p.mode[:len(p.mode):len(p.mode)], args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p *pgReads) readKeys(ctx context.Context, keys []string) (map[string]row, error) {
	found := make(map[string]row, len(keys))
	err := p.read(ctx, readKeys, func(r row) error {
		found[r.text(0)] = r
		return nil
	}, []any{keys})
	return found, err
}

func (p *pgReads) run(ctx context.Context) { p.keys.run(ctx) }

func (p *pgReads) close() error { return nil } // the pool has another owner
