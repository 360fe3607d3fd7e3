package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pyralis-io/pyralis/internal/store"
)

// PostgresConfig says where the database is.
type PostgresConfig struct {
	Options
	// URL is a connection string of PostgreSQL, postgres://user@host/database or key=value.
	URL string
	// MaxConns bounds the connections for reading, of which there are at least 2; two more are used for writing and for ownership. 0 is 10.
	MaxConns int
}

const (
	defaultMaxConns = 10
	pgConnect       = 5 * time.Second
	maxAppName      = 63 // bytes; PostgreSQL cuts what is longer
)

// keySettings make the plans of statements that look few rows up by key, as all of the writer's do, the ones for large tables. Left to
// itself, the server plans them once while the tables are still empty, for reading them from end to end, and keeps to that.
var keySettings = map[string]string{
	"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"plan_cache_mode": "force_generic_plan",
}

// OpenPostgres opens the store in a database. Errors: store.ErrInUse, store.ErrTooNew, store.ErrUnavailable. The connection string is
// in none of them: it may hold a password.
func OpenPostgres(ctx context.Context, cfg PostgresConfig) (_ *Store, err error) {
	cfg.fill()
	pool, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	where := fmt.Sprintf("database %s on %s", pool.ConnConfig.Database, pool.ConnConfig.Host)
	owner, err := takeDatabase(ctx, withSettings(pool.ConnConfig, map[string]string{
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
	}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	s := newStore(cfg.Options, dialectPostgres)
	s.release = owner.close
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", where, translatePostgres(err)), s.Close())
		}
	}()
	var reads *pgReads
	if s.reader, reads, err = openPgPool(ctx, s, pool, owner); err != nil {
		return nil, err
	}
	s.hot = reads
	session, err := newPgSession(ctx, withSettings(pool.ConnConfig, keySettings))
	if err != nil {
		return nil, err
	}
	s.memory = newMemory()
	s.texts, s.ints, s.translate, s.broken = session.texts, session.ints, translatePostgres, isBroken
	if err := s.start(ctx, session, func(ctx context.Context, lost func()) { owner.watch(ctx, s.sawHead(), lost) }); err != nil {
		return nil, errors.Join(err, session.close())
	}
	s.bg.Go("keys", reads.run)
	return s, nil
}

// sawHead wakes readers when the status log was written by somebody else. It serves one goroutine.
func (s *Store) sawHead() func(seq int64) {
	var last int64
	return func(seq int64) {
		if seq != last {
			last = seq
			s.wake()
		}
	}
}

func poolConfig(cfg PostgresConfig) (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("connection string of PostgreSQL: %w", err)
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultMaxConns
	}
	pool.MaxConns = int32(min(cfg.MaxConns, 10_000))
	pool.ConnConfig = withSettings(pool.ConnConfig, nil)
	if pool.ConnConfig.ConnectTimeout == 0 {
		pool.ConnConfig.ConnectTimeout = pgConnect
	}
	return pool, nil
}

// withSettings is a copy of a connection's configuration with the settings that all of them need, and some more.
func withSettings(c *pgx.ConnConfig, more map[string]string) *pgx.ConnConfig {
	c = c.Copy()
	app := "pyralis " + identity()
	settings := map[string]string{
		"application_name":              app[:min(len(app), maxAppName)],
		"default_transaction_isolation": "read committed",
		"timezone":                      "UTC",
	}
	maps.Copy(settings, more)
	maps.Copy(c.RuntimeParams, settings)
	return c
}

// openPgPool opens the connections for reading, brings the schema up to date and takes the generation.
func openPgPool(ctx context.Context, s *Store, cfg *pgxpool.Config, owner *pgOwner) (*reader, *pgReads, error) {
	keyed := cfg.Copy()
	keyed.ConnConfig = withSettings(cfg.ConnConfig, keySettings)
	keyed.MaxConns = max(1, cfg.MaxConns/2)
	cfg.MaxConns = max(1, cfg.MaxConns-keyed.MaxConns)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	s.release = func() error {
		pool.Close()
		return owner.close()
	}
	db := stdlib.OpenDBFromPool(pool)
	if s.fence, err = migratePg(ctx, db, s.opts); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	reads, err := newPgReads(ctx, pool, keyed)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return &reader{db: db}, reads, nil
}

func migratePg(ctx context.Context, db *sql.DB, o Options) (store.Fence, error) {
	generation, err := migrate(ctx, db, dialectPostgres, toMicros(o.Now()))
	return store.Fence{Lease: leaseName, Generation: generation}, err
}
