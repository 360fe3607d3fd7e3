package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pyralis-io/pyralis/internal/store"
)

// translatePostgres puts the sentinels of package store on errors of PostgreSQL and of the way there.
func translatePostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return translateNetwork(err)
	}
	switch e.Code {
	case "53100", "54P02": // disk full
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case "40001", "40P01": // serialization failure, deadlock
		return fmt.Errorf("%w: %w", errAgain, err)
	case "23505", "23P01": // unique, exclusion
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case "22021", "22P05", "54000": // not in the encoding; too long for an index
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	switch e.Code[:2] {
	case "08", "57", "53", "25": // connection, operator intervention, resources, read-only standby
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// translateNetwork handles what PostgreSQL did not say itself.
func translateNetwork(err error) error {
	var connect *pgconn.ConnectError
	switch {
	case err == nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &connect), isNetwork(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	default:
		return err
	}
}

// isNetwork reports whether an error came from the way to the server.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.Timeout(err)
}

// isBroken reports whether a connection that was there before was of no use, which says nothing about a new one.
func isBroken(err error) bool {
	var connect *pgconn.ConnectError
	return errors.Is(err, store.ErrUnavailable) && !errors.As(err, &connect) && !pgconn.Timeout(err) &&
		!errors.Is(err, context.DeadlineExceeded)
}
