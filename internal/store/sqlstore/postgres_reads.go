package sqlstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// keyedReads are those that look few rows up by key. They are prepared, and have connections whose plans are kept.
var keyedReads = [readCount]bool{
	readTx: true, readAttempts: true, readBody: true, readHistory: true, readPayload: true, readFirstPayload: true, readKeys: true,
	readSigner: true, readStatus: true, readLedger: true,
}

// pgReads carries out the reads of PostgreSQL. It does so without database/sql, which would prepare each statement anew on the
// connection that it gets, and forget it afterwards: three round trips instead of one.
type pgReads struct {
	sql   [readCount]string
	keyed *pgxpool.Pool
	pool  *pgxpool.Pool // for the others; somebody else closes it
	mode  []any         // how these are carried out; empty: as the connection string has it

	keys *keyReads
}

func newPgReads(ctx context.Context, pool *pgxpool.Pool, keyed *pgxpool.Config) (_ *pgReads, err error) {
	p := &pgReads{pool: pool}
	if p.keyed, err = pgxpool.NewWithConfig(ctx, keyed); err != nil {
		return nil, err
	}
	p.keys = newKeyReads(p.readKeys)
	for id, query := range readSQL {
		p.sql[id] = dialectPostgres.render(query)
	}
	// Planned each time, for what the tables hold by then.
	if keyed.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		p.mode = []any{pgx.QueryExecModeCacheDescribe}
	}
	return p, nil
}

func (p *pgReads) serves(readID) bool { return true }

func (p *pgReads) read(ctx context.Context, id readID, each func(r row) error, args []any) error {
	if id == readKey {
		if key, ok := args[0].(string); ok {
			return p.keys.read(ctx, key, each)
		}
	}
	pool := p.keyed
	if !keyedReads[id] {
		pool, args = p.pool, append(p.mode[:len(p.mode):len(p.mode)], args...)
	}
	rows, err := pool.Query(ctx, p.sql[id], args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := eachPgRow(rows, each); err != nil {
		return err
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

func (p *pgReads) close() error {
	p.keyed.Close()
	return nil
}
