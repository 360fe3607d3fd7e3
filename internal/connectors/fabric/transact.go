package fabric

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
)

// Prepare implements ffcapi.Connector: the proposal is signed, and endorsed unless that is left to Submit.
func (c *Connector) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	s, err := c.wallet.signer("from", req.From)
	if err != nil {
		return nil, err
	}
	inv, err := c.invocation(req)
	if err != nil {
		return nil, err
	}
	if done := inContext(ctx, stageEndorse); done != nil {
		return nil, done
	}
	proposed, err := s.propose(inv)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "proposal: %w", err)
	}
	out := &ffcapi.Prepared{Ledger: inv.channel, Hash: proposed.GetTransactionId(), Sensitive: len(inv.transient) > 0}
	if c.cfg.EndorseAt == EndorseAtSubmit {
		if out.Payload, err = proposalPayload(proposed); err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "proposal: %w", err)
		}
		return out, nil
	}
	if err := c.endorseInto(ctx, out, s, proposed, inv); err != nil {
		return nil, err
	}
	return out, nil
}

// endorseInto has a proposal endorsed, and fills in what comes of it.
func (c *Connector) endorseInto(ctx context.Context, out *ffcapi.Prepared, s *signer, proposed *gateway.ProposedTransaction, inv *invocation) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Endorse)
	defer cancel()
	var prepared *gateway.PreparedTransaction
	var result []byte
	err := c.peers.try(ctx, inv.channel, func(n *node) (err error) {
		prepared, result, err = n.endorse(limited, s, proposed, inv.address())
		return s.blame(err)
	})
	if err != nil {
		return err
	}
	if out.Payload, err = signedPayload(prepared); err != nil {
		return ffcapi.Errorf(ffcapi.Internal, "envelope: %w", err)
	}
	if out.ConflictKeys, err = conflictKeys(inv.channel, prepared.GetEnvelope()); err != nil {
		return ffcapi.Errorf(ffcapi.Internal, "transaction %s: %w", out.Hash, err)
	}
	out.Result = asJSON(result)
	if out.Sensitive {
		out.SendBefore = began.Add(c.cfg.TransientRetention)
	}
	return nil
}

func (c *Connector) invocation(req *ffcapi.Request) (*invocation, error) {
	inv, err := parseRequest(req, c.cfg.Channels[0])
	if err != nil {
		return nil, err
	}
	if c.channel(inv.channel) != nil {
		return nil, invalid("to", "there is no channel %q: fabric.channels has %q", inv.channel, c.cfg.Channels)
	}
	return inv, nil
}

// Submit implements ffcapi.Connector: the envelope goes to an orderer, after it was endorsed if Prepare left that to be done. However often
// a payload is endorsed and sent, it has one transaction id, and so at most one effect.
//
// An orderer that takes it does not promise to order it: what became of a transaction is in the blocks, and nowhere else.
func (c *Connector) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	if err := ctx.Err(); err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentNo, Stage: stageSubmit, Message: "no time left", Err: err}
	}
	p, err := readPayload(sub.Prepared.Payload)
	if err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.InvalidInput, Sent: ffcapi.SentNo, Stage: stageSubmit, Message: "payload: " + err.Error(), Err: err}
	}
	sent := false // an earlier peer may have it
	err = c.peers.try(ctx, sub.Prepared.Ledger, func(n *node) error {
		err := c.submitTo(ctx, n, sub, p)
		if err == nil {
			return nil
		}
		e := *ffcapi.AsError(err)
		if sent && e.Sent == ffcapi.SentNo {
			e.Sent = ffcapi.SentMaybe
		}
		sent = e.Sent != ffcapi.SentNo
		return &e
	})
	if err != nil {
		return nil, err
	}
	return &ffcapi.Submitted{Hash: p.prepared.GetTransactionId()}, nil
}

// submitTo is Submit with one peer. What it endorsed stays in p.
func (c *Connector) submitTo(ctx context.Context, n *node, sub *ffcapi.Submission, p *payload) (err error) {
	if p.prepared == nil {
		if p.prepared, err = c.endorseLate(ctx, n, sub, p.proposed); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Submit)
	defer cancel()
	id := p.prepared.GetTransactionId()
	faultpoint.Visit(faultpoint.FabricBeforeSubmit)
	_, err = gateway.NewGatewayClient(n.conn).Submit(limited, &gateway.SubmitRequest{
		TransactionId: id, ChannelId: sub.Prepared.Ledger, PreparedTransaction: p.prepared.GetEnvelope(),
	})
	faultpoint.Visit(faultpoint.FabricAfterSubmit)
	if err != nil {
		e := n.said(callError(limited, stageSubmit, err))
		e.Hash = id
		return e
	}
	return nil
}

// Finish implements ffcapi.Finisher: it has endorsed what Prepare left to be endorsed, and keeps the envelope for all sends.
func (c *Connector) Finish(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Prepared, error) {
	p, err := readPayload(sub.Prepared.Payload)
	switch {
	case err != nil:
		return nil, invalid("payload", "%v", err)
	case p.prepared != nil:
		return nil, nil //nolint:nilnil // it was endorsed when it was accepted
	}
	if done := inContext(ctx, stageEndorse); done != nil {
		return nil, done
	}
	began := time.Now()
	err = c.peers.try(ctx, sub.Prepared.Ledger, func(n *node) (err error) {
		p.prepared, err = c.endorseLate(ctx, n, sub, p.proposed)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := *sub.Prepared
	if out.Payload, err = signedPayload(p.prepared); err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "envelope: %w", err)
	}
	if out.ConflictKeys, err = conflictKeys(out.Ledger, p.prepared.GetEnvelope()); err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "transaction %s: %w", out.Hash, err)
	}
	if out.Sensitive {
		out.SendBefore = began.Add(c.cfg.TransientRetention)
	}
	return &out, nil
}

// endorseLate has the proposal of a submission endorsed. When that fails, nothing has gone to an orderer.
func (c *Connector) endorseLate(
	ctx context.Context, n *node, sub *ffcapi.Submission, proposed *gateway.ProposedTransaction,
) (*gateway.PreparedTransaction, error) {
	fail := func(err error) (*gateway.PreparedTransaction, error) {
		e := *ffcapi.AsError(err)
		e.Hash, e.Sent = proposed.GetTransactionId(), ffcapi.SentNo
		if e.Kind == ffcapi.KnownTransaction { // an earlier copy is on the ledger
			e.Sent = ffcapi.SentYes
		}
		if e.Stage == "" {
			e.Stage = stageEndorse
		}
		return nil, &e
	}
	s, err := c.wallet.signer("from", sub.From)
	if err != nil {
		return fail(err)
	}
	creator, err := creatorOf(proposed.GetProposal().GetProposalBytes())
	if err != nil {
		return fail(err)
	}
	if !bytes.Equal(creator, s.creator) {
		return fail(ffcapi.Errorf(ffcapi.Conflict,
			"identity %q was renewed since the transaction was prepared: it has to be prepared afresh", sub.From))
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Endorse)
	defer cancel()
	prepared, _, err := n.endorse(limited, s, proposed, sub.To)
	err = s.blame(err)
	if ffcapi.KindOf(err).Final() && c.onLedger(limited, n, sub.Prepared.Ledger, proposed.GetTransactionId()) {
		err = ffcapi.Errorf(ffcapi.KnownTransaction, "it is on the ledger: %w", err)
	}
	if err != nil {
		return fail(err)
	}
	return prepared, nil
}

// onLedger tells whether a peer has a transaction on its ledger. A chaincode that refuses one may do so because of what an earlier copy did, when
// that was committed after the endorser had looked for its id.
func (c *Connector) onLedger(ctx context.Context, n *node, channel, id string) bool {
	s, err := c.reader()
	if err != nil {
		return false
	}
	_, e := n.blockOf(ctx, s, channel, id)
	return e == nil
}

// Query implements ffcapi.Connector.
func (c *Connector) Query(ctx context.Context, req *ffcapi.Request) (json.RawMessage, error) {
	from := req.From
	if from == "" {
		from = c.cfg.Identity
	}
	s, err := c.wallet.signer("from", from)
	if err != nil {
		return nil, err
	}
	if req.BlockNumber != "" && req.BlockNumber != "latest" {
		return nil, invalid("blockNumber", "Fabric cannot query the past: leave it out")
	}
	inv, err := c.invocation(req)
	if err != nil {
		return nil, err
	}
	proposed, err := s.propose(inv)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "proposal: %w", err)
	}
	if done := inContext(ctx, stageEvaluate); done != nil {
		return nil, done
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Evaluate)
	defer cancel()
	var result []byte
	err = c.peers.try(ctx, inv.channel, func(n *node) (err error) {
		result, err = n.evaluate(limited, s, proposed, inv.address())
		return s.blame(err)
	})
	if err != nil {
		return nil, err
	}
	if out := asJSON(result); out != nil {
		return out, nil
	}
	return json.RawMessage("null"), nil
}
