//go:build chaos && fabric

package chaos

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/fabricledger"
)

// check holds what the node says against the ledger, which is read past it.
func (r *fabricRun) check() {
	require.Eventually(r.t, func() bool {
		n, err := r.c.CountTransactions(r.t.Context(), apitypes.TransactionFilter{Pending: true})
		return err == nil && n == 0
	}, 5*time.Minute, 100*time.Millisecond, "transactions do not end")
	commits := r.commits()
	byRequest := map[string][]string{}
	for _, c := range commits {
		byRequest[c.request] = append(byRequest[c.request], c.txHash)
	}
	require.Eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.arrived) >= len(commits)
	}, 2*time.Minute, 100*time.Millisecond, "events are missing")

	r.mu.Lock()
	accepted, arrived := slices.Clone(r.accepted), slices.Clone(r.arrived)
	r.mu.Unlock()
	slices.Sort(accepted)
	require.Equal(r.t, accepted, slices.Compact(slices.Clone(accepted)))
	for _, id := range accepted {
		tx, err := r.c.Transaction(r.t.Context(), id, false)
		require.NoError(r.t, err)
		if got := byRequest[id]; tx.Status != "Succeeded" || len(got) != 1 || got[0] != tx.TransactionHash {
			r.note("%s is %s with the hash %s, and was committed %d times: %v: %s", id, tx.Status, tx.TransactionHash, len(got), got, tx.ErrorMessage)
		}
		delete(byRequest, id)
	}
	for id := range byRequest {
		r.note("%s is on the ledger, and was never accepted", id)
	}
	ids := map[string]bool{}
	for i, a := range arrived {
		if ids[a.eventID] {
			r.note("%s came twice", a.eventID)
		}
		ids[a.eventID] = true
		if i >= len(commits) || commits[i].request != a.request || commits[i].txHash != a.txHash {
			r.note("the event number %d is of %s in %s, which is not what the ledger has there", i, a.request, a.txHash)
			break
		}
	}
	r.t.Logf("%d requests, each committed once; %d events in the order of the ledger", len(accepted), len(arrived))
}

// commit is a valid transaction of the load.
type commit struct{ request, txHash string }

// commits reads the ledger.
func (r *fabricRun) commits() (all []commit) {
	ledger, err := fabricledger.Open(r.net.Profile(), r.net.Wallet(), "user1")
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, ledger.Close()) }()
	txs, err := ledger.Transactions(r.t.Context(), fabricnet.Channel)
	require.NoError(r.t, err)
	for _, tx := range txs {
		if !tx.Valid() || tx.Event != fabricEvent {
			continue
		}
		var data struct{ Request string }
		require.NoError(r.t, json.Unmarshal(tx.Payload, &data))
		all = append(all, commit{data.Request, tx.ID})
	}
	return all
}
