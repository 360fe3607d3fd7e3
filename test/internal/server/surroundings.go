package server

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// NewDatabase creates an empty PostgreSQL database for one test, on the server at TEST_POSTGRES_URL, and returns its URL.
func NewDatabase(t *testing.T) string {
	t.Helper()
	admin := os.Getenv("TEST_POSTGRES_URL")
	if admin == "" {
		admin = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	name := fmt.Sprintf("pyralis_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	exec := func(ctx context.Context, sql string) {
		conn, err := pgx.Connect(ctx, admin)
		require.NoError(t, err)
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		require.NoError(t, err)
	}
	exec(t.Context(), "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(context.WithoutCancel(t.Context()), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(admin)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// Int is a number from the environment.
func Int(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, name)
	return n
}

// Pause waits, but not beyond the end of the test.
func Pause(t *testing.T, d time.Duration) {
	t.Helper()
	_ = retry.Sleep(t.Context(), d) // the end of the test is no error
}
