//go:build fabric

package fabric_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// TestFabricBusyPeers fills the places that peers have for calls, one in each service, and asks for more.
func TestFabricBusyPeers(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{
		Orgs: 2, BatchTimeout: 50 * time.Millisecond, Limits: fabricnet.Limits{Gateway: 1, Endorser: 1, Deliver: 1},
	})
	c := open(t, n)
	sub := submission(t, c, request("user1", "create", `"a"`, `1`))
	busyGateway(t, n, c, sub)
	require.True(t, commit(t, c, sub).Success, "it was not sent, and can be")
	busyDeliver(t, n, c)
}

// occupy keeps calling until the test or stop ends it.
func occupy(t *testing.T, call func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil { // another one may be faster
			call(ctx)
		}
	})
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

func limited(err error) bool { return ffcapi.KindOf(err) == ffcapi.RateLimited }

// busyGateway has a call of a chaincode take the place in the gateway of the first peer, and the place of the second one's endorser.
func busyGateway(t *testing.T, n *fabricnet.Network, c *fabric.Connector, sub *ffcapi.Submission) {
	t.Helper()
	ctx := t.Context()
	other := openWith(t, n, func(cfg *fabric.Config) { cfg.MSPID, cfg.Identity = "Org2MSP", "user2" })
	holder := openWith(t, n, func(cfg *fabric.Config) { cfg.Timeouts.Evaluate = time.Minute })
	slow := request("", "sleep", `"40000"`)
	slow.Options = json.RawMessage(`{"endorsingOrganizations":["Org2MSP"]}`)
	stop := occupy(t, func(ctx context.Context) { _, _ = holder.Query(ctx, slow) })
	require.Eventually(t, func() bool {
		_, gateway := c.Query(ctx, request("", "ping"))
		_, endorser := other.Ledger(ctx, "ch1")
		return limited(gateway) && limited(endorser)
	}, 20*time.Second, 50*time.Millisecond)

	_, err := c.Prepare(ctx, request("user1", "create", `"b"`, `1`))
	require.Positive(t, requireError(t, err, ffcapi.RateLimited).RetryAfter)
	require.ErrorContains(t, err, "too many requests for /gateway.Gateway, exceeding concurrency limit (1)")
	_, err = c.Submit(ctx, sub)
	e := requireError(t, err, ffcapi.RateLimited)
	require.Equal(t, ffcapi.SentNo, e.Sent, "the peer has not looked at it: %v", err)
	require.Equal(t, sub.Prepared.Hash, e.Hash)
	_, err = other.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: sub.Prepared.Hash})
	require.Positive(t, requireError(t, err, ffcapi.RateLimited).RetryAfter)
	require.ErrorContains(t, err, "too many requests for /protos.Endorser, exceeding concurrency limit (1)")
	_, err = c.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: sub.Prepared.Hash})
	requireError(t, err, ffcapi.NotFound) // this peer has room for it

	stop() // the gateway forgets the call, and the endorser goes on until the chaincode answers
	require.Eventually(t, func() bool {
		_, err = c.Prepare(ctx, request("user1", "create", `"b"`, `1`))
		e = ffcapi.AsError(err)
		return e != nil && len(e.Peers) > 0 && e.Peers[0].MSP != ""
	}, 10*time.Second, 10*time.Millisecond, "the gateway's own limit is not reached any more")
	requireError(t, err, ffcapi.RateLimited)
	require.Equal(t, "Org2MSP", e.Peers[0].MSP)
	require.NoError(t, n.KillNode(fabricnet.NodeChaincode))
	require.NoError(t, n.StartNode(ctx, fabricnet.NodeChaincode))
	require.NoError(t, n.WaitReady(ctx))
}

// busyDeliver has a block stream take the place for them.
func busyDeliver(t *testing.T, n *fabricnet.Network, c *fabric.Connector) {
	t.Helper()
	l, err := c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	follower, other := open(t, n), open(t, n)
	stop := occupy(t, func(ctx context.Context) {
		for _, err := range follower.Blocks(ctx, "ch1", l.Head) {
			if err != nil {
				return
			}
		}
	})
	require.Eventually(t, func() bool {
		_, err = other.Block(t.Context(), "ch1", 1)
		return limited(err)
	}, 20*time.Second, 50*time.Millisecond)
	require.ErrorContains(t, err, "too many requests for /protos.Deliver, exceeding concurrency limit (1)")
	stop() // the stream stays open for a while: he may come back
	require.Eventually(t, func() bool {
		_, err = other.Block(t.Context(), "ch1", 1)
		return err == nil
	}, time.Minute, 50*time.Millisecond)
}
