//go:build e2e && fabric

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/fabricledger"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// endWithin is how long a request may take to its end, on a machine that does much else.
const endWithin = 2 * time.Minute

// fabricRig is a network and what is needed to look at its ledger past Pyralis.
type fabricRig struct {
	net    *fabricnet.Network
	ledger *fabricledger.Reader
}

// startFabric runs a network for the duration of a test.
func startFabric(t *testing.T, o fabricnet.Options) *fabricnet.Network {
	t.Helper()
	o.Dir, o.Log = filepath.Join(t.TempDir(), "net"), t.Logf
	net, err := fabricnet.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, net.Stop()) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	require.NoError(t, net.Start(ctx))
	return net
}

// fabricEnv is the configuration of a node on a network.
func fabricEnv(net *fabricnet.Network, more ...string) []string {
	return append([]string{
		"PYRALIS_CONNECTOR=fabric",
		"PYRALIS_FABRIC_PROFILE=" + net.Profile(), "PYRALIS_FABRIC_WALLET=" + net.Wallet(), "PYRALIS_FABRIC_MSPID=Org1MSP",
		"PYRALIS_FABRIC_CHANNELS=ch1", "PYRALIS_FABRIC_IDENTITY=user1",
	}, more...)
}

func newFabricRig(t *testing.T, o fabricnet.Options) *fabricRig {
	t.Helper()
	net := startFabric(t, o)
	ledger, err := fabricledger.Open(net.Profile(), net.Wallet(), "user1")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ledger.Close()) })
	return &fabricRig{net, ledger}
}

// env is the configuration of a node on the network, with little patience.
func (r *fabricRig) env(more ...string) []string {
	return append(fabricEnv(r.net, "PYRALIS_POLICIES_FABRIC_RESUBMITINTERVAL=1s", "PYRALIS_LOG_LEVEL=info"), more...)
}

// byArgument are the transactions on the ledger by the texts among their arguments, in their order. It is how a test knows its own.
func (r *fabricRig) byArgument(t *testing.T) map[string][]*fabricledger.Tx {
	t.Helper()
	all, err := r.ledger.Transactions(t.Context(), fabricnet.Channel)
	require.NoError(t, err)
	by := map[string][]*fabricledger.Tx{}
	for _, tx := range all {
		for _, arg := range tx.Args {
			by[arg] = append(by[arg], tx)
		}
	}
	return by
}

// update is the request to write a value into an asset. Each attempt that is endorsed after another one was committed would be
// valid, so that nothing but Pyralis keeps it from happening twice.
func update(id, asset string) *client.Invocation {
	return &client.Invocation{ID: id, From: "user1", To: "ch1/assets", Method: "update", Params: []any{asset, id}}
}

// persist submits a request as a client with an idempotency key does: again, until there is an answer.
func persist(t *testing.T, c *client.Client, i *client.Invocation) {
	t.Helper()
	var last error
	require.Eventually(t, func() bool {
		_, _, last = c.Submit(t.Context(), i)
		return last == nil || refusedForGood(last)
	}, endWithin, 50*time.Millisecond)
	require.NoError(t, last, i.ID)
}

// refusedForGood reports whether an error is an answer that a repetition would get again.
func refusedForGood(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests
}

// ended waits for the end of a transaction.
func ended(t *testing.T, c *client.Client, id string) *apitypes.TransactionWithStatus {
	t.Helper()
	var tx *apitypes.TransactionWithStatus
	require.Eventually(t, func() bool {
		var err error
		tx, err = c.Transaction(t.Context(), id, true)
		return err == nil && tx.Status != "Pending"
	}, endWithin, 20*time.Millisecond, "%s has not ended", id)
	return tx
}

// crash is one way to die: at first, after posts of rivals, and then while that is repaired.
type crash struct {
	first  faultpoint.Point // at which the process dies
	rivals int              // requests that are posted at once
	second faultpoint.Point // at which the next process dies, which has nothing to do but to go on; "" for none
}

// crashes is a way to die at each point, and once more at each that is passed by who repairs a send of which nobody knows what became.
func crashes(points []faultpoint.Point) []crash {
	var all []crash
	for i, p := range points {
		switch p {
		case faultpoint.BeforeAfresh, faultpoint.AfterAfresh: // somebody has to lose a race
			all = append(all, crash{first: p, rivals: 2})
			continue
		case faultpoint.AfterLook: // something has to be open
		default:
			all = append(all, crash{first: p, rivals: 1})
		}
		claimed := p == faultpoint.BeforeClaim || p == faultpoint.AfterClaim
		if i >= slices.Index(points, faultpoint.WorkerTook) && !claimed {
			all = append(all, crash{first: faultpoint.AfterClaim, rivals: 1, second: p})
		}
	}
	return all
}

// TestFabricFaultPoints kills the process at every point between the request and its end. The client repeats what got no answer. Each request
// comes to its end, and is on the ledger once.
func TestFabricFaultPoints(t *testing.T) {
	points := server.FaultPoints(t)
	require.Equal(t, faultpoint.Points(), points)
	t.Logf("%d points: %s", len(points), points)
	rig := newFabricRig(t, fabricnet.Options{})
	for mode, storage := range map[string][]string{
		"accept": {"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()},
		"submit": {"PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL=" + server.NewDatabase(t)},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := &faultRun{fabricRig: rig, t: t, asset: mode, died: map[faultpoint.Point]int{}}
			r.p = server.NewFaulty(t, rig.env(append(storage, "PYRALIS_FABRIC_ENDORSEAT="+mode)...), "run")
			r.run(crashes(points))
			for _, p := range points {
				require.Positive(t, r.died[p], "%s was never visited", p)
			}
		})
	}
}

// faultRun is a server that dies again and again, on one store.
type faultRun struct {
	*fabricRig
	t     *testing.T
	p     *server.Process
	asset string // that all requests write to
	ids   []string
	died  map[faultpoint.Point]int
}

func (r *faultRun) run(crashes []crash) {
	t := r.t
	c := client.New(r.p.URL)
	defer c.Close()
	r.p.Start()
	create := &client.Invocation{ID: r.asset, From: "user1", To: "ch1/assets", Method: "create", Params: []any{r.asset, 0}}
	persist(t, c, create)
	require.Equal(t, "Succeeded", ended(t, c, create.ID).Status)
	r.p.Kill()

	for n, crash := range crashes {
		posted := r.die(c, n, crash)
		r.p.KillAt("")
		r.p.Start()
		for _, id := range posted {
			persist(t, c, update(id, r.asset))
		}
		for _, id := range posted {
			tx := ended(t, c, id)
			require.Equal(t, "Succeeded", tx.Status, "%s: %s", id, tx.ErrorMessage)
		}
		r.p.Kill() // all is at its end: nothing is left to be repaired
	}
	r.requireOnce()
}

// die has the process die as the crash says, and returns the ids that were posted.
func (r *faultRun) die(c *client.Client, n int, crash crash) (posted []string) {
	r.p.KillAt(crash.first)
	r.p.Start()
	for alive := true; alive; { // rivals need not meet at once
		rivals := make([]*client.Invocation, crash.rivals)
		for i := range rivals {
			id := fmt.Sprintf("%s-%02d-%s-%d", r.asset, n, crash.first, len(posted))
			posted = append(posted, id)
			rivals[i] = update(id, r.asset)
		}
		alive = r.post(c, rivals)
	}
	r.ids = append(r.ids, posted...)
	r.p.DiesAt(crash.first)
	r.died[crash.first]++
	if crash.second != "" {
		r.p.KillAt(crash.second)
		r.p.Launch()
		r.p.DiesAt(crash.second)
		r.died[crash.second]++
	}
	return posted
}

// post posts requests, and reports whether the process lives to see the end of all.
func (r *faultRun) post(c *client.Client, rivals []*client.Invocation) (alive bool) {
	var err error
	if len(rivals) == 1 {
		_, _, err = c.Submit(r.t.Context(), rivals[0])
	} else {
		_, err = c.SubmitBatch(r.t.Context(), rivals)
	}
	for _, rival := range rivals {
		require.Eventually(r.t, func() bool {
			var tx *apitypes.TransactionWithStatus
			if err == nil {
				tx, err = c.Transaction(r.t.Context(), rival.ID, false)
			}
			return err != nil || tx.Status != "Pending"
		}, endWithin, 10*time.Millisecond, "%s has not ended, and the process lives", rival.ID)
	}
	return err == nil
}

// requireOnce checks against the ledger that each request changed it once.
func (r *faultRun) requireOnce() {
	copies := r.byArgument(r.t)
	for _, id := range r.ids {
		valid := 0
		for _, tx := range copies[id] {
			if tx.Valid() {
				valid++
			}
		}
		require.Equal(r.t, 1, valid, "%s is on the ledger as %v", id, copies[id])
	}
}
