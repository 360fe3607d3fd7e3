package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// hotReads are those of every request. They are short, and carried out on connections of their own: database/sql costs more than they do.
var hotReads = [readCount]bool{
	readTx: true, readAttempts: true, readBody: true, readHistory: true, readPayload: true, readFirstPayload: true, readKey: true,
	readSigner: true, readStatus: true, readLedger: true, readHashes: true, readHashless: true,
}

// readPool holds the connections for hot reads. A read is not cut short by its context, it is over before that would be.
type readPool struct {
	free   chan *readConn
	size   int
	closed chan struct{}
	once   sync.Once
}

// readConn is a connection with its statements, of which each is prepared when it is first used.
type readConn struct {
	conn  sqliteConn
	stmts [readCount]sqliteStmt
	named [maxParams]driver.NamedValue
	dest  [maxParams]driver.Value
	row   [maxParams]any
}

func newReadPool(ctx context.Context, path string) (*readPool, error) {
	n := max(2, runtime.GOMAXPROCS(0)) // more cannot run at once
	p := &readPool{free: make(chan *readConn, n), closed: make(chan struct{})}
	for range n {
		c, err := connectSQLite(ctx, path, readPragmas...)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		r := &readConn{conn: c}
		for i := range r.named {
			r.named[i].Ordinal = i + 1
		}
		p.free <- r
		p.size++
	}
	return p, nil
}

func (p *readPool) serves(id readID) bool { return hotReads[id] }

// read runs a statement on the next connection that is free.
func (p *readPool) read(ctx context.Context, id readID, each func(r row) error, args []any) error {
	select {
	case <-p.closed:
		return errClosed
	default:
	}
	select {
	case c := <-p.free:
		defer func() { p.free <- c }()
		return c.read(id, each, args)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.closed:
		return errClosed
	}
}

// close waits for the reads under way.
func (p *readPool) close() error {
	var errs []error
	p.once.Do(func() {
		close(p.closed)
		for range p.size {
			errs = append(errs, (<-p.free).close())
		}
	})
	return errors.Join(errs...)
}

func (c *readConn) read(id readID, each func(r row) error, args []any) (err error) {
	st := c.stmts[id]
	if st == nil {
		if st, err = prepareSQLite(context.Background(), c.conn, id.sqlite()); err != nil {
			return err
		}
		c.stmts[id] = st
	}
	for i, a := range args {
		if c.named[i].Value, err = driver.DefaultParameterConverter.ConvertValue(a); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	rows, err := st.QueryContext(context.Background(), c.named[:len(args)])
	if err != nil {
		return err
	}
	return eachRow(rows, c.dest[:], c.row[:], each)
}

// eachRow hands rows to each and closes them. dest and r are room for one row.
func eachRow(rows driver.Rows, dest []driver.Value, r row, each func(r row) error) error {
	n := len(rows.Columns())
	dest, r = dest[:n], r[:n]
	err := rows.Next(dest)
	for ; err == nil; err = rows.Next(dest) {
		for i, v := range dest {
			r[i] = v
		}
		if err = each(r); err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

func (c *readConn) close() error {
	var errs []error
	for _, st := range c.stmts {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(append(errs, c.conn.Close())...)
}
