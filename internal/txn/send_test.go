package txn

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// answering is a chain with nonces that answers the sends of each nonce as it is told.
type answering struct {
	ffcapi.Connector
	ffcapi.Sequencer
	answers map[uint64]error
	sent    []uint64
}

func (a *answering) Submit(_ context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	a.sent = append(a.sent, *sub.Nonce)
	return &ffcapi.Submitted{Hash: sub.Prepared.Hash}, a.answers[*sub.Nonce]
}

// jobWith is a job whose transaction has that nonce. ordered: no node has taken it yet, so what comes after it waits for it.
func jobWith(nonce uint64, ordered bool, do txstate.Do, sub store.SubStatus) *job {
	attempt := store.Attempt{Number: 1, Hash: "h", Nonce: &nonce, State: store.AttemptSubmitting, Open: 1}
	if sub == store.SubPrepared {
		attempt.State, attempt.Open = store.AttemptPrepared, 0
	}
	j := &job{it: &item{order: nonce, ordered: ordered, place: running}, payload: &store.Payload{}}
	j.state.Tx = store.Tx{Nonce: &nonce, Status: store.Pending, Sub: sub, Attempt: 1}
	j.state.Attempts, j.effects.Do = []store.Attempt{attempt}, do
	return j
}

func firstSend(nonce uint64) *job { return jobWith(nonce, true, txstate.Send, store.SubSubmitting) }

func nextSend(nonce uint64) *job { return jobWith(nonce, false, txstate.Send, store.SubStale) }

// TestNothingOfABatchOvertakesWhatWasNotTaken: a nonce that is sent before the one below it is taken would be a gap, and a node that refuses the one
// that it misses refuses those behind it, too.
func TestNothingOfABatchOvertakesWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	kind := func(k ffcapi.Kind) error { return &ffcapi.Error{Kind: k, Sent: ffcapi.SentNo} }
	unread := func(ordered bool) *job {
		return &job{it: &item{ordered: ordered, place: running}, err: errors.New("it could not be read")}
	}
	for name, c := range map[string]struct {
		jobs   []*job
		answer error // to the first nonce
		sent   []uint64
	}{
		"taken":                    {[]*job{firstSend(0), firstSend(1), firstSend(2)}, nil, []uint64{0, 1, 2}},
		"refused":                  {[]*job{firstSend(0), firstSend(1), firstSend(2)}, kind(ffcapi.InsufficientFunds), []uint64{0}},
		"not answered":             {[]*job{firstSend(0), firstSend(1), firstSend(2)}, kind(ffcapi.Timeout), []uint64{0}},
		"known already":            {[]*job{firstSend(0), firstSend(1), firstSend(2)}, kind(ffcapi.KnownTransaction), []uint64{0, 1, 2}},
		"nonce used":               {[]*job{firstSend(0), firstSend(1), firstSend(2)}, kind(ffcapi.NonceTooLow), []uint64{0, 1, 2}},
		"not read":                 {[]*job{unread(true), firstSend(1), firstSend(2)}, nil, nil},
		"waits":                    {[]*job{jobWith(0, true, txstate.Nothing, store.SubPrepared), firstSend(1), firstSend(2)}, nil, nil},
		"taken meanwhile":          {[]*job{jobWith(0, true, txstate.Nothing, store.SubTracking), firstSend(1), firstSend(2)}, nil, []uint64{1, 2}},
		"sent again":               {[]*job{nextSend(0), nextSend(1), nextSend(2)}, nil, []uint64{0, 1, 2}},
		"sent again and refused":   {[]*job{nextSend(0), nextSend(1), nextSend(2)}, kind(ffcapi.Unavailable), []uint64{0}},
		"to send again, not read":  {[]*job{unread(false), nextSend(1), nextSend(2)}, nil, []uint64{1, 2}},
		"to send again, and waits": {[]*job{jobWith(0, false, txstate.Nothing, store.SubTracking), nextSend(1)}, nil, []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := &answering{answers: map[uint64]error{0: c.answer}}
			m := &Manager{
				opts: Options{Connector: chain, SubmitTimeout: time.Minute, Now: time.Now}, sequencer: chain,
				sched: newSchedule(true, 1, time.Now), life: t.Context(),
			}
			followed := 0
			left := m.send(c.jobs, func(func()) { followed++ })
			require.Equal(t, c.sent, chain.sent)
			require.Equal(t, len(c.sent) == len(c.jobs) && c.answer == nil, left)
			claims := 0
			for _, j := range c.jobs {
				if j.effects.Do == txstate.Send {
					claims++
				}
			}
			require.Equal(t, claims, followed, "the claims of those that were not sent are taken back")
		})
	}
}
