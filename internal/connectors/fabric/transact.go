package fabric

import (
	"context"
	"encoding/json"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Prepare implements ffcapi.Connector: the proposal is signed and endorsed, and the envelope that comes of it is signed.
//
// The payload is a gateway.PreparedTransaction. Nothing in it expires by itself, so it can be sent at any time.
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
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Endorse)
	defer cancel()
	n, failed := c.peers.pick()
	prepared, result, err := n.endorse(limited, s, inv)
	if err != nil {
		if atFault(ctx, err) {
			failed()
		}
		return nil, err
	}
	payload, err := proto.Marshal(prepared)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "envelope: %w", err)
	}
	keys, err := conflictKeys(inv.channel, prepared.GetEnvelope())
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "transaction %s: %w", prepared.GetTransactionId(), err)
	}
	out := &ffcapi.Prepared{
		Ledger: inv.channel, Payload: payload, Hash: prepared.GetTransactionId(), Result: asJSON(result), ConflictKeys: keys,
	}
	if len(inv.transient) > 0 {
		out.Sensitive = req.Options
	}
	return out, nil
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

// endorse returns the signed transaction and what the chaincode answered.
func (n *node) endorse(ctx context.Context, s *signer, inv *invocation) (*gateway.PreparedTransaction, []byte, error) {
	internal := func(err error) (*gateway.PreparedTransaction, []byte, error) {
		return nil, nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageEndorse, Message: err.Error(), Err: err}
	}
	gw, err := n.gateway(s)
	if err != nil {
		return internal(err)
	}
	defer func() { _ = gw.Close() }() // it only cancels a context, and never fails
	p, err := inv.proposal(gw)
	if err != nil {
		return internal(err)
	}
	tx, err := p.EndorseWithContext(ctx)
	if err != nil {
		e := callError(ctx, stageEndorse, err)
		e.Hash = p.TransactionID()
		return nil, nil, e
	}
	b, err := tx.Bytes()
	if err != nil {
		return internal(err)
	}
	out := &gateway.PreparedTransaction{}
	if err := proto.Unmarshal(b, out); err != nil {
		return internal(err)
	}
	if out.Envelope.Signature, err = s.sign(tx.Digest()); err != nil {
		return internal(err)
	}
	return out, tx.Result(), nil
}

// Submit implements ffcapi.Connector: the endorsed envelope goes to an orderer.
//
// An orderer that takes it does not promise to order it: what became of a transaction is in the blocks, and nowhere else.
func (c *Connector) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	refuse := func(kind ffcapi.Kind, text string, err error) (*ffcapi.Submitted, error) {
		return nil, &ffcapi.Error{Kind: kind, Sent: ffcapi.SentNo, Stage: stageSubmit, Message: text, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return refuse(ffcapi.Timeout, "no time left", err)
	}
	var prepared gateway.PreparedTransaction
	if err := proto.Unmarshal(sub.Prepared.Payload, &prepared); err != nil {
		return refuse(ffcapi.InvalidInput, "payload: it is not a prepared transaction", err)
	}
	env := prepared.GetEnvelope()
	id := prepared.GetTransactionId()
	if id == "" || len(env.GetPayload()) == 0 || len(env.GetSignature()) == 0 {
		return refuse(ffcapi.InvalidInput, "payload: it is not a signed transaction", nil)
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Submit)
	defer cancel()
	n, failed := c.peers.pick()
	_, err := gateway.NewGatewayClient(n.conn).Submit(limited, &gateway.SubmitRequest{
		TransactionId: id, ChannelId: sub.Prepared.Ledger, PreparedTransaction: env,
	})
	if err != nil {
		e := callError(limited, stageSubmit, err)
		e.Hash = id
		if atFault(ctx, e) {
			failed()
		}
		return nil, e
	}
	return &ffcapi.Submitted{Hash: id}, nil
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
	if done := inContext(ctx, stageEvaluate); done != nil {
		return nil, done
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Evaluate)
	defer cancel()
	n, failed := c.peers.pick()
	gw, err := n.gateway(s)
	if err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageEvaluate, Message: err.Error(), Err: err}
	}
	defer func() { _ = gw.Close() }() // it only cancels a context, and never fails
	p, err := inv.proposal(gw)
	if err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageEvaluate, Message: err.Error(), Err: err}
	}
	result, err := p.EvaluateWithContext(limited)
	if err != nil {
		e := callError(limited, stageEvaluate, err)
		if atFault(ctx, e) {
			failed()
		}
		return nil, e
	}
	if out := asJSON(result); out != nil {
		return out, nil
	}
	return json.RawMessage("null"), nil
}
