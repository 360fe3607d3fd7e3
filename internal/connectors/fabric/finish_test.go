package fabric

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// What Finish returns is sent as it is, whatever happens to the peers meanwhile, and says what is known since it was endorsed.
func TestFinishEndorsesOnce(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c, ctx := connectTo(t, EndorseAtSubmit, f), t.Context()
	sub := latePrepared(t, c, "a")
	require.Empty(t, sub.Prepared.ConflictKeys)
	done, err := c.Finish(ctx, sub)
	require.NoError(t, err)
	require.Len(t, f.endorsed, 1)
	require.Zero(t, f.submits, "nothing is sent")
	require.Equal(t, sub.Prepared.Hash, done.Hash)
	require.Equal(t, sub.Prepared.Ledger, done.Ledger)
	require.Equal(t, []string{"ch1/assets/a"}, done.ConflictKeys)
	require.Zero(t, done.SendBefore)

	complete := *sub
	complete.Prepared = done
	again, err := c.Finish(ctx, &complete)
	require.NoError(t, err)
	require.Nil(t, again, "nothing is left")
	for range 2 {
		_, err = c.Submit(ctx, &complete)
		require.NoError(t, err)
	}
	require.Equal(t, 2, f.submits)
	require.Len(t, f.endorsed, 1)
	r, err := c.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: done.Hash})
	require.NoError(t, err)
	require.True(t, r.Success)
}

// Peers forget transient data a while after they have endorsed, not after the request was accepted.
func TestFinishSaysForHowLongItMayWait(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connectTo(t, EndorseAtSubmit, f)
	r := fakeRequest("user1", "create", "a", "1")
	r.Options = json.RawMessage(`{"transient":{"secret":"s"}}`)
	p, err := c.Prepare(t.Context(), r)
	require.NoError(t, err)
	began := time.Now()
	done, err := c.Finish(t.Context(), &ffcapi.Submission{Prepared: p, From: r.From, To: r.To})
	require.NoError(t, err)
	require.True(t, done.Sensitive)
	require.False(t, done.SendBefore.Before(began.Add(c.cfg.TransientRetention)))
	require.False(t, done.SendBefore.After(time.Now().Add(c.cfg.TransientRetention)))
}

func TestFinishRefuses(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c, ctx := connectTo(t, EndorseAtSubmit, f), t.Context()
	sub := latePrepared(t, c, "a")
	f.set(func() { f.refuse = status.Error(codes.Unavailable, "away") })
	_, err := c.Finish(ctx, sub)
	require.Equal(t, stageEndorse, requireKind(t, err, ffcapi.Unavailable, "away").Stage)
	f.set(func() { f.refuse = f.says("chaincode response 500, out of stock") })
	_, err = c.Finish(ctx, sub)
	require.Equal(t, "out of stock", requireKind(t, err, ffcapi.Reverted, "out of stock").Message)
	_, err = c.Finish(ctx, &ffcapi.Submission{Prepared: &ffcapi.Prepared{Ledger: "ch1", Payload: []byte("\xff")}, From: "user1"})
	requireKind(t, err, ffcapi.InvalidInput, "payload: it is not")
	require.Zero(t, f.submits)
}

// A peer that was asked and went silent may have passed on what it was given.
func TestASilentPeerMayHaveTakenIt(t *testing.T) {
	t.Parallel()
	c := connect(t, newFakePeer(t))
	e := callError(t.Context(), stageSubmit, c.peers.order()[0].silent())
	require.Equal(t, ffcapi.Unavailable, e.Kind)
	require.Equal(t, ffcapi.SentMaybe, e.Sent)
}
