package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// A process with these variables is a child that writes until it is killed.
const (
	crashDialect = "PYRALIS_TEST_CRASH_DIALECT"
	crashPlace   = "PYRALIS_TEST_CRASH_PLACE"
	crashCallers = 8
)

// acceptUntilKilled prints the id of each transaction after it was accepted. It does not return.
func acceptUntilKilled(p *sqlstoretest.Place) {
	ctx := context.Background()
	s, err := p.Try(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	run := s.Fence().Generation
	for c := range crashCallers {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", run, c, i)
				if _, err := s.Accept(ctx, s.Fence(), request(id, "alice")); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				_, _ = os.Stdout.WriteString(id + "\n") // in one write, so that lines stay whole
			}
		}()
	}
	select {}
}

func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		require.NoError(t, p.Open(t).Close()) // the schema
		accepted := map[string]bool{}
		for kill := range 5 {
			for _, id := range runAndKill(t, p, 40+30*kill) {
				accepted[id] = true
			}
			s := p.Open(t) // at once
			requireAll(t, s, accepted)
			require.NoError(t, s.Close())
		}
	})
}

// runAndKill kills a child after it has accepted n transactions and returns all that it said it has.
func runAndKill(t *testing.T, p *sqlstoretest.Place, n int) []string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDialect+"="+p.Dialect, crashPlace+"="+p.Dir+p.URL)
	var trouble strings.Builder
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var ids []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ids = append(ids, lines.Text()); len(ids) == n {
			require.NoError(t, child.Process.Kill())
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		require.NoError(t, err, trouble.String())
	}
	require.GreaterOrEqual(t, len(ids), n, trouble.String())
	return ids
}

// requireAll checks that everything accepted is there, whole, and that nonces have no gap.
func requireAll(t *testing.T, s store.Store, accepted map[string]bool) {
	t.Helper()
	txs, err := s.List(t.Context(), store.TxFilter{Ascending: true})
	require.NoError(t, err)
	there := map[string]bool{}
	for i, tx := range txs {
		there[tx.ID] = true
		require.Equal(t, uint64(i), *tx.Nonce)
	}
	for id := range accepted {
		require.True(t, there[id], "accepted, but gone: %s", id)
	}
	last := txs[len(txs)-1].ID
	_, err = s.Attempts(t.Context(), last)
	require.NoError(t, err)
	_, err = s.Payload(t.Context(), last, 1)
	require.NoError(t, err)
}

func request(id, signer string) *store.NewTx {
	return &store.NewTx{
		Tx: store.Tx{ID: id, Ledger: "main", From: signer}, BodyHash: [32]byte{1}, Sequenced: true,
		Attempt: store.Attempt{Hash: "hash-" + id}, Payload: store.Payload{Prepared: []byte("p")},
	}
}
