//go:build fabric

package fabric_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

func openWith(t *testing.T, n *fabricnet.Network, change func(*fabric.Config)) *fabric.Connector {
	t.Helper()
	cfg := fabric.Config{
		Profile: n.Profile(), MSPID: "Org1MSP", Channels: []string{fabricnet.Channel}, Wallet: n.Wallet(), Identity: "user1",
	}
	change(&cfg)
	c, err := fabric.New(t.Context(), cfg, fabric.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func endorseAtSubmit(cfg *fabric.Config) { cfg.EndorseAt = fabric.EndorseAtSubmit }

// TestFabricSubmission is what becomes of transactions when something is in their way, in both ways to endorse.
func TestFabricSubmission(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{BatchTimeout: 100 * time.Millisecond})
	lateEndorsement(t, n)
	transientData(t, n)
	phantom(t, n)
	privateConflict(t, n)
	chaincodeTrouble(t, n)
}

func lateEndorsement(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	c, ctx := openWith(t, n, endorseAtSubmit), t.Context()
	require.NoError(t, n.KillNode(fabricnet.NodePeer1))
	sub := submission(t, c, request("user1", "create", `"late"`, `1`))
	require.NotEmpty(t, sub.Prepared.Hash)
	_, err := c.Submit(ctx, sub)
	e := requireError(t, err, ffcapi.Unavailable)
	require.Equal(t, ffcapi.SentNo, e.Sent)
	require.NoError(t, n.StartNode(ctx, fabricnet.NodePeer1))
	require.NoError(t, n.WaitReady(ctx))

	require.True(t, commit(t, c, sub).Success)
	for range 2 { // whatever the chaincode would say to it: it is on the ledger
		_, err = c.Submit(ctx, sub)
		e = requireError(t, err, ffcapi.KnownTransaction)
		require.Equal(t, ffcapi.SentYes, e.Sent)
		require.Equal(t, sub.Prepared.Hash, e.Hash)
	}
	rival := submission(t, c, request("user1", "create", `"late"`, `2`))
	_, err = c.Submit(ctx, rival)
	e = requireError(t, err, ffcapi.Reverted)
	require.Equal(t, "asset late already exists", e.Message)
	require.Equal(t, ffcapi.SentNo, e.Sent)
	require.Equal(t, "Org1MSP", e.Peers[0].MSP)
}

func transientData(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	const hush = "tell-nobody-7d1f"
	for _, endorseAt := range []string{fabric.EndorseAtAccept, fabric.EndorseAtSubmit} {
		c := openWith(t, n, func(cfg *fabric.Config) { cfg.EndorseAt = endorseAt })
		r := request("user1", "putTransient", quote("transient-"+endorseAt), `"secret"`)
		r.Options = json.RawMessage(`{"transient":{"secret":"` + hush + `"}}`)
		sub := submission(t, c, r)
		require.True(t, sub.Prepared.Sensitive)
		require.True(t, commit(t, c, sub).Success, "the chaincode got it")
		if endorseAt == fabric.EndorseAtAccept {
			require.NotContains(t, string(sub.Prepared.Payload), hush, "an envelope has none")
		}
	}
}

// phantom: a key that appears where others were looked for is a conflict, too, and no key tells of it beforehand.
func phantom(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	c := open(t, n)
	tally := func() *ffcapi.Submission { return submission(t, c, request("user1", "tally", `"total"`)) }
	late := tally()
	require.Empty(t, late.Prepared.ConflictKeys)
	create(t, c, "phantom")
	r := commit(t, c, late)
	require.False(t, r.Success)
	require.Equal(t, "PHANTOM_READ_CONFLICT", r.Reason)
	require.True(t, r.Retryable)
	require.True(t, commit(t, c, tally()).Success)
}

// privateConflict: writers of one key of private data are known to be in each other's way.
func privateConflict(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	c := open(t, n)
	incr := func(key string) *ffcapi.Submission {
		return submission(t, c, request("user1", "incrPrivate", `"_implicit_org_Org1MSP"`, quote(key)))
	}
	first, second, other := incr("a"), incr("a"), incr("b")
	require.Len(t, first.Prepared.ConflictKeys, 1)
	require.Equal(t, first.Prepared.ConflictKeys, second.Prepared.ConflictKeys)
	require.NotEqual(t, first.Prepared.ConflictKeys, other.Prepared.ConflictKeys)
	require.True(t, commit(t, c, first).Success)
	r := commit(t, c, second)
	require.Equal(t, "MVCC_READ_CONFLICT", r.Reason)
	require.True(t, r.Retryable)
	require.True(t, commit(t, c, other).Success)
}

func chaincodeTrouble(t *testing.T, n *fabricnet.Network) {
	t.Helper()
	c, ctx := openWith(t, n, func(cfg *fabric.Config) {
		cfg.Timeouts.Endorse, cfg.Timeouts.Evaluate = 2*time.Second, 2*time.Second
	}), t.Context()
	const late = `^chaincode ch1/assets: .*(no answer in time|timeout expired)` // the peer knows the deadline, and may be the first to say so
	_, err := c.Prepare(ctx, request("user1", "sleep", `"15000"`))
	require.Regexp(t, late, requireError(t, err, ffcapi.Timeout).Message)
	_, err = c.Query(ctx, request("", "sleep", `"15000"`))
	require.Regexp(t, late, requireError(t, err, ffcapi.Timeout).Message)

	patient := open(t, n)
	_, err = patient.Prepare(ctx, request("user1", "panic"))
	e := requireError(t, err, ffcapi.Unavailable)
	require.NotEmpty(t, e.Peers, "%v", err)
	require.NoError(t, n.KillNode(fabricnet.NodeChaincode)) // what is left of it
	require.NoError(t, n.StartNode(ctx, fabricnet.NodeChaincode))
	require.NoError(t, n.WaitReady(ctx))
	_, err = patient.Prepare(ctx, request("user1", "create", `"after"`, `1`))
	require.NoError(t, err)

	for _, org := range []string{"Org9MSP", "Org2MSP"} {
		r := request("user1", "create", `"x"`, `1`)
		r.Options = json.RawMessage(`{"endorsingOrganizations":["` + org + `"]}`)
		_, err = patient.Prepare(ctx, r)
		require.ErrorContains(t, requireError(t, err, ffcapi.Unavailable), org)
	}
	init := request("user1", "list")
	init.Options = json.RawMessage(`{"init":true}`)
	_, err = patient.Prepare(ctx, init)
	require.ErrorContains(t, requireError(t, err, ffcapi.InvalidInput), "does not require initialization")
}
