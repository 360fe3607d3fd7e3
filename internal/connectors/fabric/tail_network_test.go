//go:build fabric

package fabric_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// TestFabricStreamGoesOnAtTheOtherPeer takes the peer away that delivers, in every way there is. The sequence of blocks does not even end.
func TestFabricStreamGoesOnAtTheOtherPeer(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{PeersPerOrg: 2, Proxy: true})
	ctx := t.Context()
	serving := fabricnet.PeerNode(1, 0)
	for name, strike := range map[string]struct{ away, back func() error }{ // one after the other: they share the peer
		"cut":     {func() error { return n.Cut(serving) }, func() error { return n.Heal(serving) }},
		"silence": {func() error { return n.Silence(serving) }, func() error { return n.Heal(serving) }},
		"stopped": {func() error { return n.Signal(serving, syscall.SIGSTOP) }, func() error { return n.Signal(serving, syscall.SIGCONT) }},
	} {
		func() {
			reader, writer := open(t, n), open(t, n) // the first peer of the profile serves them
			start, err := reader.Ledger(ctx, "ch1")
			require.NoError(t, err)
			seen, ended := make(chan ffcapi.BlockRef), make(chan error, 1)
			go func() { ended <- follow(ctx, reader, start.Head, seen) }()
			until := func(number uint64) {
				t.Helper()
				for {
					select {
					case ref := <-seen: // follow checks that none is missing
						if ref.Number >= number {
							return
						}
					case err := <-ended:
						require.NoError(t, err, "the sequence ended")
					case <-time.After(2 * time.Minute):
						require.Fail(t, "no block comes")
					}
				}
			}
			until(create(t, writer, "before-"+name).Block.Number)
			require.NoError(t, strike.away())
			began := time.Now()
			sub := submission(t, writer, request("user1", "create", fmt.Sprintf("%q", "during-"+name), `1`))
			until(commit(t, writer, sub).Block.Number)
			t.Logf("%s: the next block came %v after the peer was gone", name, time.Since(began).Round(time.Millisecond))
			require.NoError(t, strike.back())
			until(create(t, writer, "after-"+name).Block.Number)
		}()
	}
}

// TestFabricPeerFromASnapshot: the peer that is asked first lacks old blocks. They come from the other one, or the answer says which are there.
func TestFabricPeerFromASnapshot(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{LatePeer: true})
	ctx := t.Context()
	before := open(t, n)
	old := create(t, before, "old")
	lacks, err := n.JoinLatePeer(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, lacks, old.Block.Number)
	first := strconv.FormatUint(lacks+1, 10)

	c := open(t, n) // the profile names the late peer first
	recent := create(t, c, "recent")
	const created = `{"chaincode":"assets","event":"AssetCreated"}`
	for _, from := range []string{"earliest", "0"} {
		events := readAll(t, c, "", from, recent.Block, created)
		require.Len(t, events, 2, "from %s", from)
		require.Equal(t, old.Block.Hash, events[0].BlockHash)
	}
	b, err := c.Block(ctx, "ch1", old.Block.Number)
	require.NoError(t, err)
	require.Equal(t, old.Block, b.BlockRef)

	alone := openWith(t, n, func(cfg *fabric.Config) { cfg.Profile = onlyFirstPeer(t, n) })
	listener := func(from string) (*ffcapi.Listener, error) {
		return alone.Listener(ctx, &ffcapi.ListenerSpec{FromBlock: from, Filters: []json.RawMessage{json.RawMessage(created)}})
	}
	_, err = listener("0")
	require.ErrorContains(t, err, "the first is "+first)
	require.Equal(t, lacks+1, requireError(t, err, ffcapi.Pruned).FirstBlock)
	l, err := listener("earliest")
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockStart(lacks+1), l.Start)
	for _, err := range alone.Blocks(ctx, "ch1", ffcapi.BlockRef{}) {
		require.Equal(t, lacks+1, requireError(t, err, ffcapi.Pruned).FirstBlock)
	}
}

// onlyFirstPeer writes a profile with no peer but the first.
func onlyFirstPeer(t *testing.T, n *fabricnet.Network) string {
	t.Helper()
	raw, err := os.ReadFile(n.Profile())
	require.NoError(t, err)
	var profile map[string]any
	require.NoError(t, yaml.Unmarshal(raw, &profile))
	for _, o := range profile["organizations"].(map[string]any) { //nolint:forcetypeassert // as fabricnet writes it
		org := o.(map[string]any)               //nolint:forcetypeassert // as fabricnet writes it
		org["peers"] = org["peers"].([]any)[:1] //nolint:forcetypeassert // as fabricnet writes it
	}
	raw, err = yaml.Marshal(profile)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "connection.yaml")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}
