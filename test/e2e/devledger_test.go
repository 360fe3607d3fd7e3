//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const assetCreated = `{"contract":"assets","event":"AssetCreated"}`

func devKillRun(t *testing.T, env ...string) *killRun {
	t.Helper()
	env = append(env, "PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_POLICIES_SIMPLE_RESUBMITINTERVAL=500ms", "PYRALIS_LOG_LEVEL=info")
	return &killRun{
		t: t, p: newProcess(t, env, "run"),
		to: "assets", from: func(c int) string { return fmt.Sprintf("signer%d", c%3) }, filters: assetCreated,
		kills: envInt(t, "E2E_KILLS", 20), clients: 10, interval: 10 * time.Millisecond,
	}
}

func TestKillDevLedgerSQLite(t *testing.T) {
	t.Parallel()
	devKillRun(t).run()
}

func TestKillDevLedgerPostgres(t *testing.T) {
	t.Parallel()
	devKillRun(t, "PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+newDatabase(t)).run()
}

// newDatabase creates an empty PostgreSQL database for one test and returns its URL.
func newDatabase(t *testing.T) string {
	t.Helper()
	admin := os.Getenv("TEST_POSTGRES_URL")
	if admin == "" {
		admin = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	name := fmt.Sprintf("pyralis_e2e_%d_%d", os.Getpid(), time.Now().UnixNano())
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
