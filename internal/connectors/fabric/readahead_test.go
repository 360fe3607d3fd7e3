package fabric

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
)

// Readers that do not come for their blocks do not fill the memory, and get all of them when they come.
func TestReadAheadIsBounded(t *testing.T) {
	t.Parallel()
	const blocks, size, streams = 20, 100_000, 10
	f := newFakePeer(t)
	doc := `{"id":"` + strings.Repeat("x", size) + `"}`
	for i := range blocks {
		f.mine(testTx{id: fmt.Sprint(i), time: noon, event: &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "E", Payload: []byte(doc)}})
	}
	c := connect(t, f)
	all := c.peers.ahead
	all.limit = 2 * size
	s, err := c.reader()
	require.NoError(t, err)
	n := c.peers.nodes[0]
	var open []*stream
	for range streams {
		st, err := n.open(t.Context(), s, "ch1", 1, blocks)
		require.NoError(t, err)
		t.Cleanup(st.close)
		open = append(open, st)
	}
	for _, st := range open {
		require.Eventually(t, func() bool { return len(st.blocks) > 0 }, time.Minute, time.Millisecond, "each stream has a block ready")
	}
	most := all.limit + streams*(size+10_000) // each may have gone over it once
	require.Never(t, func() bool { return all.held.Load() > most }, 500*time.Millisecond, 10*time.Millisecond)
	for _, st := range open[1:] {
		for number := 1; number <= blocks; number++ {
			b, err := st.next(t.Context(), n)
			require.NoError(t, err)
			require.EqualValues(t, number, b.Number)
		}
	}
	require.Positive(t, all.held.Load(), "of the stream that nobody read")
	for _, st := range open {
		st.close()
	}
	require.Zero(t, all.held.Load())
}
