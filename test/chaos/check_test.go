//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// settle waits until nothing is pending, and reports whether that came.
func (r *run) settle() bool {
	var open []apitypes.Transaction
	end := time.Now().Add(5 * time.Minute)
	for !r.p.Get("/transactions?pending=true&limit=500&direction=asc", &open) || len(open) > 0 {
		if time.Now().After(end) {
			var tx apitypes.TransactionWithStatus
			r.p.Get("/transactions/"+open[0].ID+"?history=true", &tx)
			text, _ := json.MarshalIndent(tx, "", " ")
			r.note("%d transactions do not end, the first of them is %s", len(open), text)
			return false
		}
		server.Pause(r.t, 20*time.Millisecond)
	}
	return true
}

// list reads all transactions in order of acceptance.
func (r *run) list() (all []apitypes.Transaction) {
	for after := ""; ; after = all[len(all)-1].ID {
		var page []apitypes.Transaction
		require.True(r.t, r.p.Get("/transactions?direction=asc&limit=500&after="+after, &page))
		if all = append(all, page...); len(page) < 500 {
			return all
		}
	}
}

// checkRecords compares what was accepted with what is stored.
func (r *run) checkRecords(all []apitypes.Transaction) {
	missing := maps.Clone(r.accepted)
	next := map[string]uint64{}
	for i := range all {
		tx := &all[i]
		a := missing[tx.ID]
		delete(missing, tx.ID)
		switch {
		case a == nil && r.refused[tx.ID]:
			r.note("%s was refused and is there", tx.ID)
			continue
		case a == nil:
			r.note("%s is there twice, or nobody sent it", tx.ID)
			continue
		case tx.Status != "Succeeded" || tx.TransactionHash == "":
			r.note("%s is %s %s, hash %q: %s", tx.ID, tx.Status, tx.SubStatus, tx.TransactionHash, tx.ErrorMessage)
		case tx.From != a.signer:
			r.note("%s is from %s, not %s", tx.ID, tx.From, a.signer)
		}
		if n := tx.Nonce.Int().Uint64(); n != next[tx.From] {
			r.note("%s has nonce %d of %s, %d is next", tx.ID, n, tx.From, next[tx.From])
		}
		next[tx.From]++
	}
	require.Empty(r.t, slices.Sorted(maps.Keys(missing)), "accepted, and not there")
}

// checkHistories looks at the history of each transaction: it ends once, and that is the end.
func (r *run) checkHistories(all []apitypes.Transaction) {
	ids := make(chan string)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for id := range ids {
				r.checkHistory(id)
			}
		})
	}
	for i := range all {
		ids <- all[i].ID
	}
	close(ids)
	readers.Wait()
	for id := range r.refused {
		if got := r.p.Status("/transactions/" + id); got != http.StatusNotFound {
			r.note("%s was refused, and asking for it is answered with %d", id, got)
		}
	}
}

func (r *run) checkHistory(id string) {
	var tx apitypes.TransactionWithStatus
	if !r.p.Get("/transactions/"+id+"?history=true", &tx) {
		r.note("%s cannot be read", id)
		return
	}
	ends := 0
	for _, h := range tx.History {
		if h.SubStatus == "Confirmed" || h.SubStatus == "Failed" || h.SubStatus == "Cancelled" {
			ends++
		}
	}
	switch {
	case len(tx.History) == 0 || ends != 1 || tx.History[len(tx.History)-1].SubStatus != "Confirmed":
		text, _ := json.Marshal(tx.History)
		r.note("%s ended %d times: %s", id, ends, text)
	case tx.Receipt == nil || !tx.Receipt.Success:
		r.note("%s has the receipt %+v", id, tx.Receipt)
	}
}

// checkLedger reads the chain itself: each accepted request took effect once, by the transaction that its record names.
func (r *run) checkLedger(all []apitypes.Transaction, dir string) {
	cfg := r.ledger
	cfg.Faults = devledger.Faults{ReorganiseDepth: 1}
	c, err := devledger.New(cfg, devledger.Options{Dir: dir})
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, c.Close()) }()
	info, err := c.Ledger(r.t.Context(), "")
	require.NoError(r.t, err)

	effects := map[string][]ffcapi.TxOutcome{}
	next := map[string]uint64{}
	for b, err := range c.Blocks(r.t.Context(), "", ffcapi.BlockRef{}) {
		require.NoError(r.t, err)
		for _, tx := range b.Transactions {
			if *tx.Nonce != next[tx.From] {
				r.note("block %d: nonce %d of %s, %d is next", b.Number, *tx.Nonce, tx.From, next[tx.From])
			}
			next[tx.From] = *tx.Nonce + 1
			var result struct{ Value struct{ Key string } }
			if err := json.Unmarshal(tx.Result, &result); err != nil || !tx.Success {
				r.note("block %d: %s of %s: success %t, result %s, %s", b.Number, tx.Hash, tx.From, tx.Success, tx.Result, tx.Reason)
				continue
			}
			effects[result.Value.Key] = append(effects[result.Value.Key], tx)
		}
		if b.Number == info.Head.Number {
			break
		}
	}
	for i := range all {
		tx := &all[i]
		found := effects[tx.ID]
		delete(effects, tx.ID)
		if len(found) != 1 || found[0].Hash != tx.TransactionHash || *found[0].Nonce != tx.Nonce.Int().Uint64() {
			r.note("%s took effect %d times: %s; its record says %s with nonce %s", tx.ID, len(found), fmt.Sprint(found), tx.TransactionHash, tx.Nonce.Int())
		}
	}
	require.Empty(r.t, slices.Sorted(maps.Keys(effects)), "on the ledger, and nobody sent it")
}
