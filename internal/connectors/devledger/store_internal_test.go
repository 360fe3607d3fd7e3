package devledger

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// brokenLog fails to append as long as err is set.
type brokenLog struct {
	blockLog
	mu  sync.Mutex
	err error // guarded by mu
}

func (l *brokenLog) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *brokenLog) append(frame []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.blockLog.append(frame)
}

func createRequest(id string) *ffcapi.Request {
	return &ffcapi.Request{
		From: "ann", To: "assets", Method: json.RawMessage(`"create"`), Params: []json.RawMessage{json.RawMessage(`"` + id + `"`), json.RawMessage(`1`)},
	}
}

func newLedger(t *testing.T, cfg Config, dir string) *ledger {
	t.Helper()
	c, err := New(cfg, Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	if s, ok := c.(*sequencedLedger); ok {
		return s.ledger
	}
	l, ok := c.(*ledger)
	require.True(t, ok)
	return l
}

func TestFullDiskDelaysBlocksAndLosesNothing(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Durable, cfg.Sequenced = false, false
	l := newLedger(t, cfg, "")
	full := errors.New("no space left on device")
	store := &brokenLog{blockLog: l.store, err: full}
	l.store = store
	require.NoError(t, l.Start(t.Context()))
	p, err := l.Prepare(t.Context(), createRequest("a"))
	require.NoError(t, err)
	sub := &ffcapi.Submission{Prepared: p, From: "ann"}
	_, err = l.Submit(t.Context(), sub)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		details, err := l.Health(t.Context())
		return errors.Is(err, full) && string(details) == `{"head":0,"waiting":1}`
	}, 10*time.Second, time.Millisecond)
	_, err = l.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.KnownTransaction, ffcapi.KindOf(err))
	_, err = l.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: p.Hash})
	require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err), "not on the disk, not to be seen")
	list, err := l.Query(t.Context(), &ffcapi.Request{To: "assets", Method: json.RawMessage(`"list"`)})
	require.NoError(t, err)
	require.Equal(t, `[]`, string(list))

	store.set(nil)
	require.Eventually(t, func() bool {
		_, err := l.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: p.Hash})
		return err == nil
	}, 10*time.Second, time.Millisecond)
	details, err := l.Health(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"head":1,"waiting":0}`, string(details))
}

func TestStopEndsTheAttemptsToStore(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Durable = false
	l := newLedger(t, cfg, "")
	l.store = &brokenLog{blockLog: l.store, err: errors.New("disk on fire")}
	require.NoError(t, l.Start(t.Context()))
	p, err := l.Prepare(t.Context(), createRequest("a"))
	require.NoError(t, err)
	_, err = l.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "ann", Nonce: new(uint64)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return l.trouble.Load() != nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, l.Stop(t.Context()))
}

// recordingLog copies the file at the moment at which a block becomes durable: what a crash right after it leaves.
type recordingLog struct {
	*fileLog
	t    *testing.T
	path string
	got  [][]byte
}

func (l *recordingLog) append(frame []byte) (int64, error) {
	pos, err := l.fileLog.append(frame)
	b, rerr := os.ReadFile(l.path)
	require.NoError(l.t, rerr)
	l.got = append(l.got, b)
	return pos, err
}

func TestWhatWasSeenSurvivesACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := newLedger(t, DefaultConfig(), dir)
	f, ok := l.store.(*fileLog)
	require.True(t, ok)
	store := &recordingLog{fileLog: f, t: t, path: filepath.Join(dir, logFile)}
	l.store = store
	require.NoError(t, l.Start(t.Context()))
	var heads []ffcapi.BlockRef
	for i := range 5 {
		p, err := l.Prepare(t.Context(), createRequest(string(rune('a'+i))))
		require.NoError(t, err)
		nonce := uint64(i)
		s, err := l.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "ann", Nonce: &nonce})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := l.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: s.Hash})
			return err == nil
		}, 10*time.Second, time.Millisecond)
		led, err := l.Ledger(t.Context(), "")
		require.NoError(t, err)
		heads = append(heads, led.Head)
	}
	require.NoError(t, l.Close())
	for i, file := range store.got {
		crashed := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(crashed, logFile), file, 0o600))
		led, err := newLedger(t, DefaultConfig(), crashed).Ledger(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, heads[i], led.Head)
	}
}

func TestForeignBlockStopsTheStart(t *testing.T) {
	t.Parallel()
	read := func(dir string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, logFile))
		require.NoError(t, err)
		return b
	}
	dir := t.TempDir()
	l := newLedger(t, DefaultConfig(), dir)
	require.NoError(t, l.Close())
	genesis := read(dir)
	for name, b := range map[string]*block{
		"block 1 does not follow":            {number: 1, parent: digest{1}},
		"block 2 is where block 1 should be": {number: 2},
		"block 0 is where block 1 should be": {number: 0, mode: genesisSequenced},
		"transaction 0x0500000000000000000000000000000000000000000000000000000000000000: payload": {
			number: 1, parent: hashOf(t, genesis), txs: []txRecord{{hash: digest{5}, payload: []byte("x")}},
		},
	} {
		frame, _ := encodeBlock(b)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, logFile), append(append([]byte(nil), genesis...), frame...), 0o600))
		_, err := New(DefaultConfig(), Options{Dir: dir})
		require.ErrorContains(t, err, name)
	}
}

func hashOf(t *testing.T, frame []byte) digest {
	t.Helper()
	_, hash, err := decodeBlock(frame)
	require.NoError(t, err)
	return hash
}
