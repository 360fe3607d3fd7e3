//go:build e2e && fabric

package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/fabricledger"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// An endorsed envelope never expires. These tests hold the first attempt of a transaction back just before its bytes leave, do everything that might
// make it look lost, and then let it go: it has no effect beside that of another attempt, and none after it.

// TestFabricHeldAttemptIsNotReplaced: while a send is under way, whatever its time-outs say, nothing else is made of the transaction.
func TestFabricHeldAttemptIsNotReplaced(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	p := server.NewFaulty(t, rig.env("PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_FABRIC_TIMEOUTS_SUBMIT=100ms"), "run")
	held, release := p.HoldAt(faultpoint.FabricBeforeSubmit)
	p.Start()
	c := client.New(p.URL)
	defer c.Close()
	persist(t, c, put("held", "slow"))
	require.Eventually(t, held, endWithin, 10*time.Millisecond)
	server.Pause(t, time.Second) // the time of the call is over
	requireMayBeOut(t, c, "held")
	release()
	tx := ended(t, c, "held")
	require.Equal(t, "Succeeded", tx.Status, tx.ErrorMessage)
	require.Equal(t, 1, tx.Attempt)
	requireOneEffect(t, rig.byArgument(t)["held"], tx.TransactionHash)
}

// TestFabricHeldOwner: the process that holds the attempt back loses the store to another one.
func TestFabricHeldOwner(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	t.Run("Resent", func(t *testing.T) {
		// The new owner sends the very same bytes. Those of the old one come when somebody else has written the key since, and change nothing.
		o := takeover(t, rig, "resent", put("resent", "state"), nil)
		require.Equal(t, 1, o.tx.Attempt, "another attempt was made while the fate of the first one was open")
		require.NoError(t, rig.net.Invoke(t.Context(), "put", "state", "newer"))
		o.release()
		copies := rig.byArgument(t)["resent"]
		requireOneEffect(t, copies, o.tx.TransactionHash)
		requireLate(t, copies)
		requireLast(t, rig, "state", "newer")
	})
	t.Run("Replaced", func(t *testing.T) {
		// The first attempt is in a block as failed, and a second one is final, before the old owner sends the first one.
		require.NoError(t, rig.net.Invoke(t.Context(), "create", "asset", "0"))
		o := takeover(t, rig, "replaced", update("replaced", "asset"), func() {
			require.NoError(t, rig.net.Invoke(t.Context(), "update", "asset", "1"))
		})
		require.Equal(t, 2, o.tx.Attempt)
		o.release()
		copies := rig.byArgument(t)["replaced"]
		require.Equal(t, "MVCC_READ_CONFLICT", copies[0].Code.String())
		require.NotEqual(t, o.tx.TransactionHash, copies[0].ID)
		requireOneEffect(t, copies, o.tx.TransactionHash)
		requireLate(t, copies)
	})
	t.Run("Noticed", func(t *testing.T) {
		// An owner that knows that it lost the store sends nothing at all.
		env := rig.env("PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+server.NewDatabase(t))
		p := server.NewFaulty(t, env, "run")
		held, release := p.HoldAt(faultpoint.BeforeSubmit)
		p.Start()
		c := client.New(p.URL)
		defer c.Close()
		persist(t, c, put("noticed", "state"))
		require.Eventually(t, held, endWithin, 10*time.Millisecond)
		loseLock(t, env)
		require.Eventually(t, func() bool { return strings.Contains(p.Log(), "nothing more is sent") }, endWithin, 10*time.Millisecond)
		release()
		require.Equal(t, 1, p.Ends(), "killed, or a success")
		require.NoError(t, rig.net.Invoke(t.Context(), "put", "after", "any")) // whatever was sent is in a block before
		require.Empty(t, rig.byArgument(t)["noticed"], "it was sent nevertheless")
	})
}

// put is the request to write a key without reading it: nothing on the ledger would keep it from happening twice.
func put(id, key string) *client.Invocation {
	return &client.Invocation{ID: id, From: "user1", To: "ch1/assets", Method: "put", Params: []any{key, id}}
}

// owners is a takeover: what became of the transaction in the hands of the new owner.
type owners struct {
	tx      *apitypes.TransactionWithStatus
	release func() // lets the old owner wake up and go on with its send, and returns when it has ended
}

// takeover has one process hold the first send of a request and stop altogether, and another one bring the transaction to its end. between
// is done before that one sends anything.
func takeover(t *testing.T, rig *fabricRig, id string, i *client.Invocation, between func()) owners {
	t.Helper()
	env := rig.env("PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+server.NewDatabase(t))
	before, after := server.NewFaulty(t, env, "run"), server.NewFaulty(t, env, "run")

	held, release := before.HoldAt(faultpoint.BeforeSubmit)
	before.Start()
	c := client.New(before.URL)
	defer c.Close()
	persist(t, c, i)
	require.Eventually(t, held, endWithin, 10*time.Millisecond)
	before.Signal(syscall.SIGSTOP)
	loseLock(t, env)

	again, resend := after.HoldAt(faultpoint.BeforeSubmit)
	after.Start()
	c = client.New(after.URL)
	defer c.Close()
	require.Eventually(t, again, endWithin, 10*time.Millisecond)
	requireMayBeOut(t, c, id)
	if between != nil {
		between()
	}
	resend()
	tx := ended(t, c, id)
	require.Equal(t, "Succeeded", tx.Status, tx.ErrorMessage)
	return owners{tx, func() {
		t.Helper()
		release() // so that it goes on with its send the moment it wakes
		before.Signal(syscall.SIGCONT)
		require.Equal(t, 1, before.Ends(), "killed, or a success")
		first := rig.byArgument(t)[id][0]
		for range 2 { // should it have been too slow for that
			require.NoError(t, rig.ledger.Send(t.Context(), fabricnet.Channel, first))
		}
		require.NoError(t, rig.net.Invoke(t.Context(), "put", "after", "any")) // whatever was sent is in a block before
		again, err := c.Transaction(t.Context(), id, false)
		require.NoError(t, err)
		require.Equal(t, tx.TransactionHash, again.TransactionHash)
		require.Equal(t, tx.Receipt, again.Receipt, "it changed after its end")
	}}
}

// loseLock ends the connection that owns a store, as a server or a network does that goes away for a moment.
func loseLock(t *testing.T, env []string) {
	t.Helper()
	var url string
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PYRALIS_STORE_POSTGRES_URL="); ok {
			url = value
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
}

// requireMayBeOut checks that nobody can make anything else of a transaction whose fate is open.
func requireMayBeOut(t *testing.T, c *client.Client, id string) {
	t.Helper()
	_, err := c.CancelTransaction(t.Context(), id)
	require.True(t, client.IsConflict(err), "%v", err)
	to := "ch1/assets"
	_, err = c.UpdateTransaction(t.Context(), id, &apitypes.TransactionUpdate{To: &to})
	require.True(t, client.IsConflict(err), "%v", err)
	tx, err := c.Transaction(t.Context(), id, false)
	require.NoError(t, err)
	require.Equal(t, "Pending", tx.Status)
	require.Equal(t, 1, tx.Attempt)
}

// requireLate checks that the ledger has what was sent too late, and marked it.
func requireLate(t *testing.T, copies []*fabricledger.Tx) {
	t.Helper()
	late := slices.DeleteFunc(slices.Clone(copies), func(tx *fabricledger.Tx) bool { return tx.ID != copies[0].ID })[1:]
	require.GreaterOrEqual(t, len(late), 2)
	for _, tx := range late {
		require.Equal(t, "DUPLICATE_TXID", tx.Code.String())
	}
}

// requireOneEffect checks that exactly one of the copies of a request on the ledger is valid, and is the one that the record names.
func requireOneEffect(t *testing.T, copies []*fabricledger.Tx, hash string) {
	t.Helper()
	var valid []string
	for _, tx := range copies {
		t.Log(tx)
		if tx.Valid() {
			valid = append(valid, tx.ID)
		}
	}
	require.Equal(t, []string{hash}, valid)
}

// requireLast checks that the last valid write of a key is this one.
func requireLast(t *testing.T, rig *fabricRig, key, value string) {
	t.Helper()
	var last *fabricledger.Tx
	for _, tx := range rig.byArgument(t)[key] {
		if tx.Valid() {
			last = tx
		}
	}
	require.NotNil(t, last)
	require.Equal(t, []string{key, value}, last.Args)
}
