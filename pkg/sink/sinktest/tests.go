package sinktest

import (
	"context"
	"crypto/sha256"
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
	absent(t, s.wait(), "done is called soon after the context has ended")
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
	absent(t, s.wait(), "every outstanding done is called")
	require.Error(t, r.send(batch(2, 1, 1)).wait(), "a closed sink takes nothing")
	require.NoError(t, r.sink.Close(ctx), "closing twice is harmless")
	if w, ok := r.sink.(sink.Waiter); ok {
		err := w.Wait(ctx)
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded, "a closed sink lets nobody wait")
	}
}

// A batch may be of any size, and a receiver may take its time to read it.
func testLarge(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	const events = 20_000
	b := batch(1, 1, events)
	s := r.send(b)
	s.open()
	d := r.next(rec)
	require.Len(t, d.Events, len(b.Body))
	require.Equal(t, sha256.Sum256(b.Body), sha256.Sum256(d.Events), "the events arrive as they were encoded")
	d.Ack()
	require.NoError(t, s.wait())
}

// An acknowledgement that comes after the batch was given up counts for the next sending under its number, or changes nothing.
func testLateAck(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	s := r.send(batch(1, 1, 1))
	d := r.next(rec)
	s.cancel()
	absent(t, s.wait(), "the batch was withdrawn")
	d.Ack()
	s = r.send(batch(1, 2, 1))
	answered := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(answered)
		if d, err := rec.Next(ctx); err == nil {
			d.Ack()
		}
	}()
	require.NoError(t, s.wait(), "it is delivered now, if it was not before")
	cancel()
	<-answered
}

// window is how many batches may be in flight to a receiver.
func (r *rig) window() int { return max(1, r.Window) }

// Batches arrive in order up to the window, no further one is sent, and they may be acknowledged in any order.
func testWindow(t *testing.T, r *rig) {
	w, ok := r.sink.(sink.Windowed)
	if !ok {
		t.Skip("this sink takes one batch at a time")
	}
	require.GreaterOrEqual(t, w.Window(), 1)
	rec := r.receive()
	defer rec.Leave()
	require.Equal(t, r.window(), w.Window())
	var sent []*sending
	var got []*Delivery
	for n := range r.window() {
		b := batch(int64(n+1), 1, 2)
		s := r.send(b)
		<-s.returned // as the engine does, before the next
		d := r.next(rec)
		require.Equal(t, string(b.Body), string(d.Events), "in order")
		sent, got = append(sent, s), append(got, d)
	}
	for n := len(got) - 1; n >= 0; n-- {
		sent[n].open()
		got[n].Ack()
		require.NoError(t, sent[n].wait())
	}
}

// A Send that waits for room ends with its context, and its batch is not delivered later.
func testBlocked(t *testing.T, r *rig) {
	_, waits := r.sink.(sink.Waiter)
	if _, ok := r.sink.(sink.Windowed); !ok || !waits {
		t.Skip("this sink does not wait for its receivers")
	}
	rec := r.receive()
	defer rec.Leave()
	var sent []*sending
	var got []*Delivery
	for n := range r.window() {
		s := r.send(batch(int64(n+1), 1, 1))
		<-s.returned
		sent, got = append(sent, s), append(got, r.next(rec))
	}
	blocked := r.send(batch(int64(r.window()+1), 1, 1))
	blocked.cancel()
	absent(t, blocked.wait(), "there was no room")
	<-blocked.returned
	for n, s := range sent {
		s.open()
		got[n].Ack()
		require.NoError(t, s.wait())
	}
	b := batch(int64(r.window()+2), 1, 1)
	s := r.send(b)
	d := r.next(rec)
	require.Equal(t, string(b.Body), string(d.Events))
	d.Ack()
	require.NoError(t, s.wait())
}

// A receiver that does not answer is no refusal.
func testSilence(t *testing.T, r *rig) {
	if r.Impatient == nil {
		t.Skip("this sink waits for ever, or for too long")
	}
	r = newRig(t, r.Impatient(t))
	rec := r.receive()
	b := batch(1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	came := make(chan *Delivery)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := rec.Next(ctx)
			if err != nil {
				return
			}
			select {
			case came <- d:
			case <-ctx.Done():
			}
		}
	}()
	s, _ := r.arrive(ctx, r.send(b), b, came)
	select {
	case err := <-s.result:
		absent(t, err, "the batch was not answered")
	case d := <-came:
		for {
			require.Equal(t, string(b.Body), string(d.Events), "the same batch")
			d.Ack()
			err := s.wait()
			if err == nil {
				break
			}
			absent(t, err, "the answer came too late")
			s, d = r.arrive(ctx, r.send(b), b, came)
		}
	case <-ctx.Done():
		require.FailNow(t, "a receiver that does not answer holds up the stream")
	}
	cancel()
	rec.Leave()
	<-ended
}

// arrive waits until a batch has come to its receiver. On a slow machine the time for an answer may be over before, and it is sent again.
func (r *rig) arrive(ctx context.Context, s *sending, b *sink.Batch, came <-chan *Delivery) (*sending, *Delivery) {
	r.t.Helper()
	for {
		select {
		case d := <-came:
			return s, d
		case err := <-s.result:
			absent(r.t, err, "the batch was not answered")
			s = r.send(b)
		case <-ctx.Done():
			require.FailNow(r.t, "the batch does not arrive")
		}
	}
}

// What one stream's receiver does not do disturbs no other stream.
func testApart(t *testing.T, r *rig) {
	silent := r.receive()
	defer silent.Leave()
	stuck := r.send(batch(1, 1, 1))
	r.next(silent)
	r.open(sink.Stream{ID: "0d7c1f5e-6a43-4f0e-8a0b-3d0c6f1b2e55", Name: "another"})
	rec := r.receive()
	defer rec.Leave()
	for n := int64(1); n <= 5; n++ {
		s := r.send(batch(n, 1, 1))
		d := r.next(rec)
		d.Ack()
		require.NoError(t, s.wait())
	}
	stuck.open()
}

// A closed sink lets no Send wait for a receiver.
func testCloseBlocked(t *testing.T, r *rig) {
	if _, ok := r.sink.(sink.Waiter); !ok {
		t.Skip("this sink does not wait for receivers")
	}
	s := r.send(batch(1, 1, 1))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.sink.Close(ctx))
	absent(t, s.wait(), "the sink was closed")
	<-s.returned
}

// A stream that is changed closes its sink and opens it again; its receivers stay.
func testReopen(t *testing.T, r *rig) {
	rec := r.receive()
	defer rec.Leave()
	for n := int64(1); n <= 3; n++ {
		s := r.send(batch(n, 1, 1))
		d := r.next(rec)
		d.Ack()
		require.NoError(t, s.wait())
		require.NoError(t, r.sink.Close(t.Context()))
		r.open(r.stream)
	}
}

// What is shown holds no secret, and what was shown can be sent back.
func testSecrets(t *testing.T, r *rig) {
	c, ok := r.Factory.(sink.Confidential)
	if !ok {
		t.Skip("the configuration of this sink holds no secrets")
	}
	require.NotEmpty(t, r.Secrets, "the fixture names what must be hidden")
	shown := c.Mask(r.cfg)
	for _, secret := range r.Secrets {
		require.Contains(t, string(r.cfg), secret)
		require.NotContains(t, string(shown), secret)
	}
	kept, err := c.Keep(shown, r.cfg)
	require.NoError(t, err)
	valid, err := r.Factory.Validate(kept)
	require.NoError(t, err)
	require.JSONEq(t, string(r.cfg), string(valid))
	_, err = c.Keep(shown, nil)
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv, "a mask that stands for nothing")
}

// absent checks that a batch failed, and that nobody can take it for a refusal: what is refused may be set aside as a dead letter.
func absent(t *testing.T, err error, why string) {
	t.Helper()
	require.Error(t, err, why)
	require.False(t, sink.IsRefused(err), "%s, and was not refused: %v", why, err)
}
