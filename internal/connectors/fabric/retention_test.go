package fabric

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// TestTransientDataIsKeptFromTheEndorsementOn: peers count from when they are asked. What a client counts from the answer on is too long by the
// time that the answer took.
func TestTransientDataIsKeptFromTheEndorsementOn(t *testing.T) {
	t.Parallel()
	for _, endorseAt := range []string{EndorseAtAccept, EndorseAtSubmit} {
		t.Run(endorseAt, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Pointer[time.Time]
			f := newFakePeer(t, grpc.UnaryInterceptor(func(
				ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
			) (any, error) {
				if strings.HasSuffix(info.FullMethod, "/Endorse") {
					now := time.Now()
					asked.Store(&now)
				}
				return handler(ctx, req)
			}))
			c := connectTo(t, endorseAt, f)
			r := fakeRequest("user1", "create", "a", "1")
			r.Options = json.RawMessage(`{"transient":{"secret":"s"}}`)
			p, err := c.Prepare(t.Context(), r)
			require.NoError(t, err)
			if endorseAt == EndorseAtSubmit {
				p, err = c.Finish(t.Context(), &ffcapi.Submission{Prepared: p, From: r.From, To: r.To})
				require.NoError(t, err)
			}
			require.NotNil(t, asked.Load())
			require.False(t, p.SendBefore.IsZero())
			require.False(t, p.SendBefore.After(asked.Load().Add(c.cfg.TransientRetention)))
		})
	}
}

// TestTransientDataIsKeptForFiveMinutes, unless it is set: peers keep it for so many blocks, which a busy channel soon has.
func TestTransientDataIsKeptForFiveMinutes(t *testing.T) {
	t.Parallel()
	require.Equal(t, 5*time.Minute, connect(t, newFakePeer(t)).cfg.TransientRetention)
}
