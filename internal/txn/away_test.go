package txn_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// twoLedgers is a view of two ledgers, of which one is away until it is there: to make it ready takes as long as one waits.
type twoLedgers struct {
	*view

	there chan struct{}
	asked atomic.Int64
}

const away = "away"

func (l *twoLedgers) Ready(ctx context.Context, ledger string) error {
	if ledger == away {
		l.asked.Add(1)
		select {
		case <-l.there:
		case <-ctx.Done():
			return ffcapi.Errorf(ffcapi.Unavailable, "no peer answers")
		}
	}
	return l.view.Ready(ctx, ledger)
}

// onTwoLedgers has a fake prepare for the ledger that is away what signers of that name send.
func onTwoLedgers(f *fake) *fake {
	f.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		p := &ffcapi.Prepared{Payload: []byte(strings.Trim(string(req.Method), `"`))}
		if p.Hash = hashOf(string(p.Payload)); strings.HasPrefix(req.From, away) {
			p.Ledger = away
		}
		return p, nil
	}
	return f
}

const (
	awayTxs     = 500
	awaySigners = 100
	hereTxs     = 20
)

// leftOpen is a place with open transactions on both ledgers, those of the one that will be away first.
func leftOpen(t *testing.T, sequenced bool) *sqlstoretest.Place {
	t.Helper()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{sequenced: sequenced, place: place, fake: onTwoLedgers(newFake())})
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done() // no answer
		return ctx.Err()
	}
	var subs []*apitypes.Submission
	for i := range awayTxs {
		subs = append(subs, from(fmt.Sprint(away, i%awaySigners), fmt.Sprint("a", i)))
	}
	for i := range hereTxs {
		subs = append(subs, from("bob", fmt.Sprint("b", i)))
	}
	for some := range slices.Chunk(subs, 100) {
		for _, one := range r.SubmitBatch(t.Context(), some) {
			require.NoError(t, one.Err)
		}
	}
	r.crash()
	return place
}

// untilConfirmed has the transactions of a signer that is not away end.
func (r *rig) untilConfirmed(ids []string) {
	r.t.Helper()
	var outcomes []ffcapi.TxOutcome
	for _, id := range ids {
		outcomes = append(outcomes, success(r.until(id, store.SubTracking).Hash))
	}
	r.view.block(0, outcomes...)
	for _, id := range ids {
		r.until(id, store.SubConfirmed)
	}
}

// TestALedgerThatIsAwayTakesNoWorkers: after a restart, what is open on it waits for it, and what is open on another one does not. All of it is
// sent when it is there.
func TestALedgerThatIsAwayTakesNoWorkers(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{false, true} {
		for name, patience := range map[string]time.Duration{"it is waited for once": time.Hour, "again and again": 100 * time.Millisecond} {
			t.Run(fmt.Sprintf("sequenced=%t, %s", sequenced, name), func(t *testing.T) {
				t.Parallel()
				chain := &twoLedgers{there: make(chan struct{})}
				r := newRig(t, setup{
					sequenced: sequenced, place: leftOpen(t, sequenced), fake: onTwoLedgers(newFake()), stopped: true,
					opts: func(o *txn.Options) { o.Chain, o.PrepareTimeout = chain, patience },
				})
				chain.view = r.view
				r.start()
				here := []string{"new"}
				for i := range hereTxs {
					here = append(here, fmt.Sprint("b", i))
				}
				if patience == time.Hour {
					r.submit(from("carol", "new"))
				} else {
					require.Eventually(t, func() bool { return chain.asked.Load() > 1 }, wait, tick)
					_, _, err := r.Submit(t.Context(), from(away, "late"))
					require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
					here = here[1:]
				}
				r.untilConfirmed(here)
				require.Len(t, r.fake.sends(), len(here), "nothing is sent to the one that is away")

				asked := chain.asked.Load()
				close(chain.there)
				for i := range awayTxs {
					r.until(fmt.Sprint("a", i), store.SubTracking)
				}
				requireSentOnce(t, r.fake.sends()[len(here):], sequenced)
				if patience == time.Hour {
					require.EqualValues(t, 1, asked, "one waits for all")
					require.Equal(t, asked, chain.asked.Load(), "and goes on at once")
				}
			})
		}
	}
}

// requireSentOnce: every transaction of the ledger that was away, in the order of its signer's nonces.
func requireSentOnce(t *testing.T, sends []send, sequenced bool) {
	t.Helper()
	require.Len(t, sends, awayTxs)
	payloads, next := map[string]bool{}, map[string]uint64{}
	for _, s := range sends {
		payloads[s.payload] = true
		if sequenced {
			require.Equal(t, next[s.from], s.nonce, s.from)
			next[s.from]++
		}
	}
	require.Len(t, payloads, awayTxs)
}
