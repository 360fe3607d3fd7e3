package devledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/lifecycle/lifecycletest"
)

const logName = "blocks.log"

func TestLifecycle(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func() lifecycle.Service {
		c, err := devledger.New(memory(), devledger.Options{})
		require.NoError(t, err)
		return c
	})
}

// grow makes a durable ledger with n blocks of one create each, and returns its log and where each block's frame begins.
func grow(t *testing.T, n int) (log []byte, begins []int) {
	t.Helper()
	dir := t.TempDir()
	c := open(t, devledger.DefaultConfig(), dir)
	for i := range n {
		begins = append(begins, int(size(t, dir)))
		receipt(t, c, send(t, c, request("ann", "create", quote(fmt.Sprint("a", i)), `{"n":1}`)))
	}
	require.NoError(t, c.Close())
	log, err := os.ReadFile(filepath.Join(dir, logName))
	require.NoError(t, err)
	return log, begins
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, logName))
	require.NoError(t, err)
	return info.Size()
}

// reopen starts a ledger over a log.
func reopen(t *testing.T, log []byte) (devledger.Connector, string, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, logName), log, 0o600))
	c, err := devledger.New(devledger.DefaultConfig(), devledger.Options{Dir: dir})
	return c, dir, err
}

func head(t *testing.T, c ffcapi.Connector) ffcapi.BlockRef {
	t.Helper()
	l, err := c.Ledger(t.Context(), "")
	require.NoError(t, err)
	return l.Head
}

func TestTornTailIsCutOff(t *testing.T) {
	t.Parallel()
	log, begins := grow(t, 3)
	last := begins[2]
	for n := last; n < len(log); n++ { // a crash may leave any part of the last frame
		c, dir, err := reopen(t, log[:n])
		require.NoError(t, err)
		require.Equal(t, uint64(2), head(t, c).Number, "%d bytes of the frame", n-last)
		require.Equal(t, int64(last), size(t, dir))
		require.Len(t, read(t, c, `{}`, 10), 2)
		require.NoError(t, c.Close())
	}
}

func TestLedgerGoesOnAfterTornTail(t *testing.T) {
	t.Parallel()
	log, begins := grow(t, 2)
	c, _, err := reopen(t, log[:begins[1]+20])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.Start(t.Context()))
	r := receipt(t, c, send(t, c, request("ann", "create", `"a1"`, `2`))) // a1 is the one that was torn off
	require.True(t, r.Success)
	require.Equal(t, uint64(2), r.Block.Number)
}

func TestGarbageInTheLastBlockIsCutOff(t *testing.T) {
	t.Parallel()
	log, begins := grow(t, 2)
	for _, at := range []int{begins[1], begins[1] + 5, begins[1] + 9, begins[1] + 40, len(log) - 1} {
		bad := append([]byte(nil), log...)
		bad[at] ^= 0x40
		c, _, err := reopen(t, bad)
		require.NoError(t, err)
		require.Equal(t, uint64(1), head(t, c).Number)
		require.NoError(t, c.Close())
	}
}

func TestDamageBeforeAWholeBlockStopsTheStart(t *testing.T) {
	t.Parallel()
	log, begins := grow(t, 3)
	for _, at := range []int{0, 5, begins[0], begins[0] + 6, begins[1] + 9, begins[2] - 1} {
		bad := append([]byte(nil), log...)
		bad[at] ^= 0x40
		_, dir, err := reopen(t, bad)
		require.ErrorContains(t, err, "is damaged at byte")
		require.Equal(t, int64(len(log)), size(t, dir), "nothing is thrown away")
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := devledger.DefaultConfig()
	c := open(t, cfg, dir)
	id := ledgerID(t, c)
	hash := send(t, c, request("ann", "create", `"a"`, `1`))
	before := receipt(t, c, hash)
	receipt(t, c, send(t, c, request("bob", "transfer", `"a"`, `"bob"`)))
	events := read(t, c, `{}`, 10)
	require.NoError(t, c.Close())

	c = open(t, cfg, dir)
	require.Equal(t, id, ledgerID(t, c))
	require.Equal(t, before, receipt(t, c, hash))
	require.Equal(t, events, read(t, c, `{}`, 1))
	out, err := c.Query(t.Context(), request("", "list"))
	require.NoError(t, err)
	require.JSONEq(t, `[{"id":"a","value":1,"owner":"bob"}]`, string(out))
	require.True(t, receipt(t, c, send(t, c, request("ann", "delete", `"a"`))).Success, "the nonce goes on")
}

func ledgerID(t *testing.T, c ffcapi.Connector) string {
	t.Helper()
	l, err := c.Ledger(t.Context(), "")
	require.NoError(t, err)
	return l.ID
}

func TestEachLedgerHasItsOwnIdentity(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		seen[ledgerID(t, open(t, memory(), ""))] = true
		seen[ledgerID(t, open(t, devledger.DefaultConfig(), t.TempDir()))] = true
	}
	require.Len(t, seen, 4)
}

func TestDataDirectoryErrors(t *testing.T) {
	t.Parallel()
	cfg := devledger.DefaultConfig()
	start := func(cfg devledger.Config, dir string) error {
		_, err := devledger.New(cfg, devledger.Options{Dir: dir})
		return err
	}
	require.ErrorContains(t, start(cfg, ""), "devledger.durable")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	err := start(cfg, filepath.Join(file, "data"))
	require.ErrorContains(t, err, file)
	require.ErrorContains(t, err, "cannot be made")

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, logName), 0o750))
	require.ErrorContains(t, start(cfg, dir), "cannot be written")

	dir = t.TempDir()
	c := open(t, cfg, dir)
	require.ErrorContains(t, start(cfg, dir), "in use by another process")
	require.NoError(t, c.Close())
	other := cfg
	other.Sequenced = false
	require.ErrorContains(t, start(other, dir), "set devledger.sequenced to true")
	open(t, cfg, dir)
}

func TestClosedLedgerIsUnavailable(t *testing.T) {
	t.Parallel()
	c := open(t, devledger.DefaultConfig(), t.TempDir())
	h := head(t, c)
	waiting := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		var last error
		for b, err := range c.Blocks(t.Context(), "", ffcapi.BlockRef{}) {
			if last = err; b != nil && b.BlockRef == h {
				close(began)
			}
		}
		waiting <- last
	}()
	<-began
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(<-waiting))
	_, err := c.Ledger(t.Context(), "")
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
}

func TestStoppedLedgerCanBeReadAndTakesNothing(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	p, err := c.Prepare(t.Context(), request("ann", "create", `"a"`, `1`))
	require.NoError(t, err)
	sub := submission(t, c, p, "ann")
	require.NoError(t, c.Stop(t.Context()))
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	require.Equal(t, ffcapi.SentNo, ffcapi.AsError(err).Sent)
	require.Equal(t, uint64(0), head(t, c).Number)
}
