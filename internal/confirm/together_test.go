package confirm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

const (
	patience = 20 * time.Second
	tick     = 2 * time.Millisecond
)

// TestTogether follows the dev ledger with a real store: transactions are sent twice in a block, blocks are replaced, the engine
// restarts, and each transaction ends once, as the ledger has it.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		for name, sequenced := range map[string]bool{"nonces": true, "no nonces": false} {
			for _, finality := range []ffcapi.Finality{ffcapi.Instant, ffcapi.Confirmations} {
				t.Run(fmt.Sprint(dialect, " ", name, " ", finality), func(t *testing.T) {
					t.Parallel()
					cfg := devledger.DefaultConfig()
					cfg.Durable, cfg.Sequenced, cfg.Finality, cfg.BlockPeriod = false, sequenced, finality, 3*time.Millisecond
					c, err := devledger.New(cfg, devledger.Options{})
					require.NoError(t, err)
					t.Cleanup(func() { require.NoError(t, c.Close()) })
					require.NoError(t, c.Start(t.Context()))
					(&together{t: t, c: c, s: sqlstoretest.Open(t, dialect)}).play()
				})
			}
		}
	}
}

type together struct {
	t   *testing.T
	c   devledger.Connector
	s   store.Store
	ids []string
}

// end is the shortest rule: a final outcome ends the transaction.
func end(tx *store.Tx, attempts []*store.Attempt, hit int) *store.TxUpdate {
	o := attempts[hit].Outcome
	if o == nil || !o.Final {
		return nil
	}
	tx.Outcome, tx.Hash, tx.Status, tx.Sub = o, attempts[hit].Hash, store.Succeeded, store.SubConfirmed
	if !o.Success {
		tx.Status, tx.Sub = store.Failed, store.SubFailed
	}
	return &store.TxUpdate{Tx: tx, Announce: true}
}

func (w *together) engine() *confirm.Engine {
	o := options(w.c, w.s)
	o.Fence, o.Rule, o.Required = w.s.Fence, end, 4
	e, err := confirm.New(o)
	require.NoError(w.t, err)
	require.NoError(w.t, e.Start(w.t.Context()))
	w.t.Cleanup(func() { require.NoError(w.t, e.Stop(w.stopping())) })
	require.NoError(w.t, e.Ready(w.t.Context(), ""))
	return e
}

// stopping is a context that outlives the test's.
func (w *together) stopping() context.Context { return context.WithoutCancel(w.t.Context()) }

func (w *together) play() {
	for range 6 {
		require.NoError(w.t, w.c.Knobs().MineNow(w.t.Context()))
	}
	e := w.engine()
	for i := range 12 {
		if i%3 == 1 {
			w.c.Knobs().DuplicateNext(1)
		}
		w.send(i)
		if i == 4 {
			require.NoError(w.t, e.Stop(w.stopping()))
		}
		if i == 7 {
			e = w.engine()
		}
		if i%4 == 3 && w.ledger().Finality == ffcapi.Confirmations {
			require.NoError(w.t, w.c.Knobs().Reorganise(w.t.Context(), 2, nil))
		}
	}
	failed := 0
	for _, id := range w.ids {
		require.Eventually(w.t, func() bool { return w.tx(id).Status.Terminal() }, patience, tick, id)
		tx := w.tx(id)
		r, err := w.c.Receipt(w.t.Context(), &ffcapi.ReceiptQuery{Hash: tx.Hash})
		require.NoError(w.t, err)
		want := &store.Outcome{
			Block: r.Block, Index: r.TxIndex, Success: r.Success, Reason: r.Reason, Result: r.Result, Final: true,
		}
		if w.ledger().Finality == ffcapi.Confirmations {
			want.Required = tx.Required
		}
		require.Equal(w.t, want, tx.Outcome)
		require.Equal(w.t, r.Success, tx.Status == store.Succeeded)
		if !r.Success {
			failed++
		}
	}
	require.Equal(w.t, len(w.ids)/2, failed, "of two that create one asset, one fails in its block")
	require.NoError(w.t, e.Failed(""))
	require.NoError(w.t, e.Stop(w.stopping()))
	stored, err := w.s.Ledger(w.t.Context(), "")
	require.NoError(w.t, err)
	b, err := w.c.Block(w.t.Context(), "", stored.Position.Number)
	require.NoError(w.t, err)
	require.Equal(w.t, b.Hash, stored.Position.Hash)
}

func (w *together) ledger() *ffcapi.Ledger {
	l, err := w.c.Ledger(w.t.Context(), "")
	require.NoError(w.t, err)
	return l
}

func (w *together) tx(id string) *store.Tx {
	tx, err := w.s.Transaction(w.t.Context(), id)
	require.NoError(w.t, err)
	return tx
}

// send accepts, claims and submits a transaction. Two after one another create the same asset: one of them fails.
func (w *together) send(i int) {
	id := fmt.Sprintf("tx%d", i)
	w.ids = append(w.ids, id)
	ctx := w.t.Context()
	if i%2 == 0 {
		w.c.Knobs().Pause() // so that the next one is prepared on the same state
	} else {
		defer w.c.Knobs().Resume()
	}
	p, err := w.c.Prepare(ctx, &ffcapi.Request{
		From: fmt.Sprintf("signer%d", i), To: "assets", Method: json.RawMessage(`"create"`),
		Params: []json.RawMessage{json.RawMessage(fmt.Sprintf(`"asset%d"`, i/2)), json.RawMessage(`"v"`)},
	})
	require.NoError(w.t, err)
	n := &store.NewTx{
		Tx:         store.Tx{ID: id, Kind: "SendTransaction", Ledger: p.Ledger, From: fmt.Sprintf("signer%d", i), To: "assets"},
		KeyExpires: time.Now().Add(time.Hour), Request: json.RawMessage(`{}`),
		Attempt: store.Attempt{Hash: p.Hash}, Payload: store.Payload{Prepared: p.Payload},
	}
	if own := []int{-1, 3, 9}[i%3]; own > 0 {
		n.Tx.Required = &own // more than any reorganisation is deep
	}
	_, n.Sequenced = w.c.(ffcapi.Sequencer)
	a, err := w.s.Accept(ctx, w.s.Fence(), n)
	require.NoError(w.t, err)
	attempts, err := w.s.Attempts(ctx, id)
	require.NoError(w.t, err)
	at := attempts[0]
	at.State, at.Claim, at.Sends, at.Open = store.AttemptSubmitting, w.s.Fence().Generation, 1, 1
	a.Tx.Sub = store.SubSubmitting
	require.NoError(w.t, w.s.Update(ctx, w.s.Fence(), &store.TxUpdate{Tx: a.Tx, Attempts: []*store.Attempt{at}}))
	_, err = w.c.Submit(ctx, &ffcapi.Submission{Prepared: p, From: n.Tx.From, To: "assets", Nonce: a.Tx.Nonce})
	require.NoError(w.t, err)
}
