package ws

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// recorder is a hub that notes where batches go.
type recorder struct {
	sent   []string
	frames []frame
	cut    []uint64
}

func (r *recorder) deliver(to uint64, f frame) {
	r.frames = append(r.frames, f)
	r.sent = append(r.sent, string(rune('a'+to))+string(f.head))
}

func (*recorder) closed(string) {}

func (r *recorder) cutOff(conn uint64, _ string) { r.cut = append(r.cut, conn) }

// A batch that waits for room behind one that fails must not go out before the engine knows of the failure and has made it void.
func TestNoBatchOvertakesOneThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(t *testing.T, o *lanes){
		"refused": func(t *testing.T, o *lanes) {
			t.Helper()
			require.NoError(t, o.nack(2, refusal{number: 1}))
		},
		"left": func(_ *testing.T, o *lanes) { o.leave(2) },
		"not acknowledged in time": func(_ *testing.T, o *lanes) {
			<-time.After(time.Minute) // of the bubble
			o.expire()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hub := &recorder{}
				o := newLanes(sink.Stream{ID: "id", Name: "s"}, hub, time.Minute, time.Now, true)
				o.join(1, listening{window: 2})
				o.join(2, listening{window: 1})
				o.turn = o.byConn[1] // so that it is the turn of 2, which has room for one
				behind, makeVoid := context.WithCancelCause(t.Context())
				errVoid := errors.New("void")
				var first, second error
				o.Send(t.Context(), &sink.Batch{Number: 1}, func(err error) {
					first = err
					synctest.Wait() // whoever could go on has done so
					makeVoid(errVoid)
				})
				go o.Send(behind, &sink.Batch{Number: 2}, func(err error) { second = err })
				synctest.Wait()
				fail(t, o)
				synctest.Wait()
				require.Error(t, first)
				require.ErrorIs(t, second, errVoid)
				require.Equal(t, []string{`c{"batchNumber":1,"events":`}, hub.sent)
				o.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 2}, func(error) {})
				require.Len(t, hub.sent, 2, "nothing is held back afterwards")
				require.NoError(t, o.Close(t.Context()))
			})
		})
	}
}

// The answer to what a client has got counts, though a copy of it waits to be written; the answer to what it cannot have got does not.
func TestACopyThatWaitsChangesNothing(t *testing.T) {
	t.Parallel()
	st := sink.Stream{ID: "id", Name: "s"}
	for name, newOwner := range map[string]func(h hub) owner{
		"load_balance": func(h hub) owner { return newLanes(st, h, time.Minute, time.Now, true) },
		"parallel":     func(h hub) owner { return newLanes(st, h, time.Minute, time.Now, false) },
		"broadcast":    func(h hub) owner { return newCopies(st, h, time.Minute, time.Now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &recorder{}
				o := newOwner(h)
				o.join(1, listening{window: 1, acks: true})
				ctx, cancel := context.WithCancel(t.Context())
				o.Send(ctx, &sink.Batch{Number: 1, Attempt: 1}, func(error) {})
				<-time.After(time.Minute) // of the bubble
				o.expire()
				cancel()
				synctest.Wait()
				o.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 2}, func(error) {})
				require.NoError(t, o.nack(1, refusal{number: 1}))
				o.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 3}, func(error) {})
				require.Len(t, h.frames, 4)
				for i, unsent := range []bool{true, false, false, true} {
					c := newConn(1, nil, nil)
					c.push(h.frames[i])
					require.Equal(t, unsent, c.unsent("id", 1), i)
					require.False(t, c.unsent("other", 1))
				}
				require.NoError(t, o.Close(t.Context()))
			})
		})
	}
}
