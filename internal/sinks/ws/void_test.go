package ws

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// voided returns what was told to be void, by connection, and forgets it.
func (r *recorder) voided() (told []string) {
	for i, f := range r.frames {
		if strings.Contains(string(f.body), `"void"`) {
			told = append(told, r.sent[i]+string(f.body))
		}
	}
	r.frames, r.sent = nil, nil
	return told
}

const (
	lbl = "load_balance"
	par = "parallel"
	bro = "broadcast"
)

// Who listens with voids true is told of each batch that was taken back, once, and nobody else is.
func TestWhatIsVoidIsTold(t *testing.T) {
	t.Parallel()
	st := sink.Stream{ID: "id", Name: "s"}
	owners := map[string]func(h hub) owner{
		lbl: func(h hub) owner { return newLanes(st, h, impatience, time.Now, true) },
		par: func(h hub) owner { return newLanes(st, h, impatience, time.Now, false) },
		bro: func(h hub) owner { return newCopies(st, h, impatience, time.Now) },
	}
	for name, of := range map[string]struct {
		by   func(t *testing.T, o owner, endRun context.CancelFunc)
		want map[string][]string
	}{
		"the run ends": {
			by: func(_ *testing.T, _ owner, endRun context.CancelFunc) { endRun() },
			want: map[string][]string{
				lbl: {"b1", "b2", "b3", "b4"}, par: {"b1", "b3", "c2", "c4"}, bro: {"b1", "b2", "b3", "b4", "c1", "c2", "c3", "c4"},
			},
		},
		"the sink is closed": {
			by: func(t *testing.T, o owner, _ context.CancelFunc) {
				t.Helper()
				require.NoError(t, o.Close(t.Context()))
			},
			want: map[string][]string{
				lbl: {"b1", "b2", "b3", "b4"}, par: {"b1", "b3", "c2", "c4"}, bro: {"b1", "b2", "b3", "b4", "c1", "c2", "c3", "c4"},
			},
		},
		"a batch is refused, and what is behind it withdrawn": {
			by: func(t *testing.T, o owner, endRun context.CancelFunc) {
				t.Helper()
				require.NoError(t, o.nack(1, refusal{number: 1}))
				if u, ok := o.(sink.Unordered); !ok || !u.Unordered() {
					endRun()
				}
			},
			want: map[string][]string{lbl: {"b2", "b3", "b4"}, bro: {"b1", "b2", "b3", "b4", "c1", "c2", "c3", "c4"}},
		},
		// The answer for the first still counts, and shows that the client lives.
		"the first is not answered in time": {
			by: func(t *testing.T, o owner, _ context.CancelFunc) {
				t.Helper()
				_ = o.ack(2, 2)
				_ = o.ack(2, 4)
				<-time.After(impatience) // of the bubble
				o.expire()
			},
			want: map[string][]string{lbl: {"b2", "b3", "b4"}, par: {"b3"}},
		},
		"one leaves": {by: func(_ *testing.T, o owner, _ context.CancelFunc) { o.leave(1) }},
	} {
		for mode, newOwner := range owners {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := &recorder{}
					o := newOwner(h)
					for _, conn := range []uint64{1, 2} {
						o.join(conn, listening{name: "my s", window: 4, acks: true, voids: true})
					}
					run, endRun := context.WithCancel(t.Context())
					defer endRun()
					for n := int64(1); n <= 4; n++ {
						o.Send(run, &sink.Batch{Number: n, Attempt: 1}, func(error) {})
					}
					o.join(3, listening{name: "s", window: 4, acks: true})
					of.by(t, o, endRun)
					synctest.Wait()
					require.ElementsMatch(t, of.want[mode], numbersOf(t, h.voided()))
					require.NoError(t, o.Close(t.Context()))
				})
			})
		}
	}
}

// numbersOf turns notices into the connection and the number of each batch.
func numbersOf(t *testing.T, notices []string) (list []string) {
	t.Helper()
	for _, n := range notices {
		to, body, _ := strings.Cut(n, "{")
		rest, ok := strings.CutPrefix(body, `"type":"void","stream":"my s","batchNumbers":[`)
		require.True(t, ok, n)
		for number := range strings.SplitSeq(strings.TrimSuffix(rest, "]}"), ",") {
			list = append(list, to+number)
		}
	}
	return list
}
