//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

func TestStartUpErrorsNameTheCause(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() }) // the rows outlive this function
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	unknown := filepath.Join(t.TempDir(), "unknown.yaml")
	require.NoError(t, os.WriteFile(unknown, []byte("api: {prot: 80}\n"), 0o600))

	for name, c := range map[string]struct {
		env, args, want []string
	}{
		"PortInUse": {
			env:  []string{"PYRALIS_API_PORT=" + port, "PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()},
			args: []string{"run"}, want: []string{"api.port", port},
		},
		"DataDirectoryIsAFile": {
			env:  []string{"PYRALIS_API_PORT=0", "PYRALIS_STORE_SQLITE_PATH=" + file},
			args: []string{"run"}, want: []string{file},
		},
		"UnknownKey":      {args: []string{"run", "-f", unknown}, want: []string{"api.prot", "api.port", "unknown.yaml:1"}},
		"UnknownVariable": {env: []string{"PYRALIS_API_PROT=80"}, args: []string{"dev"}, want: []string{"PYRALIS_API_PROT", "PYRALIS_API_PORT"}},
		"NoSuchFile":      {args: []string{"run", "-f", "nowhere.yaml"}, want: []string{"nowhere.yaml"}},
		"BadStream": {
			env:  []string{"PYRALIS_API_PORT=0", "PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), `PYRALIS_STREAMS=[{"name":"a","batchSize":0}]`},
			args: []string{"dev"}, want: []string{"streams[0].batchSize is 0: must be 1 to 10000"},
		},
		"BadListener": {
			env: []string{
				"PYRALIS_API_PORT=0", "PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(),
				`PYRALIS_STREAMS=[{"name":"a","listeners":[{"name":"l","filters":[{"contract":"assets","event":"AssetSold"}]}]}]`,
			},
			args: []string{"dev"}, want: []string{"streams[0].listeners[0].filters[0].event", "AssetCreated"},
		},
		"UnknownCommand": {args: []string{"rum"}, want: []string{"rum"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := server.FailsToStart(t, c.env, c.args...)
			for _, want := range c.want {
				require.Contains(t, line, want)
			}
		})
	}
}

func TestSecondProcessOnTheSameStoreIsRefused(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"SQLite":   {"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()},
		"Postgres": {"PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL=" + server.NewDatabase(t), "PYRALIS_DEVLEDGER_DURABLE=false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := server.New(t, env, "run")
			p.Start()
			require.Contains(t, server.FailsToStart(t, append(env, "PYRALIS_API_PORT=0"), "run"), "in use")
			interruptsCleanly(t, p)
			p.Start() // the lock went with its holder
			p.Kill()
			p.Start() // and so it does after kill -9
			interruptsCleanly(t, p)
		})
	}
}

// A process whose lock on the store is gone ends, and says so in its last line: the store may be another's now.
func TestLostLockEndsTheProcess(t *testing.T) {
	t.Parallel()
	url := server.NewDatabase(t)
	p := server.New(t, []string{"PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL=" + url, "PYRALIS_DEVLEDGER_DURABLE=false"}, "run")
	p.Start()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.Equal(t, 1, p.Ends(), "killed, or a success")
	lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
	require.True(t, strings.HasPrefix(lines[len(lines)-1], "pyralis: the lock on the store was lost"), "%s", p.Log())
	p.Start() // it can be started again
	interruptsCleanly(t, p)
}
