package jetstream_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// A server that is killed in the middle of batches, again and again, has each message once and in order when it is back.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	c.start()
	stream := create(t, client(t, c.url()), nil)
	s := open(t, factory(t, nil), c.url(), "")
	const kills, most = 4, 30 * time.Millisecond
	var all []*sink.Batch
	failed := 0
	for n := int64(0); n < kills || failed == 0; n++ { // a kill may come when all is over
		require.Less(t, n, int64(10*kills), "no kill came in the middle of anything")
		for i := range int64(2) {
			b := batch(10*n+i, 400)
			all = append(all, b)
			result := make(chan error, 1)
			go s.Send(t.Context(), b, func(err error) { result <- err })
			if i == 1 {
				<-time.After(rand.N(most))
				c.kill()
				c.start()
			}
			err := <-result
			if err != nil {
				require.False(t, sink.IsRefused(err), "%v", err)
				failed++
			}
			if left := rest(t, b, err); left != nil {
				deliver(t, s, left)
			}
		}
	}
	// What was acknowledged is sent once more: the server knows it from its disk.
	for _, b := range all {
		require.NoError(t, send(t, s, b))
	}
	require.Equal(t, names(all...), stored(t, stream))
}

// A server that is away is a plain error, and is there again when it is back, with or without a batch in between.
func TestServerIsAway(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	c.start()
	stream := create(t, client(t, c.url()), nil)
	s := open(t, factory(t, nil), c.url(), "")
	require.NoError(t, send(t, s, batch(1, 2)))
	c.kill()
	err := send(t, s, batch(2, 2))
	require.ErrorContains(t, err, c.url())
	require.False(t, sink.IsRefused(err))
	require.ErrorContains(t, send(t, s, batch(2, 2)), "connection refused")
	c.start()
	deliver(t, s, batch(2, 2))
	c.kill()
	c.start()
	deliver(t, s, batch(3, 2))
	require.Equal(t, names(batch(1, 2), batch(2, 2), batch(3, 2)), stored(t, stream))
}
