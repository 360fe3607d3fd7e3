//go:build e2e && fabric

package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// contenders is how many clients want one key.
const contenders = 50

// TestFabricConflicts has many clients change one key at once: with the default policy all succeed, and what was tried can be seen; without
// retries one succeeds in each block, and the record of each of the others says where it lost.
func TestFabricConflicts(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	contest := func(t *testing.T, name string, more ...string) *contest {
		t.Helper()
		p := server.New(t, rig.env(append(more, "PYRALIS_STORE_SQLITE_PATH="+t.TempDir())...), "run")
		p.Start()
		c := &contest{t: t, api: client.New(p.URL), key: name}
		c.post(name+"-create", "create")
		require.Equal(t, "Succeeded", ended(t, c.api, name+"-create").Status)
		return c
	}

	t.Run("at once", func(t *testing.T) { contest(t, "at-once").all(1) })
	t.Run("again and again", func(t *testing.T) { contest(t, "again").all(10) })
	t.Run("endorsed late", func(t *testing.T) { contest(t, "late", "PYRALIS_FABRIC_ENDORSEAT=submit").all(1) })
	t.Run("without retries", func(t *testing.T) {
		contest(t, "off", "PYRALIS_POLICIES_FABRIC_RETRYCONFLICTS=false").losers(func(r *apitypes.Receipt) string {
			return "MVCC_READ_CONFLICT in block " + r.BlockNumber.Int().String()
		})
	})
	t.Run("with the simple policy", func(t *testing.T) {
		contest(t, "simple", "PYRALIS_TRANSACTIONS_POLICY=simple").losers(func(*apitypes.Receipt) string { return "MVCC_READ_CONFLICT" })
	})
}

// TestFabricSameEnvelopeManyTimes: what is in no block for a while is sent again, and has one effect, and the copies change nothing of that.
func TestFabricSameEnvelopeManyTimes(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{BatchTimeout: 5 * time.Second})
	p := server.New(t, rig.env("PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_POLICIES_FABRIC_RESUBMITINTERVAL=200ms"), "run")
	p.Start()
	api := client.New(p.URL)
	defer api.Close()
	persist(t, api, put("often", "state"))
	tx := ended(t, api, "often")
	require.Equal(t, "Succeeded", tx.Status, tx.ErrorMessage)
	require.Equal(t, 1, tx.Attempt)
	copies := rig.byArgument(t)["often"]
	requireOneEffect(t, copies, tx.TransactionHash)
	require.GreaterOrEqual(t, len(copies), 3, "copies on the ledger")

	persist(t, api, put("another", "another")) // its block comes after those of all copies
	require.Equal(t, "Succeeded", ended(t, api, "another").Status)
	again := ended(t, api, "often")
	require.Equal(t, []any{tx.Status, tx.Updated, tx.Receipt}, []any{again.Status, again.Updated, again.Receipt})
	requireOneEffect(t, rig.byArgument(t)["often"], tx.TransactionHash)
}

// contest is one key of the ledger, and a server over which many change it.
type contest struct {
	t   *testing.T
	api *client.Client
	key string
}

func (c *contest) post(id, method string) {
	_, _, err := c.api.Submit(c.t.Context(), &client.Invocation{
		ID: id, From: "user1", To: "ch1/assets", Method: method, Params: []any{c.key, map[string]any{"by": id}},
	})
	require.NoError(c.t, err)
}

// crowd has each client post some transactions, one after the other, and waits for all.
func (c *contest) crowd(each int) []*apitypes.TransactionWithStatus {
	c.t.Helper()
	began := time.Now()
	var posts sync.WaitGroup
	for n := range contenders / each {
		posts.Go(func() {
			for i := range each {
				c.post(fmt.Sprintf("%s-%d-%d", c.key, n, i), "update")
				if i < each-1 {
					server.Pause(c.t, 200*time.Millisecond)
				}
			}
		})
	}
	posts.Wait()
	var txs []*apitypes.TransactionWithStatus
	attempts, lost, most := 0, 0, 0
	for n := range contenders / each {
		for i := range each {
			tx := ended(c.t, c.api, fmt.Sprintf("%s-%d-%d", c.key, n, i))
			attempts += tx.Attempt
			most = max(most, tx.Attempt)
			for _, a := range tx.Attempts {
				if a.Receipt != nil && !a.Receipt.Success {
					lost++
				}
			}
			txs = append(txs, tx)
		}
	}
	c.t.Logf("%d transactions on one key: %v, %d attempts, of one %d at most, of which %d lost",
		len(txs), time.Since(began).Round(time.Millisecond), attempts, most, lost)
	return txs
}

// all has all succeed, with what was tried on record.
func (c *contest) all(each int) {
	c.t.Helper()
	again := 0
	for _, tx := range c.crowd(each) {
		require.Equal(c.t, "Succeeded", tx.Status, "%s: %s", tx.ID, tx.ErrorMessage)
		if tx.Attempt == 1 {
			continue
		}
		again++
		require.Len(c.t, tx.Attempts, tx.Attempt)
		for i, a := range tx.Attempts {
			last := i == len(tx.Attempts)-1
			require.Equal(c.t, i+1, a.Number)
			switch {
			case a.Submits == 0:
				require.False(c.t, last)
				require.Equal(c.t, "replaced before anything left", a.ErrorMessage)
			case last:
				require.True(c.t, a.Receipt.Success)
			default:
				require.Equal(c.t, "MVCC_READ_CONFLICT", a.Receipt.Reason)
			}
		}
	}
	require.Positive(c.t, again, "nobody was in anybody's way")
}

// losers has some fail, with the reason and the block on record.
func (c *contest) losers(words func(*apitypes.Receipt) string) {
	c.t.Helper()
	failed := 0
	for _, tx := range c.crowd(1) {
		require.Equal(c.t, 1, tx.Attempt)
		if tx.Status == "Succeeded" {
			continue
		}
		failed++
		require.NotNil(c.t, tx.Receipt)
		require.False(c.t, tx.Receipt.Success)
		require.Equal(c.t, "MVCC_READ_CONFLICT", tx.Receipt.Reason)
		require.Positive(c.t, tx.Receipt.BlockNumber.Int().Sign())
		require.Equal(c.t, words(tx.Receipt), tx.ErrorMessage)
	}
	require.Positive(c.t, failed, "nobody was in anybody's way")
}
