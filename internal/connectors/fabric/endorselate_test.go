package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// latePrepared prepares a create without asking a peer.
func latePrepared(t *testing.T, c *Connector, id string) *ffcapi.Submission {
	t.Helper()
	r := fakeRequest("user1", "create", id, "1")
	p, err := c.Prepare(t.Context(), r)
	require.NoError(t, err)
	return &ffcapi.Submission{Prepared: p, From: r.From, To: r.To}
}

func TestEndorseAtSubmit(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c, ctx := connectTo(t, EndorseAtSubmit, f), t.Context()
	f.set(func() { f.refuse = status.Error(codes.Unavailable, "away") })
	sub := latePrepared(t, c, "a")
	require.NotEmpty(t, sub.Prepared.Hash, "the id is known before anybody was asked")
	require.Empty(t, f.endorsed)

	_, err := c.Submit(ctx, sub)
	e := requireKind(t, err, ffcapi.Unavailable, "away")
	require.Equal(t, ffcapi.SentNo, e.Sent, "nothing went to an orderer")
	require.Equal(t, stageEndorse, e.Stage)
	require.Equal(t, sub.Prepared.Hash, e.Hash)

	f.set(func() {
		f.refuse = f.says("error validating proposal: access denied: channel [ch1] creator org [Org1MSP]")
	})
	_, err = c.Submit(ctx, sub)
	e = requireKind(t, err, ffcapi.Unauthorized, `identity "user1" of Org1MSP`)
	require.Equal(t, ffcapi.SentNo, e.Sent)

	f.set(func() { f.refuse = nil })
	for range 2 { // endorsed anew each time: the orderer holds both back
		f.set(func() { f.paused = true })
		s, err := c.Submit(ctx, sub)
		require.NoError(t, err)
		require.Equal(t, sub.Prepared.Hash, s.Hash)
	}
	f.set(func() { f.order(f.pool...) })
	r, err := c.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: sub.Prepared.Hash})
	require.NoError(t, err)
	require.True(t, r.Success, "the second copy, whatever became of it, is not the outcome")

	_, err = c.Submit(ctx, sub)
	e = requireKind(t, err, ffcapi.KnownTransaction, "duplicate transaction found")
	require.Equal(t, ffcapi.SentYes, e.Sent)
	require.Equal(t, sub.Prepared.Hash, e.Hash)
}

// The chaincode refuses because of what an earlier copy did, which was committed after the endorser had looked for its id.
func TestLateRefusalOfACommittedCopy(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c, ctx := connectTo(t, EndorseAtSubmit, f), t.Context()
	sub := latePrepared(t, c, "a")
	_, err := c.Submit(ctx, sub)
	require.NoError(t, err)
	f.set(func() { f.late = true })
	_, err = c.Submit(ctx, sub)
	require.Equal(t, ffcapi.SentYes, requireKind(t, err, ffcapi.KnownTransaction, "already exists").Sent)

	other := latePrepared(t, c, "a")
	_, err = c.Submit(ctx, other)
	e := requireKind(t, err, ffcapi.Reverted, "asset a already exists")
	require.Equal(t, ffcapi.SentNo, e.Sent)
	require.Equal(t, "asset a already exists", e.Message)
	require.Equal(t, "Org1MSP", e.Peers[0].MSP)
}

// What was prepared under one setting of fabric.endorseAt is sent under the other.
func TestEndorseAtChanges(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	early, late := connectTo(t, EndorseAtAccept, f), connectTo(t, EndorseAtSubmit, f)
	a, b := latePrepared(t, early, "a"), latePrepared(t, late, "b")
	_, err := late.Submit(t.Context(), a)
	require.NoError(t, err)
	_, err = early.Submit(t.Context(), b)
	require.NoError(t, err)
	require.True(t, f.assets["a"])
	require.True(t, f.assets["b"])
}

func TestRenewedIdentity(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connectTo(t, EndorseAtSubmit, f)
	sub := latePrepared(t, c, "a")
	makeIdentity(t, c.cfg.Wallet, "user1", "")
	c.wallet.now = func() time.Time { return time.Now().Add(2 * fresh) }
	_, err := c.Submit(t.Context(), sub)
	e := requireKind(t, err, ffcapi.Conflict, `identity "user1" was renewed`)
	require.Equal(t, ffcapi.SentNo, e.Sent)
	_, err = c.Finish(t.Context(), sub)
	requireKind(t, err, ffcapi.Conflict, `identity "user1" was renewed`)
	require.Empty(t, f.endorsed)

	sub.From = "nobody"
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.SentNo, requireKind(t, err, ffcapi.InvalidInput, `no identity "nobody"`).Sent)
}

// A peer that was not asked has not used its time up.
func TestFinishWithoutTimeAsksNobody(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connectTo(t, EndorseAtSubmit, f)
	sub := latePrepared(t, c, "a")
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err := c.Finish(ctx, sub)
	requireKind(t, err, ffcapi.Timeout, "")
	require.Equal(t, stateCurrent, c.peers.snapshot(c.peers.nodes[0]).State)
}

func TestPayloadsThatAreNone(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connectTo(t, EndorseAtSubmit, f)
	for _, b := range [][]byte{nil, {proposalMark}, {proposalMark, 0xff}, []byte("\xff"), {0x0a, 1, 'x'}, {proposalMark, 0x0a, 1, 'x'}} {
		_, err := c.Submit(t.Context(), &ffcapi.Submission{Prepared: &ffcapi.Prepared{Ledger: "ch1", Payload: b}, From: "user1"})
		require.Equal(t, ffcapi.SentNo, requireKind(t, err, ffcapi.InvalidInput, "payload: it is not").Sent, "%x", b)
	}
}

// proposalOf takes the request apart that the fake peer endorsed last.
func proposalOf(t *testing.T, f *fakePeer) (*peer.ChaincodeProposalPayload, *peer.ChaincodeInput, []string) {
	t.Helper()
	last := f.endorsed[len(f.endorsed)-1]
	var p peer.Proposal
	var payload peer.ChaincodeProposalPayload
	var spec peer.ChaincodeInvocationSpec
	require.NoError(t, proto.Unmarshal(last.GetProposedTransaction().GetProposalBytes(), &p))
	require.NoError(t, proto.Unmarshal(p.GetPayload(), &payload))
	require.NoError(t, proto.Unmarshal(payload.GetInput(), &spec))
	return &payload, spec.GetChaincodeSpec().GetInput(), last.GetEndorsingOrganizations()
}

func TestOptionsReachThePeer(t *testing.T) {
	t.Parallel()
	for _, endorseAt := range []string{EndorseAtAccept, EndorseAtSubmit} {
		f := newFakePeer(t)
		c := connectTo(t, endorseAt, f)
		r := fakeRequest("user1", "create", "a", "1")
		r.Options = json.RawMessage(`{"transient":{"secret":"s","doc":{"n":1}},"endorsingOrganizations":["Org1MSP"],"init":true}`)
		p, err := c.Prepare(t.Context(), r)
		require.NoError(t, err)
		require.True(t, p.Sensitive)
		if endorseAt == EndorseAtAccept {
			require.WithinDuration(t, time.Now().Add(c.cfg.TransientRetention), p.SendBefore, time.Minute)
		} else {
			require.Zero(t, p.SendBefore, "it is endorsed for each send")
		}
		_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: r.From, To: r.To})
		require.NoError(t, err)
		payload, input, orgs := proposalOf(t, f)
		require.Equal(t, map[string][]byte{"secret": []byte("s"), "doc": []byte(`{"n":1}`)}, payload.GetTransientMap())
		require.True(t, input.GetIsInit())
		require.Equal(t, []string{"Org1MSP"}, orgs)
		require.Len(t, f.endorsed, 1)

		plain := latePrepared(t, c, "b")
		require.False(t, plain.Prepared.Sensitive)
		require.Zero(t, plain.Prepared.SendBefore)
		_, err = c.Submit(t.Context(), plain)
		require.NoError(t, err)
		payload, input, orgs = proposalOf(t, f)
		require.Empty(t, payload.GetTransientMap())
		require.False(t, input.GetIsInit())
		require.Empty(t, orgs)
	}
}

// A call that ends without an answer names the chaincode: no peer does.
func TestTimeoutsNameTheChaincode(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	c.cfg.Timeouts.Endorse, c.cfg.Timeouts.Evaluate = 1, 1
	_, err := c.Prepare(t.Context(), fakeRequest("user1", "create", "a", "1"))
	requireKind(t, err, ffcapi.Timeout, "endorse: chaincode ch1/assets: no answer in time")
	_, err = c.Query(t.Context(), fakeRequest("", "read", "a"))
	requireKind(t, err, ffcapi.Timeout, "evaluate: chaincode ch1/assets: no answer in time")

	late := connectTo(t, EndorseAtSubmit, f)
	sub := latePrepared(t, late, "a")
	late.cfg.Timeouts.Endorse = 1
	_, err = late.Submit(t.Context(), sub)
	e := requireKind(t, err, ffcapi.Timeout, "endorse: chaincode ch1/assets: no answer in time")
	require.Equal(t, ffcapi.SentNo, e.Sent)
}

func TestBusyPeers(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		status.Error(codes.ResourceExhausted, "too many requests"),
		status.Error(codes.Unknown, "too many requests for /gateway.Gateway, exceeding concurrency limit (500)"),
	} {
		e := callError(t.Context(), stageEndorse, err)
		require.Equal(t, ffcapi.RateLimited, e.Kind)
		require.Positive(t, e.RetryAfter)
	}
	e := callError(t.Context(), stageSubmit, status.Error(codes.ResourceExhausted, "trying to send message larger than max (5 vs. 4)"))
	require.Equal(t, ffcapi.InvalidInput, e.Kind, "that will not pass")
	require.Equal(t, ffcapi.SentNo, e.Sent)
	require.Zero(t, callError(t.Context(), stageSubmit, errors.New("x")).RetryAfter)
}
