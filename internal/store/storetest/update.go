package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

var updateTests = map[string]func(t *testing.T, s store.Store){
	"stores everything":         updateStores,
	"an attempt changes":        updateAttempt,
	"one of many wins":          updateRace,
	"many transactions at once": updateMany,
	"terminal stays":            updateTerminal,
	"unknown transaction":       updateUnknown,
	"refused fence":             updateFenced,
	"history is folded":         updateHistory,
	"announces":                 updateAnnounces,
	"wipes":                     updateWipes,
	"odd text":                  updateText,
}

func updateStores(t *testing.T, s store.Store) {
	f := with(t, s)
	created := f.accept(sequenced("a", "alice"))
	tx := f.tx("a")
	at := time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)
	tx.Status, tx.Sub, tx.SubSince = store.Suspended, store.SubTracking, at
	tx.To, tx.Value, tx.Gas, tx.Fee = "other", "11", "12", []byte(`{"f":1}`)
	tx.Attempt, tx.Hash, tx.FirstSubmit, tx.LastSubmit = 2, "h2", at, at.Add(time.Second)
	tx.Error, tx.PolicyState, tx.Due = "no luck", []byte(`{"p":1}`), at.Add(time.Hour)
	tx.Outcome = &store.Outcome{
		Block: block(9), Index: 3, Success: true, Reason: "r", Retryable: true, Result: []byte(`[1]`), Final: true,
	}
	tx.Kind, tx.Ledger, tx.From, tx.Shard = "not written", "not written", "not written", 99
	first := f.attempts("a")[0]
	first.State, first.Dead, first.Error, first.Sends, first.Open, first.LastSent = store.AttemptDone, "expired", "e", 4, 3, at
	second := &store.Attempt{
		Tx: "a", Number: 2, Ledger: "main", State: store.AttemptSubmitting, Claim: 8, Hash: "h2", From: "alice", Nonce: tx.Nonce,
		Expires: math.MaxUint64, Exclusive: "x", ConflictKeys: []string{`odd "key" <&>`}, Outcome: tx.Outcome,
		Fee: []byte(`{"f":2}`), SendBefore: at.Add(time.Minute),
	}
	payload := &store.Payload{Prepared: []byte("p2"), Sensitive: []byte("s2")}
	f.update(&store.TxUpdate{
		Tx: tx, Attempts: []*store.Attempt{first, second}, Payload: payload,
		History: []store.History{{Sub: store.SubTracking, Action: "SubmitTransaction", Info: []byte(`{"i":1}`)}},
	})
	require.Equal(t, int64(2), tx.Version)
	require.False(t, tx.Updated.Before(created.Updated))

	want := *tx
	want.Kind, want.Ledger, want.From, want.Shard = created.Kind, created.Ledger, created.From, created.Shard
	require.Equal(t, &want, f.tx("a"))
	require.Equal(t, []*store.Attempt{first, second}, f.attempts("a"))
	got, err := s.Payload(t.Context(), "a", 2)
	require.NoError(t, err)
	require.Equal(t, payload, got)
	_, err = s.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	hs := f.history("a")
	require.Len(t, hs, 2)
	require.Equal(t, store.History{
		Sub: store.SubTracking, Action: "SubmitTransaction", Info: []byte(`{"i":1}`), Time: tx.Updated, Last: tx.Updated, Count: 1,
	}, hs[1])
}

// updateAttempt changes all of an attempt but for what finds it.
func updateAttempt(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	tx := f.claim("a")
	at := time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)
	nonce := uint64(9)
	a := f.attempts("a")[0]
	a.Claim, a.From, a.Nonce, a.Expires, a.Exclusive, a.ConflictKeys = 77, "bob", &nonce, 8, "y", []string{"k3"}
	a.Sends, a.Open, a.LastSent, a.Error, a.Dead, a.Fee, a.SendBefore = 5, 4, at, "e", "d", []byte(`{"f":1}`), at.Add(time.Minute)
	f.update(&store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{a}})
	require.Equal(t, []*store.Attempt{a}, f.attempts("a"))
}

func updateRace(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	var won, lost atomic.Int64
	parallel(30, func(i int) {
		tx := f.tx("a")
		tx.Version, tx.Error = 1, fmt.Sprint(i)
		u := &store.TxUpdate{Tx: tx, History: []store.History{{Action: fmt.Sprint(i)}}, Announce: true}
		switch err := s.Update(t.Context(), s.Fence(), u); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, store.ErrConflict):
			lost.Add(1)
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int64(1), won.Load())
	require.Equal(t, int64(29), lost.Load())
	require.Equal(t, int64(2), f.tx("a").Version)
	require.Equal(t, f.tx("a").Error, f.history("a")[1].Action, "side records are the winner's")
	require.Len(t, f.history("a"), 2)
	log, err := s.Status(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, log, 1)
}

func updateMany(t *testing.T, s store.Store) {
	const n, rounds = 20, 10
	f := with(t, s)
	for i := range n {
		f.accept(newTx(fmt.Sprint(i)))
	}
	parallel(n, func(i int) {
		tx := f.tx(fmt.Sprint(i))
		for r := range rounds {
			tx.PolicyState = fmt.Appendf(nil, `{"round":%d}`, r)
			u := &store.TxUpdate{Tx: tx, History: []store.History{{Action: "Round"}}}
			if err := s.Update(t.Context(), s.Fence(), u); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range n {
		id := fmt.Sprint(i)
		require.Equal(t, int64(rounds+1), f.tx(id).Version)
		require.Equal(t, rounds, f.history(id)[1].Count)
	}
}

func updateTerminal(t *testing.T, s store.Store) {
	for _, status := range []store.TxStatus{store.Succeeded, store.Failed} {
		f := with(t, s)
		id := string(status)
		f.accept(newTx(id))
		open, err := s.CountOpen(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, open)
		f.end(id, status)
		tx := f.tx(id)
		require.Equal(t, status, tx.Status)
		before := *tx
		for _, to := range []store.TxStatus{store.Pending, store.Succeeded, store.Failed} {
			tx.Status = to
			require.ErrorIs(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx, Announce: true}), store.ErrConflict)
		}
		require.Equal(t, &before, f.tx(id))
		open, err = s.CountOpen(t.Context())
		require.NoError(t, err)
		require.Zero(t, open)
	}
}

func updateUnknown(t *testing.T, s store.Store) {
	err := s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: &store.Tx{ID: "none", Version: 1, Status: store.Pending}})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func updateFenced(t *testing.T, s store.Store) {
	f := with(t, s)
	before := f.accept(newTx("a"))
	stale := s.Fence()
	stale.Generation--
	tx := f.tx("a")
	tx.Error = "changed"
	require.ErrorIs(t, s.Update(t.Context(), stale, &store.TxUpdate{Tx: tx, History: []store.History{{Action: "x"}}}), store.ErrFenced)
	require.Equal(t, before, f.tx("a"))
	require.Len(t, f.history("a"), 1)
	require.Equal(t, int64(1), tx.Version)
}

func updateHistory(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tx := f.tx("a")
	add := func(hs ...store.History) {
		t.Helper()
		f.update(&store.TxUpdate{Tx: tx, History: hs})
	}
	h := func(minute int, action, e string) store.History {
		return store.History{Sub: store.SubReceived, Action: action, Error: e, Time: at.Add(time.Duration(minute) * time.Minute)}
	}
	add(h(1, "Accept", ""))                         // says what was said at acceptance
	add(h(2, "Submit", "e1"), h(3, "Submit", "e1")) // folded within a call
	add(h(4, "Submit", "e1"))                       // and over calls
	add(h(5, "Submit", "e2"))
	add(h(6, "Submit", "e1"), h(7, "Submit", "e1"), h(8, "Track", ""))
	var got []string
	for _, h := range f.history("a") {
		got = append(got, fmt.Sprint(h.Action, h.Error, " ", h.Count, " ", h.Last.Sub(at).Minutes()))
	}
	require.Equal(t, []string{"Accept 2 1", "Submite1 3 4", "Submite2 1 5", "Submite1 2 7", "Track 1 8"}, got)
	require.Equal(t, at.Add(2*time.Minute), f.history("a")[1].Time)
}

func updateAnnounces(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	head, err := s.StatusHead(t.Context())
	require.NoError(t, err)
	tx := f.tx("a")
	f.update(&store.TxUpdate{Tx: tx})
	log, err := s.Status(t.Context(), head, 10)
	require.NoError(t, err)
	require.Empty(t, log)
	tx.Status, tx.Sub = store.Succeeded, store.SubConfirmed
	f.update(&store.TxUpdate{Tx: tx, Announce: true})
	log, err = s.Status(t.Context(), head, 10)
	require.NoError(t, err)
	require.Len(t, log, 1)
	require.Equal(t, store.Succeeded, log[0].Status)
	require.Equal(t, store.StatusEntry{
		Seq: log[0].Seq, TxID: "a", Status: store.Succeeded, Sub: store.SubConfirmed, Time: tx.Updated, Tx: f.tx("a"),
	}, log[0])
	require.Equal(t, "a", log[0].TxID)
}

func updateWipes(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	f.accept(newTx("b"))
	tx := f.tx("a")
	tx.Attempt = 2
	second := &store.Attempt{Tx: "a", Number: 2, State: store.AttemptPrepared}
	f.update(&store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{second}, Payload: &store.Payload{Prepared: []byte("2"), Sensitive: []byte("s")}})
	tx.Attempt = 3
	third := &store.Attempt{Tx: "a", Number: 3, State: store.AttemptDone}
	f.update(&store.TxUpdate{ // what comes with the end, too
		Tx: tx, Attempts: []*store.Attempt{third}, Payload: &store.Payload{Prepared: []byte("3"), Sensitive: []byte("s")}, Wipe: true,
	})
	for n := range 3 {
		p, err := s.Payload(t.Context(), "a", n+1)
		require.NoError(t, err)
		require.Nil(t, p.Sensitive)
		require.NotNil(t, p.Prepared)
	}
	p, err := s.Payload(t.Context(), "b", 1)
	require.NoError(t, err)
	require.NotNil(t, p.Sensitive)
}

func updateText(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	tx := f.tx("a")
	tx.Error = "bad \xff\x00 bytes"
	f.update(&store.TxUpdate{Tx: tx, History: []store.History{{Error: "worse \xfe\x00", Info: json.RawMessage(`"\u0000"`)}}})
	require.Equal(t, "bad \uFFFD\uFFFD bytes", f.tx("a").Error)
	require.JSONEq(t, `"\u0000"`, string(f.history("a")[1].Info))
	tx.Hash = "bad \x00"
	require.ErrorIs(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx}), store.ErrInvalid)
}

var readTests = map[string]func(t *testing.T, s store.Store){
	"nothing there":      readNothing,
	"pages":              readPages,
	"healthy":            readHealthy,
	"conditions":         listConditions,
	"lists what changes": listOnTheMove,
	"random filters":     listRandom,
	"labels of replays":  listReplay,
}

func readNothing(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Transaction(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Attempts(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.History(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Request(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Payload(ctx, "none", 1)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Ledger(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Stream(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Listener(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	txs, err := s.List(ctx, store.TxFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, txs)
	head, err := s.StatusHead(ctx)
	require.NoError(t, err)
	require.Zero(t, head)
}

func readPages(t *testing.T, s store.Store) {
	f := with(t, s)
	for i := range 10 {
		n := newTx(fmt.Sprint(i))
		n.Tx.From = []string{"alice", "bob"}[i%2]
		f.accept(n)
	}
	f.end("3", store.Failed)
	f.end("4", store.Succeeded)
	list := func(flt store.TxFilter) (ids string) {
		t.Helper()
		for {
			txs, err := s.List(t.Context(), flt)
			require.NoError(t, err)
			require.LessOrEqual(t, len(txs), max(flt.Limit, 10))
			for _, tx := range txs {
				ids += tx.ID
				flt.After = tx.Seq
			}
			if len(txs) < flt.Limit || flt.Limit == 0 {
				return ids
			}
			ids += " "
		}
	}
	require.Equal(t, "987 654 321 0", list(store.TxFilter{Limit: 3}))
	require.Equal(t, "0123 4567 89", list(store.TxFilter{Limit: 4, Ascending: true}))
	require.Equal(t, "97531", list(store.TxFilter{Signer: "bob"}))
	require.Equal(t, "43", list(store.TxFilter{Statuses: []store.TxStatus{store.Failed, store.Succeeded}}))
	require.Equal(t, "3", list(store.TxFilter{Signer: "bob", Statuses: []store.TxStatus{store.Failed, store.Succeeded}}))

	var open string
	for after := int64(0); ; {
		txs, err := s.Open(t.Context(), after, 3)
		require.NoError(t, err)
		for _, tx := range txs {
			open, after = open+tx.ID, tx.Seq
		}
		if len(txs) < 3 {
			break
		}
	}
	require.Equal(t, "01256789", open)
}

func readHealthy(t *testing.T, s store.Store) {
	require.NoError(t, s.Ping(t.Context()))
	require.NotZero(t, s.Fence().Generation)
	select {
	case <-s.Lost():
		t.Error("lost")
	default:
	}
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "again")
	_, err := s.Accept(t.Context(), s.Fence(), newTx("a"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Error(t, s.Ping(t.Context()))
}
