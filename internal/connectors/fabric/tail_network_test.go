//go:build fabric

package fabric_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// TestFabricStreamGoesOnAtTheOtherPeer takes the peer away that delivers, in every way there is. The sequence of blocks does not even end.
func TestFabricStreamGoesOnAtTheOtherPeer(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{PeersPerOrg: 2, Proxy: true})
	ctx := t.Context()
	serving := fabricnet.PeerNode(1, 0)
	for name, strike := range map[string]struct{ away, back func() error }{
		"cut":     {func() error { return n.Cut(serving) }, func() error { return n.Heal(serving) }},
		"silence": {func() error { return n.Silence(serving) }, func() error { return n.Heal(serving) }},
		"stopped": {func() error { return n.Signal(serving, syscall.SIGSTOP) }, func() error { return n.Signal(serving, syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
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
		})
	}
}
