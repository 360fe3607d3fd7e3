package sinktest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func testConfiguration(t *testing.T, r *rig) {
	cfg, err := r.Factory.Validate(r.Config)
	require.NoError(t, err)
	again, err := r.Factory.Validate(cfg)
	require.NoError(t, err, "what Validate returns is valid")
	require.JSONEq(t, string(cfg), string(again))
	for _, bad := range r.Bad {
		_, err := r.Factory.Validate(bad)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, "%s", bad)
		require.NotEmpty(t, inv.Fix, "%s", bad)
	}
}

func testOrder(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	for n := int64(1); n <= 20; n++ {
		b := batch(1_000_000_000+n, 1, int(n%4)+1)
		s := r.send(b)
		d := r.next(rec)
		require.Equal(t, string(b.Body), string(d.Events), "the events arrive as they were encoded")
		d.Ack()
		require.NoError(t, s.wait())
	}
}

func testDoneAfterAck(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	s := r.send(batch(1, 1, 2))
	d := r.next(rec)
	s.open()
	d.Ack()
	require.NoError(t, s.wait())
}

func testRefused(t *testing.T, r *rig) {
	if !r.Refuses {
		t.Skip("receivers of this sink cannot refuse")
	}
	rec := r.receive()
	defer rec.Leave()
	for attempt := 1; attempt <= 3; attempt++ {
		s := r.send(batch(7, attempt, 2))
		d := r.next(rec)
		require.Equal(t, string(batch(7, 1, 2).Body), string(d.Events))
		if attempt < 3 {
			d.Nack()
			err := s.wait()
			require.Error(t, err)
			require.True(t, sink.IsRefused(err), "the receiver refused the batch, and the engine has to know: %v", err)
			require.NotErrorIs(t, err, sink.ErrNobody, "a refusal is not an absence")
			continue
		}
		d.Ack()
		require.NoError(t, s.wait())
	}
}

func testLeave(t *testing.T, r *rig) {
	rec := r.receive()
	s := r.send(batch(3, 1, 1))
	r.next(rec)
	rec.Leave()
	absent(t, s.wait(), "the batch was not acknowledged")

	again := r.send(batch(3, 2, 1))
	rec = r.receive()
	defer rec.Leave()
	d := r.next(rec)
	d.Ack()
	require.NoError(t, again.wait())
}

func testNobody(t *testing.T, r *rig) {
	w, ok := r.sink.(sink.Waiter)
	if !ok {
		t.Skip("this sink does not wait for receivers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.Error(t, w.Wait(ctx), "nobody is there")

	s := r.send(batch(1, 1, 1))
	s.cancel()
	require.Error(t, s.wait(), "Send ends with its context")
	<-s.returned

	s = r.send(batch(2, 1, 1))
	rec := r.receive()
	defer rec.Leave()
	d := r.next(rec)
	require.Equal(t, string(batch(2, 1, 1).Body), string(d.Events), "the batch whose context ended is not delivered")
	d.Ack()
	require.NoError(t, s.wait())
}

func testVoid(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	s := r.send(batch(1, 1, 1))
	d := r.next(rec)
	s.cancel()
	require.Error(t, s.wait(), "done is called soon after the context has ended")
	d.Ack() // too late: harmless

	s = r.send(batch(2, 1, 1))
	d = r.next(rec)
	d.Ack()
	require.NoError(t, s.wait(), "the sink works on")
}

func testClose(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	s := r.send(batch(1, 1, 1))
	r.next(rec)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.sink.Close(ctx))
	require.Error(t, s.wait(), "every outstanding done is called")
	require.Error(t, r.send(batch(2, 1, 1)).wait(), "a closed sink takes nothing")
	require.NoError(t, r.sink.Close(ctx), "closing twice is harmless")
	if w, ok := r.sink.(sink.Waiter); ok {
		err := w.Wait(ctx)
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded, "a closed sink lets nobody wait")
	}
}

// absent checks that a batch failed, and that nobody can take it for a refusal: what is refused may be set aside as a dead letter.
func absent(t *testing.T, err error, why string) {
	t.Helper()
	require.Error(t, err, why)
	require.False(t, sink.IsRefused(err), "%s, and was not refused: %v", why, err)
}
