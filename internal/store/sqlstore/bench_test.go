package sqlstore_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// benchTx is a request of the usual size: 400 bytes, a payload of 1 kB.
func benchTx(id string, sequenced bool) *store.NewTx {
	return &store.NewTx{
		Tx: store.Tx{
			ID: id, Kind: "SendTransaction", Sub: store.SubPrepared, Ledger: "main", From: "x509::CN=alice,OU=client", To: "assets",
		},
		BodyHash: [32]byte{1, 2, 3}, KeyExpires: time.Now().Add(720 * time.Hour),
		Request:   fmt.Appendf(nil, `{"from":"alice","to":"assets","method":"create","params":["%s","%0300d"]}`, id, 7),
		Attempt:   store.Attempt{Hash: "0x" + id},
		Payload:   store.Payload{Prepared: make([]byte, 1024)},
		History:   []store.History{{Sub: store.SubReceived, Action: "Accept"}},
		Sequenced: sequenced,
	}
}

// measure runs op b.N times over c callers and reports operations per second and CPU time of the process for each.
func measure(b *testing.B, c int, op func(i int)) {
	b.Helper()
	var next atomic.Int64
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	cpu, start := cpuTime(b), time.Now()
	for range c {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				op(i)
			}
		}()
	}
	for range c {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAccept(b *testing.B) {
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		for _, callers := range []int{1, 10, 50, 200} {
			b.Run(fmt.Sprintf("%s/callers=%d", dialect, callers), func(b *testing.B) {
				s := sqlstoretest.Open(b, dialect)
				prefix := fmt.Sprint(time.Now().UnixNano(), "-")
				runtime.GC()
				measure(b, callers, func(i int) {
					if _, err := s.Accept(b.Context(), s.Fence(), benchTx(fmt.Sprint(prefix, i*7919%1_000_003, "-", i), true)); err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
}

// BenchmarkLifecycle accepts, claims and marks as sent; blocks of up to 500 confirm what was sent.
func BenchmarkLifecycle(b *testing.B) {
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		b.Run(dialect+"/callers=50", func(b *testing.B) {
			s := sqlstoretest.Open(b, dialect)
			_, err := s.UseLedger(b.Context(), s.Fence(), store.LedgerState{Name: "main", ID: "g"})
			require.NoError(b, err)
			sent, ended := make(chan string, b.N), make(chan error, 1)
			go func() { ended <- confirmAll(b, s, sent) }()
			measure(b, 50, func(i int) {
				id := fmt.Sprint(i*7919%1_000_003, "-", i)
				if err := sendOne(b, s, id); err != nil {
					b.Error(err)
				}
				sent <- "0x" + id
			})
			require.NoError(b, <-ended)
		})
	}
}

func sendOne(b *testing.B, s store.Store, id string) error {
	b.Helper()
	got, err := s.Accept(b.Context(), s.Fence(), benchTx(id, true))
	if err != nil {
		return err
	}
	tx := got.Tx
	a := store.Attempt{
		Tx: id, Number: 1, Ledger: tx.Ledger, From: tx.From, Nonce: tx.Nonce, Hash: tx.Hash, State: store.AttemptSubmitting,
		Claim: s.Fence().Generation, Sends: 1,
	}
	tx.Sub = store.SubSubmitting
	u := &store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{&a}, History: []store.History{{Sub: tx.Sub, Action: "Submit"}}}
	if err := s.Update(b.Context(), s.Fence(), u); err != nil {
		return err
	}
	tx.Sub, a.Open = store.SubTracking, 1
	u.History[0].Sub = tx.Sub
	return s.Update(b.Context(), s.Fence(), u)
}

// confirmAll puts what was sent into blocks until b.N transactions have ended.
func confirmAll(b *testing.B, s store.Store, sent <-chan string) error {
	b.Helper()
	rule := func(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
		tx.Status, tx.Sub, tx.Outcome = store.Succeeded, store.SubConfirmed, as[hit].Outcome
		return &store.TxUpdate{Tx: tx, History: []store.History{{Sub: tx.Sub, Action: "Confirm"}}, Announce: true, Wipe: true}
	}
	at := ffcapi.BlockRef{}
	for left, number := b.N, uint64(1); left > 0; number++ {
		outcomes := []ffcapi.TxOutcome{{Hash: <-sent, Success: true}}
		for len(outcomes) < 500 && len(sent) > 0 {
			outcomes = append(outcomes, ffcapi.TxOutcome{Hash: <-sent, Success: true})
		}
		to := ffcapi.BlockRef{Number: number, Hash: fmt.Sprint(number)}
		_, err := s.Advance(b.Context(), s.Fence(), &store.Advance{
			Ledger: "main", From: at, To: to, Blocks: []store.BlockOutcomes{{Block: to, Outcomes: outcomes}}, Final: number, HasFinal: true,
		}, rule)
		if err != nil {
			return err
		}
		at, left = to, left-len(outcomes)
	}
	return nil
}

// BenchmarkRead reads what every request reads: a key that nobody has, and a transaction.
func BenchmarkRead(b *testing.B) {
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		s := sqlstoretest.Open(b, dialect)
		_, err := s.Accept(b.Context(), s.Fence(), benchTx("a", true))
		require.NoError(b, err)
		b.Run(dialect+"/key", func(b *testing.B) {
			measure(b, 10, func(i int) {
				if _, _, err := s.Key(b.Context(), fmt.Sprint(i)); !errors.Is(err, store.ErrNotFound) {
					b.Error(err)
				}
			})
		})
		b.Run(dialect+"/transaction", func(b *testing.B) {
			measure(b, 10, func(int) {
				if _, err := s.Transaction(b.Context(), "a"); err != nil {
					b.Error(err)
				}
			})
		})
	}
}
