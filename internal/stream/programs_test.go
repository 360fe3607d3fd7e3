package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// program adds a listener to all events from the first block on, with a where and a transform.
func (r *rig) program(stream, name, where, transform string) string {
	r.t.Helper()
	body := &apitypes.Listener{Name: &name, Filters: filters("*"), FromBlock: ptr(apitypes.BlockNumber("earliest"))}
	if where != "" {
		body.Where = &where
	}
	if transform != "" {
		body.Transform = &transform
	}
	l, err := r.m.CreateListener(r.t.Context(), stream, body)
	require.NoError(r.t, err)
	return l.ID.String()
}

func batchOf(n int) func(*apitypes.EventStream) {
	return func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(n)) }
}

// data are the data of the events of a batch.
func data(t testing.TB, d *delivered) []string {
	t.Helper()
	var events []apitypes.Event
	require.NoError(t, json.Unmarshal(d.Body, &events), "%s", d.Body)
	var list []string
	for _, e := range events {
		list = append(list, string(e.Data))
	}
	return list
}

func TestWherePassesOverEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "B", "B", "A", "B")
	r.stream("s", batchOf(10))
	l := r.program("s", "l", `.signature == "A" or .data.n == 4`, "")
	d := r.live("s")
	require.Equal(t, []string{"1/0", "1/3", "1/4"}, ids(t, d.Batch))
	require.Equal(t, []string{`{"n":0}`, `{"n":3}`, `{"n":4}`}, data(t, d), "the events are as they were")
	d.finish(nil)
	r.stored(l, "000000000002/000000/000000")

	r.chain.mine("B", "B")
	r.caughtUp("s")
	r.quiet("s")
	r.stop() // which stores how far the reading went
	cp, _ := r.store.checkpoint(l)
	require.Equal(t, "000000000003/000000/000000", cp.Cursor.String(), "what is passed over moves the checkpoint")
	r.start()
	r.chain.mine("B", "A")
	require.Equal(t, []string{"3/1"}, ids(t, r.live("s").Batch))
}

// TestWhereSeesTheWholeEvent: a program sees what the receiver would.
func TestWhereSeesTheWholeEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s", batchOf(10))
	l := r.program("s", "l", "", "del(.data)")
	d := r.live("s")
	var event map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(d.Events[0].JSON, &event))
	inner := event["data"]
	delete(event, "data")
	outer, err := json.Marshal(event)
	require.NoError(t, err)
	require.JSONEq(t, string(outer), string(inner))
	require.Equal(t, `"`+l+`"`, string(event["listenerId"]))
}

// TestTransformReplacesTheData: all other members stay, so that receivers can still tell repetitions.
func TestTransformReplacesTheData(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "B", "A", "B")
	stream := r.stream("s", batchOf(10))
	l := r.program("s", "l", "", `if .signature == "A" then {was: .data.n, block: .blockNumber} elif .data.n == 3 then null else empty end`)
	d := r.live("s")
	require.Equal(t, []string{"1/0", "1/2", "1/3"}, ids(t, d.Batch), "without output an event is passed over")
	require.Equal(t, []string{`{"block":"1","was":0}`, `{"block":"1","was":2}`, `null`}, data(t, d))
	require.JSONEq(t, `{
		"id": "fake::000000000001/000000/000000", "protocolId": "000000000001/000000/000000", "ledger": "",
		"listenerId": "`+l+`", "listenerName": "l", "listenerType": "events", "streamId": "`+stream+`", "subId": "`+l+`",
		"signature": "A", "address": "fake", "blockHash": "0xa0000001", "blockNumber": "1",
		"transactionHash": "0xa0000001-0", "transactionIndex": "0", "logIndex": "0",
		"timestamp": "2023-11-14T22:13:21.000005Z", "data": {"was": 0, "block": "1"}
	}`, string(d.Events[0].JSON))
	require.Equal(t, "fake::000000000001/000000/000000", d.Events[0].ID)
}

// TestListenersShareNoPrograms: what one listener's programs make of an event is not what its neighbours get.
func TestListenersShareNoPrograms(t *testing.T) {
	t.Parallel()
	for batch := 1; batch <= 7; batch++ {
		r := newRig(t)
		r.stream("s", batchOf(batch), suspended)
		want := map[string][]string{}
		for i, p := range []struct {
			where, transform string
			data             []string
		}{
			{data: []string{`{"n":0}`, `{"n":1}`, `{"n":2}`}},
			{where: `.data.n == 1`, data: []string{`{"n":1}`}},
			{data: []string{`{"n":0}`, `{"n":1}`, `{"n":2}`}},
			{transform: `.data.n + 10`, data: []string{`10`, `11`, `12`}},
			{data: []string{`{"n":0}`, `{"n":1}`, `{"n":2}`}},
			{where: `false`},
			{data: []string{`{"n":0}`, `{"n":1}`, `{"n":2}`}},
			{where: `.data.n > 0`, transform: `.listenerName`, data: []string{`"l7"`, `"l7"`}},
		} {
			name := fmt.Sprint("l", i)
			r.program("s", name, p.where, p.transform)
			if p.data != nil {
				want[name] = p.data
			}
		}
		r.chain.mine("A", "A", "A")
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		got := map[string][]string{}
		for n := 0; n < 3*4+1+3+2; {
			d := r.live("s")
			ids(t, d.Batch) // which looks whether it is well formed
			var events []apitypes.Event
			require.NoError(t, json.Unmarshal(d.Body, &events))
			require.LessOrEqual(t, len(events), batch)
			for _, e := range events {
				got[e.ListenerName] = append(got[e.ListenerName], string(e.Data))
			}
			n += len(events)
			d.finish(nil)
		}
		require.Equal(t, want, got)
		r.caughtUp("s")
		r.quiet("s")
	}
}

// TestAPoisonEventGoesAlone: an event for which a program fails is never passed over. What is before it is delivered, and with errorHandling
// block nothing behind it, until the program is changed.
func TestAPoisonEventGoesAlone(t *testing.T) {
	t.Parallel()
	for field, program := range map[string]string{
		"where":      `if .signature == "B" then error("no answer") else true end`,
		"transform":  `if .signature == "B" then error("no answer") else .data end`,
		"where ":     `if .signature == "B" then true, true else true end`,
		"transform ": `if .signature == "B" then 1, 2 else .data end`,
		"where  ":    `if .signature == "B" then [range(1e9)] else true end`,
		"where   ":   `.signature != "B" or .data.n[0]`,
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chain.mine("A", "A", "A", "B", "A")
			r.stream("s")
			name := strings.TrimSpace(field)
			l := r.program("s", "l", map[string]string{"where": program}[name], map[string]string{"transform": program}[name])
			d := r.live("s")
			require.Equal(t, []string{"1/0", "1/1"}, ids(t, d.Batch))
			d.finish(nil)
			d = r.live("s")
			require.Equal(t, []string{"1/2"}, ids(t, d.Batch), "what was assembled before goes without it")
			d.finish(nil)
			r.eventually(func() bool { return r.state("s").State == "blocked" })
			r.quiet("s")
			require.Contains(t, r.state("s").LastError, `listener "l": `+name+`: the expression`)
			r.stored(l, "000000000001/000003/000000")

			r.restart()
			r.eventually(func() bool { return r.state("s").State == "blocked" })
			r.quiet("s")
			patch := &apitypes.Listener{Where: ptr(""), Transform: ptr("")}
			_, err := r.m.UpdateListener(t.Context(), "s", l, patch)
			require.NoError(t, err)
			d = r.live("s")
			require.Equal(t, []string{"1/3", "1/4"}, ids(t, d.Batch), "the event was kept for the better program")
			require.Equal(t, []string{`{"n":3}`, `{"n":4}`}, data(t, d))
		})
	}
}

// TestProgramsAreChangedAtOnce: a PATCH applies to what was not yet acknowledged, and moves no checkpoint.
func TestProgramsAreChangedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "B", "A", "B", "A", "B")
	r.stream("s")
	l := r.program("s", "l", `.signature == "A"`, "")
	d := r.live("s")
	require.Equal(t, []string{"1/0", "1/2"}, ids(t, d.Batch))
	d.finish(nil)
	r.stored(l, "000000000001/000003/000000")
	require.Equal(t, []string{"1/4"}, ids(t, r.live("s").Batch))

	changed, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: ptr(`.signature == "B"`), Transform: ptr(`.data.n`)})
	require.NoError(t, err)
	require.Equal(t, `.signature == "B"`, *changed.Where)
	require.Equal(t, `.data.n`, *changed.Transform)
	d = r.live("s")
	require.Equal(t, []string{"1/3", "1/5"}, ids(t, d.Batch))
	require.Equal(t, []string{`3`, `5`}, data(t, d))
	d.finish(nil)

	shown, err := r.m.Listener(t.Context(), "s", l)
	require.NoError(t, err)
	require.Equal(t, `.data.n`, *shown.Transform)
	same, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: ptr(`.signature == "B"`)})
	require.NoError(t, err)
	require.Equal(t, changed.Updated, same.Updated, "nothing changed")
	removed, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: ptr(""), Transform: ptr("")})
	require.NoError(t, err)
	require.Nil(t, removed.Where)
	require.Nil(t, removed.Transform)
	r.restart()
	r.chain.mine("A", "B")
	d = r.live("s")
	require.Equal(t, []string{"2/0", "2/1"}, ids(t, d.Batch))
	require.Equal(t, []string{`{"n":0}`, `{"n":1}`}, data(t, d))
}

func TestBadProgramsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.program("s", "l", `.signature == "A"`, "")
	for field, body := range map[string]*apitypes.Listener{
		"where":     {Filters: filters("*"), Where: ptr(".a |\n| .b")},
		"transform": {Filters: filters("*"), Transform: ptr("\n env")},
	} {
		for _, call := range []func() error{
			func() error { _, err := r.m.CreateListener(t.Context(), "s", body); return err },
			func() error {
				_, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: body.Where, Transform: body.Transform})
				return err
			},
			func() error {
				_, err := r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{Where: body.Where, Transform: body.Transform}, false)
				return err
			},
		} {
			var invalid *apitypes.Invalid
			require.ErrorAs(t, call(), &invalid)
			require.Equal(t, field, invalid.Field)
			require.ErrorContains(t, invalid, "line 2, column ")
		}
	}
	shown, err := r.m.Listener(t.Context(), "s", l)
	require.NoError(t, err)
	require.Equal(t, `.signature == "A"`, *shown.Where)
}

// TestProgramsOfStatusChanges: the output is added, since a status change has no data.
func TestProgramsOfStatusChanges(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	r := newRig(t, withLog(log))
	r.stream("s", batchOf(10))
	l, err := r.m.CreateListener(t.Context(), "s", &apitypes.Listener{
		Type: ptr("transactions"), FromBlock: ptr(apitypes.BlockNumber("earliest")),
		Where: ptr(`.sequence | tonumber | . % 2 == 0`), Transform: ptr(`{tx: .id, seq: .sequence}`),
	})
	require.NoError(t, err)
	log.addN(1, 5)
	var got []string
	for len(got) < 2 {
		d := r.live("s")
		for _, e := range d.Events {
			var event struct {
				apitypes.TransactionEvent
				Data json.RawMessage `json:"data"`
			}
			require.NoError(t, json.Unmarshal(e.JSON, &event))
			require.Equal(t, l.ID.String(), event.ListenerID)
			require.JSONEq(t, `{"tx":"`+event.ID+`","seq":"`+event.Sequence+`"}`, string(event.Data))
			require.Equal(t, event.EventID, e.ID)
			got = append(got, event.Sequence)
		}
		d.finish(nil)
	}
	require.Equal(t, []string{"2", "4"}, got)
}

// TestSlowProgramsHoldNobodyUp: a listener whose program does all the work it may for each event holds up neither other streams nor the end
// of its own.
func TestSlowProgramsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("slow", batchOf(500), func(s *apitypes.EventStream) { s.BatchTimeout = ptr(ms(1)) })
	r.stream("other", batchOf(500))
	r.chain.mine(slices.Repeat([]string{"A"}, 500)...)
	const heavy = `[range(20000)] | length > 0`
	l := r.program("slow", "l", heavy, "")
	r.listen("other", "o", "A")
	d := r.live("slow")
	require.Less(t, len(d.Events), 500, "what has passed does not wait for the rest of the page")
	o := r.live("other")
	require.Len(t, o.Events, 500)
	o.finish(nil)
	_, err := r.m.UpdateListener(t.Context(), "slow", l, &apitypes.Listener{Where: ptr(`[range(1e9)]`)})
	require.NoError(t, err)
	require.NoError(t, r.m.SuspendStream(t.Context(), "slow"))
	require.Error(t, d.ctx.Err())
}

// TestProgramsOfBlocks: as with status changes, the output is added.
func TestProgramsOfBlocks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.chain.mine("A", "A")
	r.chain.mine("A")
	r.stream("s", batchOf(10))
	_, err := r.m.CreateListener(t.Context(), "s", &apitypes.Listener{
		Type: ptr(apitypes.ListenerBlocks), FromBlock: ptr(apitypes.BlockNumber("earliest")),
		Where: ptr(`.blockNumber | tonumber | . % 2 == 0`), Transform: ptr(`.blockHash`),
	})
	require.NoError(t, err)
	var got []string
	for len(got) < 2 {
		d := r.live("s")
		got = append(got, data(t, d)...)
		d.finish(nil)
	}
	require.Equal(t, []string{`"0xa0000000"`, `"0xa0000002"`}, got)
}

// TestAPoisonEventIsSetAside: with errorHandling skip an event for which a program fails becomes a dead letter as it was read, and the others
// go on.
func TestAPoisonEventIsSetAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("B", "A", "B", "B", "A")
	id := r.stream("s", skips)
	l := r.program("s", "l", "", `if .signature == "B" then error("no answer for \(.data.n)") else {was: .data.n} end`)
	var got []string
	for len(got) < 2 {
		d := r.live("s")
		got = append(got, data(t, d)...)
		d.finish(nil)
	}
	require.Equal(t, []string{`{"was":1}`, `{"was":4}`}, got)
	r.stored(l, "000000000002/000000/000000")
	letters := r.letters(id)
	require.Len(t, letters, 3)
	for i, n := range []string{"0", "2", "3"} {
		require.Equal(t, store.LetterExpression, letters[i].Kind)
		require.Contains(t, letters[i].Error, `listener "l": transform: the expression fails: error: no answer for `+n)
		var event apitypes.Event
		require.NoError(t, json.Unmarshal(letters[i].Payload, &event))
		require.Equal(t, "B", event.Signature)
		require.JSONEq(t, `{"n":`+n+`}`, string(event.Data), "it is kept as it was read")
	}
	r.eventually(func() bool { return r.state("s").State == stateLive })
}

// TestPoisonEventsAreReplayedWithThePrograms: a dead letter that no program had an answer for goes through those that its listener has by
// now, not around them.
func TestPoisonEventsAreReplayedWithThePrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.stream("s", skips)
	r.chain.mine("B", "B", "B", "B", "A")
	l := r.program("s", "l", "", `if .signature == "B" then error("no answer") else 0 end`)
	r.live("s").finish(nil)
	require.Len(t, r.letters(id), 4)

	_, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{
		Where: ptr(`.data.n != 1`), Transform: ptr(`if .data.n == 2 then error("still none") else {was: .data.n} end`),
	})
	require.NoError(t, err)
	r.ask(id)
	d := r.live("s")
	require.Equal(t, []string{`{"was":0}`}, data(t, d))
	require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
	d.finish(nil)
	d = r.live("s")
	require.Equal(t, []string{`{"was":3}`}, data(t, d))
	d.finish(errNo)
	r.eventually(func() bool {
		left := r.letters(id)
		return len(left) == 2 && left[0].ReplayAsked.IsZero() && left[1].ReplayAsked.IsZero()
	})
	none, refused := r.letters(id)[0], r.letters(id)[1]
	require.Contains(t, none.Error, "still none")
	require.Contains(t, refused.Error, errNo.Error())
	require.JSONEq(t, `{"n":3}`, jsonData(t, refused.Payload), "it is kept as it was read")

	_, err = r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: ptr(""), Transform: ptr(`{now: .data.n}`)})
	require.NoError(t, err)
	r.ask(id)
	d = r.live("s")
	require.Equal(t, []string{`{"now":2}`, `{"now":3}`}, data(t, d))
	d.finish(nil)
	r.eventually(func() bool { return len(r.letters(id)) == 0 })
}

func jsonData(t *testing.T, event []byte) string {
	t.Helper()
	var e apitypes.Event
	require.NoError(t, json.Unmarshal(event, &e))
	return string(e.Data)
}

func TestWithData(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"id":"a","data":{"data":1},"x":2}`:         `{"id":"a","data":[9],"x":2}`,
		`{"data":0,"id":"a", "data" : "}" , "x":2 }`: `{"data":0,"id":"a", "data" : [9] , "x":2 }`,
		`{"id":"}"}`: `{"id":"}","data":[9]}`,
	} {
		got, err := withData([]byte(event), []byte(`[9]`))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}
