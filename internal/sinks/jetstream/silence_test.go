package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
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
	for attempt, silent := 1, 0; silent < 2; attempt++ {
		err := send(t, out, batch(1, 1))
		require.False(t, sink.IsRefused(err))
		require.Equal(t, attempt, p.front.connections())
		require.Less(t, attempt, 100)
		if strings.Contains(fmt.Sprint(err), "nobody tells about the stream") { // the machine is too slow: nothing was published
			continue
		}
		require.ErrorContains(t, err, "no acknowledgement within 200ms")
		silent++
	}
	out = open(t, factory(t, nil), p.front.url(), `"username":"u","password":"canary-password"`)
	for answer, want := range map[string]string{
		``: "the answer is empty", `{}`: `the stream "" has acknowledged`, `no JSON`: "no acknowledgement", `{"stream":"OTHER","seq":1}`: `the stream "OTHER" has acknowledged`,
	} {
		result := make(chan error, 1)
		go out.Send(t.Context(), batch(1, 1), func(err error) { result <- err })
		var err error
		for answered := false; !answered; { // what comes may be of an attempt that is over
			select {
			case m := <-p.came:
				_ = m.Respond([]byte(answer))
			case err = <-result:
				answered = true
			}
		}
		require.ErrorContains(t, err, want)
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
