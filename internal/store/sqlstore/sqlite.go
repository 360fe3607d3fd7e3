package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"

	"modernc.org/sqlite"

	"github.com/pyralis-io/pyralis/internal/store"
)

// SQLiteFile is the name of the database in the data directory.
const SQLiteFile = "pyralis.db"

// SQLiteConfig says where the database is.
type SQLiteConfig struct {
	Options
	// Dir is the data directory. It is made if it does not exist, and belongs to one process at a time.
	Dir string
}

// synchronousFull is the setting that syncs the log to the disk before a commit is answered.
const synchronousFull = 2

// OpenSQLite opens the store in a data directory. Errors: store.ErrInUse, store.ErrTooNew, or one that names the directory.
func OpenSQLite(ctx context.Context, cfg SQLiteConfig) (_ *Store, err error) {
	cfg.fill()
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := newStore(cfg.Options, dialectSQLite)
	s.release = lock.close
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	path := filepath.Join(cfg.Dir, SQLiteFile)
	if s.fence, err = migrateSQLite(ctx, path, cfg.Options); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	writing, copying, err := openSQLiteConns(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	keeper := &walKeeper{conn: copying, log: cfg.Log}
	s.release = func() error { return errors.Join(copying.Close(), lock.close()) }
	session, err := newSQLiteSession(ctx, writing, keeper)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), writing.Close())
	}
	if s.reader, err = openSQLitePool(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), session.close())
	}
	hot, err := newReadPool(ctx, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), session.close())
	}
	s.dir, s.hot = cfg.Dir, hot
	s.texts, s.ints, s.translate = session.texts, session.ints, translateSQLite
	s.memory = newMemory()
	s.broken = func(error) bool { return false }
	if err := s.start(ctx, session, lock.watch); err != nil {
		return nil, errors.Join(err, session.close())
	}
	s.bg.Go("wal", keeper.run)
	return s, nil
}

// sqliteDSN names the database with settings for each connection.
func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

// migrateSQLite makes the database, if it is not there, and takes ownership of it.
func migrateSQLite(ctx context.Context, path string, o Options) (store.Fence, error) {
	c, err := sqlite.NewConnector(sqliteDSN(path, "busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"))
	if err != nil {
		return store.Fence{}, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	generation, err := migrate(ctx, db, dialectSQLite, toMicros(o.Now()))
	if err = errors.Join(err, db.Close()); err != nil {
		return store.Fence{}, translateSQLite(err)
	}
	return store.Fence{Lease: leaseName, Generation: generation}, nil
}

// connectSQLite opens a connection that is in no pool.
func connectSQLite(ctx context.Context, path string, pragmas ...string) (sqliteConn, error) {
	connector, err := sqlite.NewConnector(sqliteDSN(path, pragmas...))
	if err != nil {
		return nil, err
	}
	c, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connections of the driver are %T", c), c.Close())
	}
	return conn, nil
}

// openSQLiteConns opens the connection of the writer and the one that copies the log. Neither is in a pool.
func openSQLiteConns(ctx context.Context, path string) (writing, copying sqliteConn, err error) {
	open := func(pragmas ...string) (sqliteConn, error) { return connectSQLite(ctx, path, pragmas...) }
	// A lock can be in the way only for moments, of the copying connection: nobody else writes.
	// A small cache is the faster one: each commit walks through all of it, and the pages that it misses are in the memory of the kernel.
	writing, err = open("busy_timeout(200)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-4096)",
		"foreign_keys(0)", "temp_store(MEMORY)", "journal_size_limit(67108864)")
	if err != nil {
		return nil, nil, err
	}
	sync, err := queryInt(ctx, writing, "PRAGMA synchronous")
	if err == nil && sync != synchronousFull {
		err = fmt.Errorf("synchronous is %d, not FULL: a commit would be answered before it is on the disk", sync)
	}
	if err == nil {
		copying, err = open("busy_timeout(200)", "synchronous(FULL)")
	}
	if err != nil {
		return nil, nil, errors.Join(err, writing.Close())
	}
	return writing, copying, nil
}

// readPragmas are those of the connections for reading. Each commit of the writer empties their caches, so what helps is only what one statement
// reads more than once: half a megabyte is plenty, and there are many of these connections.
var readPragmas = []string{"busy_timeout(5000)", "query_only(1)", "cache_size(-512)", "temp_store(MEMORY)"}

// openSQLitePool opens the connections for reading.
func openSQLitePool(ctx context.Context, path string) (*reader, error) {
	c, err := sqlite.NewConnector(sqliteDSN(path, readPragmas...))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	n := max(4, 2*runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	r, err := newReader(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

// jsonList makes the argument of a list for SQLite.
func jsonList[T any](v []T) any {
	b, err := json.Marshal(v)
	if err != nil {
		return "[]" // cannot happen: strings and numbers always have a form
	}
	return string(b)
}
