package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The server at TEST_NATS_URL, of whatever version it is, drops repetitions and refuses what stands behind a gap, too.
func TestForeignServer(t *testing.T) {
	t.Parallel()
	address := os.Getenv("TEST_NATS_URL")
	if address == "" {
		t.Skip("TEST_NATS_URL names no server")
	}
	c := client(t, address)
	name := fmt.Sprintf("TEST%d", time.Now().UnixNano())
	stream := create(t, c, func(cfg *js.StreamConfig) {
		cfg.Name, cfg.Subjects, cfg.Discard, cfg.MaxMsgs = name, []string{name + ".>"}, js.DiscardNew, 100
	})
	t.Cleanup(func() { require.NoError(t, c.DeleteStream(context.WithoutCancel(t.Context()), name)) })
	s := open(t, factory(t, nil), address, fmt.Sprintf(`"stream":%q,"subject":%q`, name, name+".x"))
	one, two := batch(1, 60), batch(2, 60)
	require.NoError(t, send(t, s, one))
	require.NoError(t, send(t, s, one))
	err := send(t, s, two)
	require.ErrorContains(t, err, "maximum messages exceeded")
	left := rest(t, two, err)
	require.Len(t, left.Events, 20)
	require.Equal(t, names(one, two)[:100], stored(t, stream))
	require.NoError(t, stream.Purge(t.Context()))
	require.NoError(t, send(t, s, left))
	require.Equal(t, names(left), stored(t, stream))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sendWith(ctx, t, s, batch(3, 1)), context.Canceled)
	require.NoError(t, send(t, s, &sink.Batch{Events: batch(3, 1).Events}))
}
