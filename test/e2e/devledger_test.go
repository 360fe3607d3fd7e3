//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

const assetCreated = `{"contract":"assets","event":"AssetCreated"}`

func devKillRun(t *testing.T, env ...string) *killRun {
	t.Helper()
	env = append(env, "PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_POLICIES_SIMPLE_RESUBMITINTERVAL=500ms", "PYRALIS_LOG_LEVEL=info")
	return &killRun{
		t: t, p: server.New(t, env, "run"),
		to: "assets", from: func(c int) string { return fmt.Sprintf("signer%d", c%3) }, filters: assetCreated,
		kills: server.Int(t, "E2E_KILLS", 20), clients: 10, interval: 10 * time.Millisecond,
	}
}

func TestKillDevLedgerSQLite(t *testing.T) {
	t.Parallel()
	devKillRun(t).run()
}

func TestKillDevLedgerPostgres(t *testing.T) {
	t.Parallel()
	devKillRun(t, "PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+server.NewDatabase(t)).run()
}
