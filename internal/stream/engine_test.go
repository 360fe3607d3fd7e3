package stream

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestDeliversInOrderAndContinuesAfterRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "B", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")

	d := r.live("s")
	require.Equal(t, []string{"1/0", "1/2"}, ids(t, d.Batch))
	require.Equal(t, 1, d.Attempt)
	d.finish(nil)
	r.stored(l, "000000000002/000000/000000") // the page ended there, and nothing was before it

	r.chain.mine("A")
	d = r.next("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch), "a batch that is not full goes at once when the sink is idle")
	r.restart()

	d = r.live("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch), "it was not acknowledged")
	d.finish(nil)
	r.stored(l, "000000000003/000000/000000")
	r.restart()
	r.chain.mine("A")
	require.Equal(t, []string{"3/0"}, ids(t, r.live("s").Batch))
}

// Where neither an event nor its block has a time, there is none to show.
func TestEventWithoutATime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.noTimes, r.chain.timeless = true, true })
	r.chain.mine("A")
	r.stream("s")
	r.listen("s", "l", "*")
	r.restart()
	body := string(r.live("s").Body)
	require.Contains(t, body, `"blockNumber":"1"`)
	require.NotContains(t, body, "timestamp")
}

func TestWireFormat(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.noTimes = true })
	r.chain.mine("B", `odd "name"`)
	stream := r.stream("s")
	listener := r.listen("s", "my listener", `odd "name"`, "*")
	r.chain.spoil(func(p *ffcapi.EventPage) {
		for i := range p.Events {
			p.Events[i].Info = json.RawMessage(` { "chaincode" : "cc" } `)
		}
	})
	r.restart()
	d := r.live("s")
	require.JSONEq(t, `[{
		"id": "fake::000000000001/000000/000000", "protocolId": "000000000001/000000/000000", "ledger": "",
		"listenerId": "`+listener+`", "listenerName": "my listener", "listenerType": "events",
		"streamId": "`+stream+`", "subId": "`+listener+`",
		"signature": "B", "address": "fake", "blockHash": "0xa0000001", "blockNumber": "1",
		"transactionHash": "0xa0000001-0", "transactionIndex": "0", "logIndex": "0",
		"timestamp": "2023-11-14T22:13:21.000005Z", "chaincode": "cc", "data": {"n": 0}
	}, {
		"id": "fake::000000000001/000001/000000", "protocolId": "000000000001/000001/000000", "ledger": "",
		"listenerId": "`+listener+`", "listenerName": "my listener", "listenerType": "events",
		"streamId": "`+stream+`", "subId": "`+listener+`",
		"signature": "odd \"name\"", "address": "fake", "blockHash": "0xa0000001", "blockNumber": "1",
		"transactionHash": "0xa0000001-1", "transactionIndex": "1", "logIndex": "0",
		"timestamp": "2023-11-14T22:13:21.000005Z", "chaincode": "cc", "data": {"n": 1}
	}]`, string(d.Body))
	require.Equal(t, "fake::000000000001/000000/000000", d.Events[0].ID)
	require.Equal(t, uint64(1), d.Events[0].Block)
}

func TestEventIDsNameTheForkWithoutInstantFinality(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	r.chain.mine("A")
	r.stream("s")
	r.listen("s", "l", "A")
	require.Equal(t, "fake::000000000001/000000/000000/a0000001", r.live("s").Events[0].ID)
}

// windowed lets the sink take several batches at once.
func windowed(n int) func(*rig) {
	return func(r *rig) { r.factory.setup = func(s *fakeSink) { s.window = n } }
}

func TestAcksInAnyOrderMoveTheCheckpointContiguously(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowed(3))
	r.chain.mine("A", "A", "A", "A", "A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	a, b, c := r.live("s"), r.next("s"), r.next("s")
	require.Equal(t, a.Number+1, b.Number)
	require.Equal(t, b.Number+1, c.Number)
	c.finish(nil)
	b.finish(nil)
	a.finish(nil)
	r.stored(l, "000000000002/000000/000000")
	for _, cps := range []string{"000000000001/000002/000000", "000000000001/000004/000000"} {
		cp, _ := r.store.checkpoint(l)
		require.NotEqual(t, cps, cp.Cursor.String())
	}
}

func TestAFailedBatchMakesWhatFollowsGoAgainAfterIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowed(3))
	r.chain.mine("A", "A", "A", "A", "A", "A")
	r.stream("s")
	r.listen("s", "l", "A")
	a, b, c := r.live("s"), r.next("s"), r.next("s")
	b.finish(errTest)
	<-c.ctx.Done()
	require.NoError(t, a.ctx.Err(), "what is before the failed one stays in flight")
	c.finish(nil) // too late: it is void

	again := r.next("s")
	require.Equal(t, b.Number, again.Number, "the failed one keeps its number, which names its content")
	require.Equal(t, b.Body, again.Body)
	require.Equal(t, 2, again.Attempt)
	r.quiet("s") // the rest is held back until it got through
	a.finish(nil)
	again.finish(nil)
	rest := r.next("s")
	require.Equal(t, c.Body, rest.Body)
	require.Greater(t, rest.Number, c.Number, "a number that was void never comes again")
	require.Equal(t, uint64(2), r.state("s").Redelivered-uint64(len(again.Events)))
}

func TestALeavingReceiverIsNoFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowed(2))
	r.chain.mine("A", "A", "A", "A")
	r.stream("s", func(s *apitypes.EventStream) { s.RetryTimeout = ptr(fftime0) })
	r.listen("s", "l", "A")
	a, b := r.live("s"), r.next("s")
	a.finish(sink.ErrNobody)
	b.finish(sink.ErrNobody)
	again, behind := r.next("s"), r.next("s")
	require.Equal(t, a.Number, again.Number)
	require.Equal(t, b.Body, behind.Body)
	require.Greater(t, behind.Number, b.Number)
	require.Empty(t, r.state("s").LastError)
	r.eventually(func() bool { return r.state("s").State == stateLive })
}

func TestABlockedStreamKeepsTryingAndRecovers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s", func(s *apitypes.EventStream) {
		s.RetryTimeout = ptr(fftime0)
		s.BlockedRetryDelay = ptr(ms(1))
	})
	l := r.listen("s", "l", "A")
	var d *delivered
	for range 3 {
		d = r.live("s")
		d.finish(sink.Permanent(errTest))
	}
	require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
	r.eventually(func() bool { return r.state("s").State == stateBlocked })
	require.Contains(t, r.state("s").LastError, "refused")
	_, moved := r.store.checkpoint(l)
	require.False(t, moved)
	r.live("s").finish(nil)
	r.stored(l, "000000000002/000000/000000")
	r.eventually(func() bool { return r.state("s").State == stateLive })
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	r.listen("s", "l", "A")
	d := r.live("s")
	began := time.Now()
	d.finish(&sink.RetryAfter{After: 30 * time.Millisecond, Err: errTest})
	r.live("s").finish(nil)
	require.GreaterOrEqual(t, time.Since(began), 25*time.Millisecond)
}

func TestAPanickingSinkFailsTheBatch(t *testing.T) {
	t.Parallel()
	b := newDelivery(panicSink{}, policy{}, 1, nil, newBudget(1), &stats{}, time.Now)
	f := &flight{batch: &batch{}, number: 1, out: true}
	b.flights = []*flight{f}
	b.send(t.Context(), f)
	require.False(t, f.out)
	_, err := b.stats.lastError()
	require.ErrorContains(t, err, "sink panicked: oops")
}

type panicSink struct{ sink.Sink }

func (panicSink) Send(_ context.Context, _ *sink.Batch, _ func(error)) { panic("oops") }

func TestBatchTimeoutBoundsTheWaitUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := make(chan struct{})
	for range 3 {
		r.chain.mine("A")
	}
	r.chain.set(func(c *fakeChain) {
		c.pageCap = 1
		n := 0
		c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
			if n++; n == 2 {
				<-gate // the second page does not come
			}
			return p
		}
	})
	r.stream("s", func(s *apitypes.EventStream) {
		s.BatchSize = ptr(uint64(100))
		s.BatchTimeout = ptr(ms(20))
		s.Suspended = ptr(true)
	})
	r.listen("s", "l", "A")
	began := time.Now()
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	d := r.live("s")
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond, "more was at hand")
	require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
	close(gate)
	d.finish(nil)
	require.Equal(t, []string{"2/0", "3/0"}, ids(t, r.live("s").Batch))
}

func TestManyListenersCostOneRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 20 {
		r.chain.mine("A", "B")
	}
	r.stream("s", func(s *apitypes.EventStream) {
		s.BatchSize = ptr(uint64(10000))
		s.Suspended = ptr(true)
	})
	var listeners []string
	for i := range 50 {
		listeners = append(listeners, r.listen("s", string(rune('a'+i/26))+string(rune('a'+i%26)), "A"))
	}
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	d := r.live("s")
	require.Len(t, d.Events, 20*50)
	seen := make(map[string]uint64)
	for _, e := range d.Events {
		require.Less(t, seen[e.Listener.ID], e.Block)
		seen[e.Listener.ID] = e.Block
	}
	require.Equal(t, 1, r.chain.pagesRead())
	d.finish(nil)
	for _, l := range listeners {
		r.stored(l, "000000000021/000000/000000")
	}
}

func TestANewListenerReplaysItsPastWithoutLossForTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 300 { // farther than groups are joined at once
		r.chain.mine("A", "B")
	}
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(100)) })
	old := r.listen("s", "old", "A")
	for range 3 {
		r.live("s").finish(nil)
	}
	r.stored(old, "000000000301/000000/000000")

	young := r.listen("s", "young", "B")
	r.chain.mine("A", "B")
	got := map[string][]uint64{}
	for len(got[old]) < 1 || len(got[young]) < 301 {
		d := r.live("s")
		for _, e := range d.Events {
			got[e.Listener.ID] = append(got[e.Listener.ID], e.Block)
		}
		d.finish(nil)
	}
	require.Equal(t, []uint64{301}, got[old])
	for i, block := range got[young] {
		require.Equal(t, uint64(i+1), block)
	}
	r.stored(young, "000000000302/000000/000000")
	r.stored(old, "000000000302/000000/000000")
}

func TestNumbersNeverNameTwoContents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A", "A", "A", "A", "A")
	r.stream("s")
	r.listen("s", "l", "A")
	content := make(map[int64]string)
	for i := range 6 {
		d := r.live("s")
		body, seen := content[d.Number]
		require.True(t, !seen || body == string(d.Body), "number %d", d.Number)
		content[d.Number] = string(d.Body)
		require.Less(t, d.Number, int64(1)<<53)
		switch i % 3 {
		case 0:
			d.finish(errTest)
		case 1:
			d.finish(nil)
		case 2:
			r.restart() // one that is in flight, and another one than before the last restart
		}
	}
	require.Len(t, content, 4, "a batch that goes again in the same run keeps its number")
}

func TestCheckpointsSurviveAStoreThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A", "A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.store.setFault(func(call string) error {
		if call == "WriteCheckpoints" {
			return store.ErrUnavailable
		}
		return nil
	})
	r.live("s").finish(nil)
	r.live("s").finish(nil) // delivery goes on
	r.eventually(func() bool { return r.state("s").LastError == store.ErrUnavailable.Error() })
	r.store.setFault(nil)
	r.stored(l, "000000000002/000000/000000")
}

func TestProgressIsStoredOncePerIntervalAndAtTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s", suspended)
	l := r.listen("s", "l", "A")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	for range 5 {
		r.chain.mine("B")
	}
	r.eventually(func() bool { return r.state("s").LagBlocks != nil && *r.state("s").LagBlocks == 0 })
	_, stored := r.store.checkpoint(l)
	require.False(t, stored, "the interval is an hour")
	r.stop()
	r.stored(l, "000000000006/000000/000000")
	r.start()

	r = newRig(t, func(r *rig) { r.opts.CheckpointInterval = time.Millisecond })
	r.stream("s")
	l = r.listen("s", "l", "A")
	r.chain.mine("B")
	r.stored(l, "000000000002/000000/000000")
}
