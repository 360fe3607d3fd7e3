//go:build fabric

package fabric_test

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// followed reads blocks as the core does, again and again from the last one, and sends their numbers. A gap ends it.
func followed(ctx context.Context, t *testing.T, c *fabric.Connector) <-chan *ffcapi.Block {
	t.Helper()
	l, err := c.Ledger(ctx, "ch1")
	require.NoError(t, err)
	out := make(chan *ffcapi.Block, 1000)
	last := l.Head
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			for b, err := range c.Blocks(ctx, "ch1", last) {
				if err != nil {
					break
				}
				if b.BlockRef == last { // the head once more, as a sign of life
					continue
				}
				if b.Number != last.Number+1 || b.ParentHash != last.Hash {
					return
				}
				last = b.BlockRef
				out <- b
			}
		}
	}()
	return out
}

type shownPeers struct {
	Peers []struct{ Name, State, Error string }
}

// TestFabricFailover takes the peer that is asked away in every manner there is, and measures how long clients notice.
func TestFabricFailover(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{PeersPerOrg: 2, Proxy: true, BatchTimeout: 50 * time.Millisecond})
	c, err := fabric.New(t.Context(), fabric.Config{
		Profile: n.Profile(), MSPID: "Org1MSP", Channels: []string{fabricnet.Channel}, Wallet: n.Wallet(), Identity: "user1",
		Backoff: fabric.Backoff{Initial: 50 * time.Millisecond, Max: time.Second},
	}, fabric.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	blocks := followed(ctx, t, c)
	health := func() (out shownPeers) {
		details, err := c.Health(t.Context())
		if err != nil || json.Unmarshal(details, &out) != nil {
			return shownPeers{}
		}
		return out
	}
	// done submits a transaction and waits until it is seen in a block.
	done := func(id string) {
		t.Helper()
		sub := submission(t, c, request("user1", "create", quote(id), `{"n":1}`))
		resend := time.NewTicker(2 * time.Second)
		defer resend.Stop()
		end := time.After(time.Minute)
		_, _ = c.Submit(t.Context(), sub) // what became of it is seen below
		for {
			select {
			case b, ok := <-blocks:
				require.True(t, ok, "a gap between blocks")
				for _, tx := range b.Transactions {
					if tx.Hash == sub.Prepared.Hash {
						require.True(t, tx.Success, tx.Reason)
						return
					}
				}
			case <-resend.C:
				_, _ = c.Submit(t.Context(), sub)
			case <-end:
				require.Fail(t, "not committed", id)
			}
		}
	}
	done("first")
	for i, way := range []struct {
		name        string
		away, again func(node string) error
	}{
		{"killed", n.KillNode, func(node string) error { return n.StartNode(t.Context(), node) }},
		{"stopped", func(node string) error { return n.Signal(node, syscall.SIGSTOP) }, func(node string) error { return n.Signal(node, syscall.SIGCONT) }},
		{"silenced", n.Silence, n.Heal},
		{"cut", n.Cut, n.Heal},
	} {
		var serving string
		require.Eventually(t, func() bool {
			up := 0
			for _, p := range health().Peers {
				if p.State == "current" {
					serving = p.Name
				}
				if p.Error == "" {
					up++
				}
			}
			return up == 2
		}, 2*time.Minute, 100*time.Millisecond, "both peers are well")
		node := map[string]string{"peer0.org1.test": fabricnet.PeerNode(1, 0), "peer1.org1.test": fabricnet.PeerNode(1, 1)}[serving]
		require.NotEmpty(t, node, serving)
		begin := time.Now()
		require.NoError(t, way.away(node))
		done(fmt.Sprint("during-", i))
		t.Logf("%s was %s: the next transaction was in a block after %v", node, way.name, time.Since(begin).Round(time.Millisecond))
		require.NoError(t, way.again(node))
	}
}

// TestFabricSaysWhoIsNotLetIn: an identity of an organisation that the channel does not know is named in the refusal.
func TestFabricSaysWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{Orgs: 2})
	c, err := fabric.New(t.Context(), fabric.Config{
		Profile: n.Profile(), MSPID: "Org1MSP", Channels: []string{fabricnet.Channel}, Wallet: n.Wallet(), Identity: "user1",
		Identities: fabric.Identities{{Name: "stranger", MSPID: "Org9MSP", Certificate: n.Wallet() + "/user1/cert.pem", PrivateKey: n.Wallet() + "/user1/key.pem"}},
	}, fabric.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	_, err = c.Prepare(t.Context(), request("stranger", "create", quote("x"), `{"n":1}`))
	require.Equal(t, ffcapi.Unauthorized, ffcapi.KindOf(err), "%v", err)
	require.ErrorContains(t, err, `identity "stranger" of Org9MSP`)
}
