package jetstream_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Who sends batches in one message is told what makes them smaller.
func TestABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) { o.MaxPayload = 8000 })
	create(t, client(t, urlOf(s)), nil)
	out := open(t, factory(t, nil), urlOf(s), `"perMessage":"batch"`)
	b := batch(1, 3, `,"data":"`, strings.Repeat("x", 3000), `"`)
	err := send(t, out, b)
	require.True(t, sink.IsPermanent(err))
	require.ErrorContains(t, err, "(max_payload); it is a batch of 3 events (perMessage): give the stream a smaller batchSize, or each event its own message")
	require.NoError(t, send(t, out, batch(2, 3)))
}
