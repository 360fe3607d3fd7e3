package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// A connection on which an acknowledgement did not come is not used again: nobody knows what is still on its way there.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) {
		o.JetStream = false
		o.Users = []*server.User{{Username: "u", Password: "canary-password"}}
	})
	p := newPretender(t, s)
	out := open(t, factory(t, nil), p.front.url(), `"username":"u","password":"canary-password","requestTimeout":"200ms"`)
	for attempt := 1; attempt <= 2; attempt++ {
		err := send(t, out, batch(1, 1))
		require.ErrorContains(t, err, "no acknowledgement within 200ms")
		require.False(t, sink.IsRefused(err))
		require.Equal(t, attempt, p.front.connections())
	}
	for _, answer := range []string{``, `{}`, `no JSON`, `{"stream":"OTHER","seq":1}`} {
		for range len(p.came) {
			<-p.came
		}
		go func() { _ = (<-p.came).Respond([]byte(answer)) }()
		err := send(t, out, batch(1, 1))
		require.Error(t, err, answer)
		require.False(t, sink.IsRefused(err))
	}
}

// A void batch ends at once although the server reads nothing, and what was not sent by then never is.
func TestVoidWhileTheServerReadsNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	stream := create(t, client(t, urlOf(s)), nil)
	front := newRelay(t, s.Addr().String())
	out := open(t, factory(t, nil), front.url(), `"requestTimeout":"10m"`)
	require.NoError(t, send(t, out, batch(1, 1)))
	const size = 300_000
	large := batch(2, 40, `,"data":"`, string(bytes.Repeat([]byte("x"), size)), `"`)
	stuck, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	front.set(func([]byte) bool {
		once.Do(func() { close(stuck) })
		<-release
		return true
	}, nil)
	void := errors.New("void")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go out.Send(ctx, large, func(err error) { result <- err })
	<-stuck
	cancel(void)
	select {
	case err := <-result:
		require.ErrorIs(t, err, void)
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
	}
	close(release)
	front.set(nil, nil)
	require.NoError(t, send(t, out, large))
	require.Equal(t, names(batch(1, 1), large), stored(t, stream))

	// The same with the end of the sink.
	closing, done := context.WithTimeout(t.Context(), patience)
	defer done()
	require.NoError(t, out.Close(closing))
	require.ErrorIs(t, send(t, out, large), sink.ErrClosed)
}
