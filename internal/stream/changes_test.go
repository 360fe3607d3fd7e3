package stream

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// changes adds a listener of type transactions.
func (r *rig) changes(stream, from string, filters ...string) string {
	r.t.Helper()
	l, err := r.newChanges(stream, from, filters...)
	require.NoError(r.t, err)
	return l.ID.String()
}

func (r *rig) newChanges(stream, from string, filters ...string) (*apitypes.Listener, error) {
	body := &apitypes.Listener{Type: ptr("Transactions")}
	if from != "" {
		body.FromBlock = ptr(apitypes.BlockNumber(from))
	}
	for _, f := range filters {
		body.Filters = append(body.Filters, json.RawMessage(f))
	}
	return r.m.CreateListener(r.t.Context(), stream, body)
}

// take acknowledges batches of a stream until it has n events, and returns their transactions' ids.
func (r *rig) take(stream string, n int) []string {
	r.t.Helper()
	var list []string
	for len(list) < n {
		d := r.live(stream)
		list = append(list, r.txIDs(d)...)
		d.finish(nil)
	}
	return list
}

func (r *rig) txIDs(d *delivered) []string {
	r.t.Helper()
	var events []apitypes.TransactionEvent
	require.NoError(r.t, json.Unmarshal(d.Body, &events), "%s", d.Body)
	require.Len(r.t, events, len(d.Events))
	var list []string
	for i, e := range events {
		require.Equal(r.t, e.EventID, d.Events[i].ID)
		list = append(list, e.ID)
	}
	return list
}

func numbers(first, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Itoa(first + i)
	}
	return list
}

func TestChangesOnTheWire(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log))
	id := r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	l := r.changes("s", "earliest")
	log.add(tx("a", func(e *store.StatusEntry) {
		e.Seq = 7
		e.Tx.Labels = map[string]string{"objectId": "1"}
		e.Tx.Hash = "0xaa"
		e.Tx.Error = "an earlier attempt was refused"
		e.Tx.Outcome = &store.Outcome{Block: ffcapi.BlockRef{Number: 3, Hash: "0xb3"}, Index: 2, Success: true}
	}), tx("b", func(e *store.StatusEntry) {
		e.Status, e.Sub = store.Failed, store.SubFailed
		e.Tx.Status, e.Tx.Sub, e.Tx.Error = store.Failed, store.SubFailed, `said "no"`
	}), tx("c", func(e *store.StatusEntry) { // since then it has succeeded
		e.Status, e.Sub, e.Tx.Hash, e.Tx.Error = store.Pending, store.SubTracking, "0xcc", "later"
	}), tx("d", func(e *store.StatusEntry) { e.Tx = nil }))
	tail := `, "listenerId":"` + l + `","subId":"` + l + `","listenerName":"transactions","listenerType":"transactions","streamId":"` + id + `"}`
	const when = `"time":"2023-11-14T22:13:20.000005Z", `
	want := []string{
		`{"id":"a","eventId":"fake:transactions:000000000007","sequence":"7","status":"Succeeded","subStatus":"Confirmed",` + when +
			`"ledger":"","from":"alice","labels":{"objectId":"1"},"transactionHash":"0xaa","blockNumber":"3","blockHash":"0xb3","transactionIndex":"2"` + tail,
		`{"id":"b","eventId":"fake:transactions:000000000008","sequence":"8","status":"Failed","subStatus":"Failed",` + when +
			`"ledger":"","from":"alice","error":"said \"no\""` + tail,
		`{"id":"c","eventId":"fake:transactions:000000000009","sequence":"9","status":"Pending","subStatus":"Tracking",` + when + `"ledger":"","from":"alice"` + tail,
		`{"id":"d","eventId":"fake:transactions:000000000010","sequence":"10","status":"Succeeded","subStatus":"Confirmed",` + when + `"removed":true` + tail,
	}
	for i := 0; i < len(want); {
		d := r.live("s")
		var list []json.RawMessage
		require.NoError(t, json.Unmarshal(d.Body, &list))
		for k, raw := range list {
			require.JSONEq(t, want[i], string(raw))
			require.JSONEq(t, want[i], string(d.Events[k].JSON))
			if i == 0 {
				require.Equal(t, uint64(3), d.Events[k].Block)
			}
			i++
		}
		d.finish(nil)
	}
	r.eventually(func() bool {
		st, err := r.m.Listener(t.Context(), "s", l)
		require.NoError(t, err)
		require.False(t, st.Catchup)
		return *st.Checkpoint == apitypes.ListenerCheckpoint{Sequence: "10"}
	})
	require.Zero(t, *r.state("s").LagTransactions)
	require.Nil(t, r.state("s").LagBlocks)
	require.Equal(t, stateLive, r.state("s").State)
}

func TestChangesComeInOrderAfterEveryRestart(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 3)
	r := newRig(t, withLog(log))
	r.stream("s")
	r.changes("s", "") // latest
	log.addN(4, 3)
	d := r.live("s")
	require.Equal(t, numbers(4, len(d.Events)), r.txIDs(d))
	r.restart() // it was not acknowledged
	require.Equal(t, numbers(4, 3), r.take("s", 3))
	r.restart()
	log.addN(7, 4)
	require.Equal(t, numbers(7, 4), r.take("s", 4))
}

// A client that was away misses nothing, however much there was meanwhile, across a restart of the process as well.
func TestAClientThatWasAwayMissesNoChange(t *testing.T) {
	t.Parallel()
	const n = 3 * journalPage
	log := newFakeLog()
	r := newRig(t, withLog(log), func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.absent, s.window = make(chan struct{}), 1 }
	})
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(97)) })
	l := r.changes("s", "earliest")
	log.addN(1, n/2)
	r.restart()
	log.addN(1+n/2, n-n/2)
	r.eventually(func() bool { // how much waits is known nevertheless
		lag := r.state("s").LagTransactions
		return lag != nil && *lag == n
	})
	r.factory.of("s").come()
	require.Equal(t, numbers(1, n), r.take("s", n))
	r.stored(l, ffcapi.BlockStart(n+1).String())
}

func TestTheLogIsNotReadWhileNobodyListens(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 1)
	r := newRig(t, withLog(log), func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.absent = make(chan struct{}) }
	})
	r.stream("s")
	r.changes("s", "latest")
	following := func() bool { _, known, _ := r.m.journal.newest(); return known }
	require.False(t, following())
	r.factory.of("s").come()
	log.addN(2, 1)
	require.Equal(t, numbers(2, 1), r.take("s", 1))
	require.True(t, following())
	r.factory.of("s").leave()
	log.addN(3, 1) // wakes the reader, which finds nobody
	r.eventually(func() bool { return !following() })
	before := log.pagesRead()
	log.addN(4, 1)
	r.factory.of("s").come()
	require.Equal(t, numbers(3, 2), r.take("s", 2))
	require.Positive(t, log.pagesRead()-before)
}

func TestALogTrimmedBelowThePositionFailsTheStream(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"in the newest page": 0, "in the past": 3 * journalPage} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newFakeLog()
			log.addN(1, 20+more)
			r := newRig(t, withLog(log))
			r.stream("s", suspended)
			l := r.changes("s", "5")
			log.trim(6)
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			r.eventually(func() bool { return r.state("s").State == stateFailed })
			require.Equal(t, `trimmed: the log begins at 7, and listener "transactions" goes on after 5: what is between is lost; reset the listener to earliest or latest`,
				r.state("s").LastError)
			r.quiet("s")
			_, err := r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("earliest"))}, false)
			require.NoError(t, err)
			require.Equal(t, numbers(7, 14), r.take("s", 14))
		})
	}
}

// What Consumed lets go is never missed, though sequences have gaps.
func TestWhatIsConsumedCanBeTrimmed(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log))
	r.stream("events")
	r.listen("events", "l", "A")
	require.Equal(t, int64(math.MaxInt64), r.m.Consumed(), "nobody needs it")
	r.stream("first")
	r.changes("first", "earliest")
	require.Zero(t, r.m.Consumed())
	log.add(tx("1"), tx("2"), tx("3"), tx("4"))
	log.add(tx("20", func(e *store.StatusEntry) { e.Seq = 20 }), tx("21"))
	r.stream("second", suspended)
	second := r.changes("second", "4")
	require.Equal(t, []string{"1", "2", "3", "4", "20", "21"}, r.take("first", 6))
	r.restart()
	require.Equal(t, int64(3), r.m.Consumed(), "also for a stream that does not run")
	require.Equal(t, uint64(17), *r.state("second").LagTransactions, "which says how much it keeps")
	log.trim(r.m.Consumed())
	require.NoError(t, r.m.ResumeStream(t.Context(), "second"))
	require.Equal(t, []string{"20", "21"}, r.take("second", 2))
	r.stored(second, ffcapi.BlockStart(22).String())
	require.Equal(t, int64(20), r.m.Consumed())
	log.trim(20)
	r.restart()
	log.add(tx("40", func(e *store.StatusEntry) { e.Seq = 40 }))
	require.Equal(t, []string{"40"}, r.take("first", 1))
	require.Equal(t, []string{"40"}, r.take("second", 1))
	r.store.setFault(func(string) error { return errTest })
	require.Zero(t, r.m.Consumed(), "it cannot be told")
	r.store.setFault(nil)
}

func TestEventsAndChangesShareAStream(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log), windowed(5))
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
	events, changes := r.listen("s", "l", "A"), r.changes("s", "earliest")
	r.chain.mine("A")
	log.addN(1, 1)
	one, two := r.live("s"), r.live("s")
	kinds := map[string]*delivered{one.Events[0].Listener.ID: one, two.Events[0].Listener.ID: two}
	two.finish(nil)
	one.finish(nil)
	r.stored(events, "000000000002/000000/000000")
	r.stored(changes, "000000000002/000000/000000")
	require.Equal(t, []string{"1"}, r.txIDs(kinds[changes]))
	require.Equal(t, []string{"1/0"}, ids(t, kinds[events].Batch))
	r.caughtUp("s")
	require.Zero(t, *r.state("s").LagTransactions)
}

// A thousand listeners in fifty streams cost one read of what is new, and share the pages of the past.
func TestManyListenersShareTheReading(t *testing.T) {
	t.Parallel()
	const streams, each, past = 50, 20, journalPage + 1
	log := newFakeLog()
	log.addN(1, past)
	r := newRig(t, withLog(log), func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.absent, s.window = make(chan struct{}), 1 }
	})
	for i := range streams {
		name := strconv.Itoa(i)
		r.stream(name, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10000)) }, suspended)
		for range each {
			r.changes(name, "400")
		}
	}
	before := log.pagesRead()
	take := func(n int) {
		for i := range streams {
			for got := 0; got < each*n; {
				d := r.live(strconv.Itoa(i))
				got += len(d.Events)
				d.finish(nil)
			}
		}
	}
	for i := range streams {
		require.NoError(t, r.m.ResumeStream(t.Context(), strconv.Itoa(i)))
	}
	for i := range streams {
		r.factory.of(strconv.Itoa(i)).come()
	}
	take(past - 400)
	// The two pages are read once, each with a look at the beginning of the log.
	require.LessOrEqual(t, log.pagesRead()-before, 4)
	before = log.pagesRead()
	log.addN(past+1, 1)
	take(1)
	require.Equal(t, 1, log.pagesRead()-before)
}

func TestALogThatCannotBeReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 2)
	r := newRig(t, withLog(log))
	r.stream("s", suspended)
	r.changes("s", "earliest")
	log.set(func(l *fakeLog) { l.fault = errTest })
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	r.eventually(func() bool { return r.state("s").State == stateCatchup })
	log.set(func(l *fakeLog) { l.fault = nil })
	require.Equal(t, numbers(1, 2), r.take("s", 2))

	// A wake-up that is lost on the way costs a second at most.
	log.set(func(l *fakeLog) { l.mute = true })
	began := time.Now()
	log.addN(3, 1)
	require.Equal(t, numbers(3, 1), r.take("s", 1))
	require.Less(t, time.Since(began), 5*time.Second)
}

// Listeners of a stream that stand apart are read together, and each gets only what is its own.
func TestListenersOfChangesThatStandApart(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 20)
	r := newRig(t, withLog(log))
	r.stream("s")
	r.changes("s", "earliest")
	require.Equal(t, numbers(1, 20), r.take("s", 20))
	second := r.changes("s", "15")
	log.addN(21, 1)
	got := make(map[string][]string)
	for n := 0; n < 7; {
		d := r.live("s")
		for i, id := range r.txIDs(d) {
			name := d.Events[i].Listener.ID
			got[name] = append(got[name], id)
			n++
		}
		d.finish(nil)
	}
	require.Equal(t, numbers(16, 6), got[second])
	require.Len(t, got, 2)
	r.quiet("s")
}

// A listener that nothing matches moves on as well, so that the log can be trimmed behind it.
func TestProgressWithoutAMatchIsStored(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log), func(r *rig) { r.opts.CheckpointInterval = time.Millisecond })
	r.stream("s")
	l := r.changes("s", "earliest", `{"status":"Failed"}`)
	log.addN(1, 20)
	r.stored(l, ffcapi.BlockStart(21).String())
	require.Equal(t, int64(19), r.m.Consumed())
}
