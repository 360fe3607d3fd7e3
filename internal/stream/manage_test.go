package stream

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestCreateStreamDefaultsAndShape(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("s")})
	require.NoError(t, err)
	require.NotNil(t, s.ID)
	require.NotNil(t, s.Created)
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(raw, &got))
	delete(got, "id")
	delete(got, "created")
	delete(got, "updated")
	require.Equal(t, map[string]any{
		"name": "s", "suspended": false, "type": "websocket", "errorHandling": "block", "batchSize": 50.0, "batchTimeout": "5s",
		"retryTimeout": "30s", "blockedRetryDelay": "30s", "websocket": map[string]any{"distributionMode": "load_balance"},
	}, got)
}

func TestStreamAliases(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// What FireFly Core sends.
	s, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{
		Name: ptr("topic"), ErrorHandling: ptr("SKIP"), BatchSize: ptr(uint64(50)), BatchTimeoutMS: ptr(uint64(500)),
		RetryTimeoutSec: ptr(uint64(7)), BlockedRetryDelaySec: ptr(uint64(8)), Type: ptr("WebSocket"), Timestamps: ptr(true),
		WebSocket: json.RawMessage(`{"topic":"topic"}`),
	})
	require.NoError(t, err)
	require.Equal(t, fftypes.FFDuration(500*time.Millisecond), *s.BatchTimeout)
	require.Equal(t, fftypes.FFDuration(7*time.Second), *s.RetryTimeout)
	require.Equal(t, fftypes.FFDuration(8*time.Second), *s.BlockedRetryDelay)
	require.Equal(t, "skip", *s.ErrorHandling)
	require.JSONEq(t, `{"distributionMode":"load_balance"}`, string(s.WebSocket))

	// And sends again as a PATCH when it starts the next time: nothing changes, nothing is disturbed.
	r.chain.mine("A")
	r.listen("topic", "l", "A")
	d := r.live("topic")
	again, err := r.m.UpdateStream(t.Context(), "topic", &apitypes.EventStream{
		Name: ptr("topic"), ErrorHandling: ptr("skip"), BatchTimeoutMS: ptr(uint64(500)), WebSocket: json.RawMessage(`{"topic":"topic"}`),
	})
	require.NoError(t, err)
	require.Equal(t, s.Updated, again.Updated)
	require.NoError(t, d.ctx.Err())
	d.finish(nil)
}

func TestStreamInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("taken")
	for field, body := range map[string]*apitypes.EventStream{
		"name":                 {},
		"name ":                {Name: ptr("")},
		"name  ":               {Name: ptr("a\nb")},
		"name   ":              {Name: ptr(" a")},
		"type":                 {Name: ptr("x"), Type: ptr("webhook")},
		"type ":                {Name: ptr("x"), Type: ptr("bogus")},
		"errorHandling":        {Name: ptr("x"), ErrorHandling: ptr("bogus")},
		"batchSize":            {Name: ptr("x"), BatchSize: ptr(uint64(0))},
		"batchSize ":           {Name: ptr("x"), BatchSize: ptr(uint64(10001))},
		"batchTimeout":         {Name: ptr("x"), BatchTimeout: ptr(fftypes.FFDuration(-1))},
		"batchTimeoutMS":       {Name: ptr("x"), BatchTimeoutMS: ptr(^uint64(0))},
		"retryTimeout":         {Name: ptr("x"), RetryTimeout: ptr(fftypes.FFDuration(-1))},
		"blockedRetryDelay":    {Name: ptr("x"), BlockedRetryDelay: ptr(fftypes.FFDuration(0))},
		"blockedRetryDelaySec": {Name: ptr("x"), BlockedRetryDelaySec: ptr(uint64(0))},
		"webhook":              {Name: ptr("x"), Webhook: json.RawMessage(`{"url":"http://x"}`)},
		"websocket.topic":      {Name: ptr("x"), WebSocket: json.RawMessage(`{"topic":"y"}`)},
		"websocket":            {Name: ptr("x"), WebSocket: json.RawMessage(`[]`)},
	} {
		_, err := r.m.CreateStream(t.Context(), body)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, field)
		require.Equal(t, trimmed(field), inv.Field)
		require.NotEmpty(t, inv.Fix, field)
	}
	_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("taken")})
	require.ErrorIs(t, err, store.ErrConflict)
	all, err := r.m.Streams(t.Context(), 0, "")
	require.NoError(t, err)
	require.Len(t, all, 1, "nothing is half created")
}

func trimmed(s string) string {
	for s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func TestUnknownStreamsAndListeners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.stream("other")
	ctx := t.Context()
	_, err := r.m.Stream(ctx, "x")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.m.UpdateStream(ctx, "x", &apitypes.EventStream{})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, r.m.DeleteStream(ctx, "x"), store.ErrNotFound)
	require.ErrorIs(t, r.m.SuspendStream(ctx, "x"), store.ErrNotFound)
	require.ErrorIs(t, r.m.ResumeStream(ctx, "x"), store.ErrNotFound)
	_, err = r.m.CreateListener(ctx, "x", &apitypes.Listener{Filters: filters("A")})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.m.Listener(ctx, "s", "x")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.m.Listener(ctx, "other", l)
	require.ErrorIs(t, err, store.ErrNotFound, "it is another stream's")
	_, err = r.m.ResetListener(ctx, "other", l, nil, false)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, r.m.DeleteListener(ctx, "other", l), store.ErrNotFound)
	_, err = r.m.Listener(ctx, "", l)
	require.NoError(t, err)
	_, err = r.m.Listener(ctx, "s", "l")
	require.NoError(t, err, "within a stream a name will do")
	_, err = r.m.Streams(ctx, 10, "x")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.m.Listeners(ctx, "", 10, "x")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestListsArePages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, n := range []string{"c", "a", "b"} {
		r.stream(n)
		r.listen(n, "l", "A")
	}
	page, err := r.m.Streams(t.Context(), 2, "")
	require.NoError(t, err)
	require.Equal(t, []string{"c", "a"}, []string{*page[0].Name, *page[1].Name})
	rest, err := r.m.Streams(t.Context(), 2, page[1].ID.String())
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, "b", *rest[0].Name)
	require.Equal(t, "started", rest[0].Status)

	all, err := r.m.Listeners(t.Context(), "", 2, "")
	require.NoError(t, err)
	require.Len(t, all, 2)
	all, err = r.m.Listeners(t.Context(), "", 2, all[1].ID.String())
	require.NoError(t, err)
	require.Len(t, all, 1)
	one, err := r.m.Listeners(t.Context(), "a", 0, "")
	require.NoError(t, err)
	require.Len(t, one, 1)
}

func TestListenerShapeNamesAndAliases(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream := r.stream("s")
	r.chain.mine("A")
	l, err := r.m.CreateListener(t.Context(), "", &apitypes.Listener{Stream: fftypes.MustParseUUID(stream), Filters: filters("A")})
	require.NoError(t, err)
	require.Equal(t, "fake:A", *l.Name, "the resolved signature")
	require.Equal(t, "fake:A", *l.Signature)
	require.Equal(t, apitypes.BlockNumber("latest"), *l.FromBlock)
	require.Equal(t, "events", *l.Type)
	got, err := r.m.Listener(t.Context(), "", l.ID.String())
	require.NoError(t, err)
	require.Equal(t, uint64(2), got.Checkpoint.Block, "latest was resolved to the block after the head")

	l, err = r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Filters: filters("A")})
	require.NoError(t, err)
	require.Equal(t, "fake:A-2", *l.Name, "made unique")
	_, err = r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Filters: filters("A"), Name: ptr("fake:A")})
	require.ErrorIs(t, err, store.ErrConflict)

	def := &store.Listener{}
	require.NoError(t, applyListener(def, &apitypes.Listener{
		Event: json.RawMessage(`{"name":"E"}`), Address: json.RawMessage(`"0x1"`), Methods: []json.RawMessage{json.RawMessage(`{"name":"m"}`)},
		Options: json.RawMessage(`{"x":1}`),
	}))
	require.JSONEq(t, `{"event":{"name":"E"},"address":"0x1"}`, string(def.Filters[0]))
	require.JSONEq(t, `{"x":1,"signer":true,"methods":[{"name":"m"}]}`, string(def.Options))
	require.NoError(t, applyListener(def, &apitypes.Listener{Methods: []json.RawMessage{json.RawMessage(`{"name":"n"}`)}}))
	require.JSONEq(t, `{"x":1,"signer":true,"methods":[{"name":"n"}]}`, string(def.Options), "other options stay")
}

func TestListenerInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	for field, body := range map[string]*apitypes.Listener{
		"type":    {Type: ptr("logs"), Filters: filters("A")},
		"name":    {Name: ptr(""), Filters: filters("A")},
		"options": {Options: json.RawMessage(`7`), Methods: filters("m"), Filters: filters("A")},
	} {
		_, err := r.m.CreateListener(t.Context(), "s", body)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, field)
		require.Equal(t, field, inv.Field)
	}
	_, err := r.m.CreateListener(t.Context(), "", &apitypes.Listener{Filters: filters("A")})
	require.ErrorContains(t, err, "stream")
	_, err = r.m.CreateListener(t.Context(), "s", &apitypes.Listener{})
	require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), "the chain judges filters")
	list, err := r.m.Listeners(t.Context(), "s", 0, "")
	require.NoError(t, err)
	require.Empty(t, list)

	r.chain.mine("A")
	r.listen("s", "taken", "A")
	d := r.live("s")
	_, err = r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Name: ptr("taken"), Filters: filters("A")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.NoError(t, d.ctx.Err(), "a refused listener disturbs nothing")
}

func TestUpdateTakesEffectAtOnceAndMovesNoCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A", "A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.live("s").finish(nil)
	r.stored(l, "000000000001/000002/000000")
	_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(1))})
	require.NoError(t, err)
	d := r.live("s")
	require.Equal(t, []string{"1/2"}, ids(t, d.Batch))

	_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Name: ptr("renamed")})
	require.NoError(t, err)
	<-d.ctx.Done()
	d = r.live("renamed")
	require.Equal(t, []string{"1/2"}, ids(t, d.Batch))
	require.True(t, r.factory.of("s").closed)
	r.stream("other")
	_, err = r.m.UpdateStream(t.Context(), "renamed", &apitypes.EventStream{Name: ptr("other")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.NoError(t, d.ctx.Err(), "nothing is disturbed")
	_, err = r.m.UpdateStream(t.Context(), "renamed", &apitypes.EventStream{BatchSize: ptr(uint64(0))})
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	d := r.live("s")
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	<-d.ctx.Done()
	d.finish(nil)
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"), "again")
	require.Equal(t, stateSuspended, r.state("s").State)
	r.restart()
	require.Equal(t, stateSuspended, r.state("s").State)
	r.quiet("s")
	_, stored := r.store.checkpoint(l)
	require.False(t, stored)
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"), "again")
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch))
}

func TestResetDeliversAgainFromANewBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 4 {
		r.chain.mine("A", "B")
	}
	r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(100)) })
	a, b := r.listen("s", "a", "A"), r.listen("s", "b", "B")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s")) // so that one run reads for both
	r.live("s").finish(nil)
	r.stored(a, "000000000005/000000/000000")
	r.stored(b, "000000000005/000000/000000")
	l, err := r.m.ResetListener(t.Context(), "s", a, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("3"))}, false)
	require.NoError(t, err)
	require.Equal(t, apitypes.BlockNumber("3"), *l.FromBlock)
	d := r.live("s")
	require.Equal(t, []string{"3/0", "4/0"}, ids(t, d.Batch), "only the one that was reset")
	before := d.Events[0].DedupID()
	d.finish(nil)
	r.stored(a, "000000000005/000000/000000")
	_, err = r.m.ResetListener(t.Context(), "", a, &apitypes.Listener{}, false)
	require.NoError(t, err)
	d = r.live("s")
	require.Equal(t, []string{"3/0", "4/0"}, ids(t, d.Batch))
	require.NotEqual(t, before, d.Events[0].DedupID(), "a wanted replay is no repetition")
}

func TestUpdateListener(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.live("s").finish(nil)
	r.stored(l, "000000000002/000000/000000")
	ctx := t.Context()
	up, err := r.m.UpdateListener(ctx, "s", l, &apitypes.Listener{Name: ptr("new"), FromBlock: ptr(apitypes.BlockNumber("earliest"))})
	require.NoError(t, err)
	require.Equal(t, "new", *up.Name)
	r.chain.mine("A")
	d := r.live("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch), "the checkpoint stays")
	require.Contains(t, string(d.Body), `"listenerName":"new"`)

	var inv *apitypes.Invalid
	_, err = r.m.UpdateListener(ctx, "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("1"))})
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "fromBlock", inv.Field)
	_, err = r.m.UpdateListener(ctx, "s", l, &apitypes.Listener{Filters: filters("B")})
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "filters", inv.Field)
	require.NoError(t, d.ctx.Err(), "a refused change disturbs nothing")
	_, err = r.m.UpdateListener(ctx, "", l, &apitypes.Listener{Name: ptr("new")})
	require.NoError(t, err)
	require.NoError(t, d.ctx.Err(), "nor does one that changes nothing")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "B")
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	a := r.listen("s", "a", "A")
	r.listen("s", "b", "B")
	require.NoError(t, r.m.DeleteListener(t.Context(), "s", a))
	require.Equal(t, []string{"1/1"}, ids(t, r.live("s").Batch))

	r.store.setFault(func(call string) error {
		if call == "DeleteStream" {
			return store.ErrUnavailable
		}
		return nil
	})
	require.ErrorIs(t, r.m.DeleteStream(t.Context(), "s"), store.ErrUnavailable)
	require.Equal(t, []string{"1/1"}, ids(t, r.live("s").Batch), "it runs on")
	r.store.setFault(nil)
	require.NoError(t, r.m.DeleteStream(t.Context(), "s"))
	require.True(t, r.factory.of("s").closed)
	require.ErrorIs(t, r.m.DeleteStream(t.Context(), "s"), store.ErrNotFound)
	r.stream("s") // the name is free
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, windowed(2))
	r.chain.mine("A", "A", "A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	a := r.live("s")
	r.live("s")
	r.eventually(func() bool { return r.state("s").InFlightBatches == 2 })
	st := r.state("s")
	require.Equal(t, uint64(1), *st.HeadBlock)
	require.Equal(t, uint64(2), *st.LagBlocks)
	a.finish(nil)
	r.eventually(func() bool { return r.state("s").Delivered == 2 })
	require.Equal(t, uint64(1), *r.state("s").LagBlocks)
	r.eventually(func() bool { return r.state("s").State == stateLive })
	got, err := r.m.Listener(t.Context(), "", l)
	require.NoError(t, err)
	require.False(t, got.Catchup)
}

func TestTwoNodesInOneProcessAndStopBeforeStart(t *testing.T) {
	t.Parallel()
	a, b := newRig(t), newRig(t)
	a.stream("s")
	b.stream("s")
	m, err := New(a.opts)
	require.NoError(t, err)
	_, err = m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("x")})
	require.ErrorIs(t, err, apitypes.ErrStopping)
	require.NoError(t, m.Stop(t.Context()))
	require.Error(t, m.Start(t.Context()))
	require.NoError(t, a.m.Stop(t.Context()))
	require.ErrorIs(t, a.m.SuspendStream(t.Context(), "s"), apitypes.ErrStopping)
}

func TestAStoreThatFailsAtStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.setFault(func(call string) error {
		if call == "Streams" {
			return store.ErrUnavailable
		}
		return nil
	})
	m, err := New(r.opts)
	require.NoError(t, err)
	require.ErrorIs(t, m.Start(t.Context()), store.ErrUnavailable)
	r.store.setFault(nil)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, spoil := range map[string]func(*Options){
		"connector": func(o *Options) { o.Connector = nil },
		"store":     func(o *Options) { o.Store = nil },
		"chain":     func(o *Options) { o.Chain = nil },
		"fence":     func(o *Options) { o.Fence = nil },
		"websocket": func(o *Options) { o.Sinks = append(o.Sinks, o.Sinks[0]) },
	} {
		o := r.opts
		spoil(&o)
		_, err := New(o)
		require.ErrorContains(t, err, name)
	}
}
