//go:build fabric

package fabric_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// submission prepares a transaction.
func submission(t *testing.T, c *fabric.Connector, req *ffcapi.Request) *ffcapi.Submission {
	t.Helper()
	p, err := c.Prepare(t.Context(), req)
	require.NoError(t, err)
	return &ffcapi.Submission{Prepared: p, From: req.From, To: req.To}
}

// commit submits until the transaction is on the chain, as the core would.
func commit(t *testing.T, c *fabric.Connector, sub *ffcapi.Submission) (r *ffcapi.Receipt) {
	t.Helper()
	tick := 0
	require.Eventually(t, func() bool {
		if tick%40 == 0 { // again only after a while: each copy is ordered
			_, _ = c.Submit(t.Context(), sub) // whether it arrived is seen below
		}
		tick++
		got, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: sub.Prepared.Hash, ExtractSigner: true, IncludeLogs: true})
		r = got
		return err == nil
	}, 60*time.Second, 50*time.Millisecond)
	return r
}

func create(t *testing.T, c *fabric.Connector, id string) *ffcapi.Receipt {
	t.Helper()
	return commit(t, c, submission(t, c, request("user1", "create", quote(id), `{"n":1}`)))
}

// requireError checks kind and finality of an error.
func requireError(t *testing.T, err error, kind ffcapi.Kind) *ffcapi.Error {
	t.Helper()
	require.Error(t, err)
	e := ffcapi.AsError(err)
	require.Equal(t, kind, e.Kind, "%v", err)
	return e
}

// TestWhatFabricSays checks the mapping of errors against a real network: the words are Fabric's, and change with it.
func TestWhatFabricSays(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{Orgs: 2})
	c, ctx := open(t, n), t.Context()

	_, err := c.Prepare(ctx, request("user1", "fail", `"on purpose"`))
	e := requireError(t, err, ffcapi.Reverted)
	require.Equal(t, "on purpose", e.Message)
	require.Equal(t, "endorse", e.Stage)
	require.NotEmpty(t, e.Peers)
	require.Equal(t, "Org1MSP", e.Peers[0].MSP)
	require.Contains(t, e.Peers[0].Message, "on purpose")

	_, err = c.Query(ctx, request("", "read", `"nobody"`))
	e = requireError(t, err, ffcapi.NotFound)
	require.Equal(t, "asset nobody not found", e.Message)
	_, err = c.Query(ctx, request("", "fail", `"on purpose"`))
	require.Equal(t, "on purpose", requireError(t, err, ffcapi.Reverted).Message)
	_, err = c.Prepare(ctx, request("user1", "garble"))
	e = requireError(t, err, ffcapi.Reverted)
	require.Contains(t, e.Peers[0].Message, "error in simulation: transaction returned with failure: "+e.Message, "as all chaincodes in JavaScript refuse")
	_, err = c.Query(ctx, request("", "garble"))
	require.NotEmpty(t, requireError(t, err, ffcapi.Reverted).Message)
	_, err = c.Prepare(ctx, request("user1", "fail", `"duplicate transaction found"`))
	require.Equal(t, "duplicate transaction found", requireError(t, err, ffcapi.Reverted).Message, "it is not a peer that says so")
	_, err = c.Prepare(ctx, request("user1", "update", `"nobody"`, `1`))
	requireError(t, err, ffcapi.Reverted)

	ghost := request("user1", "list")
	ghost.To = "ch1/ghost"
	_, err = c.Prepare(ctx, ghost)
	require.True(t, requireError(t, err, ffcapi.NotFound).Kind.Final())
	_, err = c.Query(ctx, ghost)
	requireError(t, err, ffcapi.Unavailable) // the gateway says that no peer has it, which may pass

	one := request("user1", "create", `"for-one"`, `1`)
	one.Options = json.RawMessage(`{"endorsingOrganizations":["Org9MSP"]}`)
	_, err = c.Prepare(ctx, one)
	requireError(t, err, ffcapi.Unavailable)
	one.Options = json.RawMessage(`{"endorsingOrganizations":["Org1MSP"],"transient":{"secret":"s"}}`)
	sub := submission(t, c, one)
	require.True(t, sub.Prepared.Sensitive)
	r := commit(t, c, sub)
	require.False(t, r.Success, "one organisation of two is not enough")
	require.Equal(t, "ENDORSEMENT_POLICY_FAILURE", r.Reason)
	require.False(t, r.Retryable)

	stranger(t, n)
	away(t, n, c)
}

// stranger signs with the certificate of one organisation in the name of the other.
func stranger(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	wallet := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(wallet, "mallory"), os.DirFS(filepath.Join(n.Wallet(), "user2"))))
	require.NoError(t, os.WriteFile(filepath.Join(wallet, "mallory", "mspid"), []byte("Org1MSP"), 0o600))
	c, err := fabric.New(t.Context(), fabric.Config{
		Profile: n.Profile(), MSPID: "Org1MSP", Channels: []string{"ch1"}, Wallet: wallet, Identity: "mallory",
	}, fabric.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	_, err = c.Prepare(t.Context(), request("mallory", "list"))
	requireError(t, err, ffcapi.Unauthorized)
	_, err = c.Query(t.Context(), request("", "list"))
	requireError(t, err, ffcapi.Unauthorized)
	_, err = c.Ledger(t.Context(), "ch1")
	requireError(t, err, ffcapi.Unauthorized)
	for _, err := range c.Blocks(t.Context(), "ch1", ffcapi.BlockRef{}) {
		requireError(t, err, ffcapi.Unauthorized)
	}
	_, err = c.Block(t.Context(), "ch1", 0)
	requireError(t, err, ffcapi.Unauthorized)
}

// away stops one part of the network after the other. Nothing of that is final.
func away(t *testing.T, n *fabricnet.Network, c *fabric.Connector) {
	t.Helper()
	ctx := t.Context()
	back := func(node string) {
		t.Helper()
		require.NoError(t, n.StartNode(ctx, node))
		require.NoError(t, n.WaitReady(ctx))
	}
	sub := submission(t, c, request("user1", "create", `"while-away"`, `1`))

	require.NoError(t, n.KillNode(fabricnet.NodePeer2))
	_, err := c.Prepare(ctx, request("user1", "create", `"x"`, `1`))
	requireError(t, err, ffcapi.Unavailable)
	back(fabricnet.NodePeer2)

	require.NoError(t, n.KillNode(fabricnet.NodeChaincode))
	_, err = c.Prepare(ctx, request("user1", "create", `"x"`, `1`))
	requireError(t, err, ffcapi.Unavailable)
	_, err = c.Query(ctx, request("", "list"))
	requireError(t, err, ffcapi.Unavailable)
	back(fabricnet.NodeChaincode)

	require.NoError(t, n.KillNode(fabricnet.NodeOrderer))
	_, err = c.Submit(ctx, sub)
	e := requireError(t, err, ffcapi.Unavailable)
	require.Equal(t, ffcapi.SentMaybe, e.Sent)
	require.Equal(t, sub.Prepared.Hash, e.Hash)
	back(fabricnet.NodeOrderer)

	require.NoError(t, n.KillNode(fabricnet.NodePeer1))
	_, err = c.Ledger(ctx, "ch1")
	requireError(t, err, ffcapi.Unavailable)
	_, err = c.Submit(ctx, sub)
	e = requireError(t, err, ffcapi.Unavailable)
	require.Equal(t, ffcapi.SentNo, e.Sent, "there is nobody to send to: %v", err)
	back(fabricnet.NodePeer1)
	require.True(t, commit(t, c, sub).Success, "the same bytes are as good as ever")
}

func TestFabricReceipt(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c, ctx := open(t, n), t.Context()
	sub := submission(t, c, request("user1", "create", `"a"`, `{"n":1}`))
	want := `{"id":"a","value":{"n":1},"owner":"Org1MSP/User1@org1.test"}`
	require.JSONEq(t, want, string(sub.Prepared.Result))
	r := commit(t, c, sub)
	require.True(t, r.Success)
	require.JSONEq(t, want, string(r.Result))
	require.JSONEq(t, `{"validationCode":"VALID","signer":"Org1MSP/User1@org1.test"}`, string(r.Extra))
	require.Len(t, r.Logs, 1)
	require.Regexp(t, `^\d{12}/\d{6}$`, r.ProtocolID)

	update := submission(t, c, request("user1", "update", `"a"`, `2`))
	require.Equal(t, []string{"ch1/assets/a"}, update.Prepared.ConflictKeys)
	rival := submission(t, c, request("user1", "update", `"a"`, `3`))
	require.True(t, commit(t, c, update).Success)
	lost := commit(t, c, rival)
	require.False(t, lost.Success)
	require.Equal(t, "MVCC_READ_CONFLICT", lost.Reason)
	require.True(t, lost.Retryable)

	ids, err := c.Identities(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"user1"}, ids)
	details, err := c.Health(ctx)
	require.NoError(t, err)
	require.Contains(t, string(details), `"ch1":`)
}

// follow collects the numbers of blocks until the sequence ends, and checks that each follows the one before.
func follow(ctx context.Context, c *fabric.Connector, after ffcapi.BlockRef, seen chan<- ffcapi.BlockRef) error {
	last := after
	for b, err := range c.Blocks(ctx, "ch1", after) {
		if err != nil {
			return err
		}
		if b.BlockRef == last { // sign of life
			continue
		}
		if b.ParentHash != last.Hash {
			return fmt.Errorf("block %d does not follow block %d", b.Number, last.Number)
		}
		last = b.BlockRef
		select {
		case seen <- last:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// TestFabricPeerDies kills the peer that delivers blocks, and one that says nothing any more, and reads on where the sequence ended.
func TestFabricPeerDies(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c, ctx := open(t, n), t.Context()
	c.SetQuiet(time.Second)
	var last ffcapi.BlockRef
	for i, strike := range []func() error{
		func() error { return n.KillNode(fabricnet.NodePeer1) },
		func() error { return n.StopNode(fabricnet.NodePeer1) },
		func() error { return n.Signal(fabricnet.NodePeer1, syscall.SIGSTOP) },
	} {
		require.Eventually(t, func() bool { // gRPC connects again when it thinks fit
			_, err := c.Ledger(ctx, "ch1")
			return err == nil
		}, time.Minute, 100*time.Millisecond)
		r := create(t, c, fmt.Sprint("asset-", i))
		seen, ended := make(chan ffcapi.BlockRef), make(chan error, 1)
		go func() { ended <- follow(ctx, c, last, seen) }()
		for last.Number < r.Block.Number {
			select {
			case last = <-seen:
			case err := <-ended: // a busy machine can let a peer look silent; as the core does, follow again
				requireError(t, err, ffcapi.Unavailable)
				go func() { ended <- follow(ctx, c, last, seen) }()
			}
		}
		require.Equal(t, r.Block, last)
		require.NoError(t, strike())
		select {
		case err := <-ended:
			requireError(t, err, ffcapi.Unavailable)
		case <-time.After(20 * time.Second):
			require.Fail(t, "nobody noticed that the peer is gone")
		}
		require.NoError(t, n.KillNode(fabricnet.NodePeer1))
		require.NoError(t, n.StartNode(ctx, fabricnet.NodePeer1))
		require.NoError(t, n.WaitReady(ctx))
	}
}

// TestFabricSignOfLife: the head comes again while nothing happens.
func TestFabricSignOfLife(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c := open(t, n)
	c.SetQuiet(250 * time.Millisecond)
	head := create(t, c, "a").Block
	times := 0
	for b, err := range c.Blocks(t.Context(), "ch1", head) {
		require.NoError(t, err)
		require.Equal(t, head, b.BlockRef)
		if times++; times == 3 {
			break
		}
	}
	require.Equal(t, 3, times)
}

// TestFabricAnotherChain asks with the hashes of a chain that is gone.
func TestFabricAnotherChain(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c, ctx := open(t, n), t.Context()
	create(t, c, "a")
	head := create(t, c, "b").Block
	for _, after := range []ffcapi.BlockRef{{Number: head.Number, Hash: "00"}, {Number: head.Number - 1, Hash: "00"}} {
		for b, err := range c.Blocks(ctx, "ch1", after) {
			require.NoError(t, err)
			require.Equal(t, after.Number, b.Number, "the consumer must see that the block is another")
			require.NotEqual(t, after.Hash, b.Hash)
			break
		}
	}
	for _, err := range c.Blocks(ctx, "ch1", ffcapi.BlockRef{Number: head.Number + 5, Hash: "00"}) {
		requireError(t, err, ffcapi.Unavailable)
	}
}
