//go:build e2e && fabric

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// TestFabricRefusedAfterACrash: with late endorsement a chaincode refuses after the request was accepted, and its mind may change while the
// process is down. The request comes to its end all the same, with the chaincode's words.
func TestFabricRefusedAfterACrash(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	p := server.NewFaulty(t, rig.env("PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_FABRIC_ENDORSEAT=submit"), "run")
	c := client.New(p.URL)
	defer c.Close()
	for _, point := range []faultpoint.Point{faultpoint.WorkerTook, faultpoint.BeforeClaim, faultpoint.AfterClaim, faultpoint.FabricBeforeSubmit} {
		id := "late-" + string(point)
		create := &client.Invocation{ID: id, From: "user1", To: "ch1/assets", Method: "create", Params: []any{id, "ours"}}
		p.KillAt(point)
		p.Start()
		_, _, _ = c.Submit(t.Context(), create) // whatever the answer is, it may not be one
		p.DiesAt(point)
		require.NoError(t, rig.net.Invoke(t.Context(), "create", id, "theirs"))
		p.KillAt("")
		p.Start()
		tx := ended(t, c, id)
		require.Equal(t, "Failed", tx.Status, point)
		require.Contains(t, tx.ErrorMessage, "already exists", point)
		p.Kill()
	}
	for _, tx := range rig.byArgument(t)["ours"] {
		require.False(t, tx.Valid(), "%s", tx)
	}
}
