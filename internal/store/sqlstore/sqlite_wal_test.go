package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// TestPaceOfCopying: a log that grows is copied in large steps, one that does not now and then, and a short one never.
func TestPaceOfCopying(t *testing.T) {
	t.Parallel()
	var p walPace
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		size  int64
		want  bool
	}{
		{0, walStart - 1, false},
		{0, walStart, true},
		{walInterval, walStart + 1, false},
		{walInterval, walStart + walStep - 1, false},
		{walInterval, walStart + walStep, true},
		{walPause - 1, walStart + walStep, false}, // it may have begun from the start again, at the same size
		{1, walStart + walStep, true},
		{walInterval, 1, false}, // begun anew
		{walInterval, walStep, false},
		{walInterval, walStep + 1, true},
	} {
		at = at.Add(c.after)
		require.Equal(t, c.want, p.due(c.size, at), "%+v", c)
	}
}

// TestLogIsWrittenOver: one that was copied is begun anew, in the same file.
func TestLogIsWrittenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := OpenSQLite(t.Context(), SQLiteConfig{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	n := 0
	accept := func(times int) {
		for range times {
			n++
			_, err := s.Accept(t.Context(), s.Fence(), &store.NewTx{
				Tx:         store.Tx{ID: fmt.Sprint("tx-", n), Kind: "SendTransaction", Ledger: "main", From: "alice"},
				KeyExpires: time.Now().Add(time.Hour),
				Attempt:    store.Attempt{Number: 1},
				Payload:    store.Payload{Prepared: make([]byte, 100_000)},
			})
			require.NoError(t, err)
		}
	}
	file := func() int64 {
		info, err := os.Stat(filepath.Join(dir, SQLiteFile+"-wal"))
		require.NoError(t, err)
		return info.Size()
	}
	own, err := connectSQLite(t.Context(), filepath.Join(dir, SQLiteFile))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.Close()) })
	used := func() int64 {
		size, err := (&walKeeper{conn: own}).checkpoint(t.Context(), "NOOP")
		require.NoError(t, err)
		return size
	}
	accept(20)
	require.Greater(t, used(), int64(2_000_000))
	require.InDelta(t, used(), file(), 100)

	s.writer.session.(*sqliteSession).wal.long.Store(true)
	accept(1)
	require.Eventually(t, func() bool { return used() == 0 }, time.Minute, time.Millisecond)
	size := file()
	accept(5)
	require.Less(t, used(), int64(1_000_000))
	require.Equal(t, size, file())
}

// deadDisk fails whatever is asked of it.
type deadDisk struct{ sqliteConn }

func (deadDisk) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, errors.New("disk I/O error")
}

// TestWarningsOfTheLog: a failure that lasts is told at once, and then once a minute.
func TestWarningsOfTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, told := logtest.NewNullLogger()
		k := &walKeeper{conn: deadDisk{}, log: log.WithField("store", "sqlite")}
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		go k.run(ctx)
		<-time.After(2 * walInterval)
		synctest.Wait()
		require.Len(t, told.AllEntries(), 1)
		<-ctx.Done()
		synctest.Wait()
		require.Len(t, told.AllEntries(), 3)
		told.Reset()
		for range 121 {
			k.restarted(errors.New("disk I/O error"))
			<-time.After(walRetry)
		}
		require.Len(t, told.AllEntries(), 3)
		k.restarted(nil)
		require.Len(t, told.AllEntries(), 3)
	})
}
