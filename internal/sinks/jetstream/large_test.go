package jetstream_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Who sends batches in one message is told what makes them smaller.
func TestABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload int32
		message int32
		words   string
	}{
		"for the server": {payload: 8000, message: -1, words: "(max_payload)"},
		"for the stream": {payload: 1 << 20, message: 8000, words: "(error 10054, code 400)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(o *server.Options) { o.MaxPayload = c.payload })
			create(t, client(t, urlOf(s)), func(o *js.StreamConfig) { o.MaxMsgSize = c.message })
			out := open(t, factory(t, nil), urlOf(s), `"perMessage":"batch"`)
			b := batch(1, 3, `,"data":"`, strings.Repeat("x", 3000), `"`)
			err := send(t, out, b)
			require.True(t, sink.IsPermanent(err))
			require.ErrorContains(t, err, c.words+"; it is a batch of 3 events (perMessage): give the stream a smaller batchSize, or each event its own message")
			require.NoError(t, send(t, out, batch(2, 3)))
		})
	}
}
