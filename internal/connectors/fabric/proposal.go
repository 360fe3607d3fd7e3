package fabric

import (
	"context"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// propose makes and signs a proposal. No peer is asked. Its transaction id is new each time.
func (s *signer) propose(inv *invocation) (*gateway.ProposedTransaction, error) {
	gw, err := client.Connect(s.id, client.WithSign(s.sign), client.WithHash(s.hash), client.WithClientConnection(nobody{}))
	if err != nil {
		return nil, err
	}
	defer func() { _ = gw.Close() }() // it only cancels a context, and never fails
	opts := []client.ProposalOption{client.WithBytesArguments(inv.args...)}
	if len(inv.transient) > 0 {
		opts = append(opts, client.WithTransient(inv.transient))
	}
	if len(inv.orgs) > 0 {
		opts = append(opts, client.WithEndorsingOrganizations(inv.orgs...))
	}
	made, err := gw.GetNetwork(inv.channel).GetContract(inv.chaincode).NewProposal(inv.function, opts...)
	if err != nil {
		return nil, err
	}
	b, err := made.Bytes()
	if err != nil {
		return nil, err
	}
	out := &gateway.ProposedTransaction{}
	if err := proto.Unmarshal(b, out); err != nil {
		return nil, err
	}
	p := out.GetProposal()
	if inv.init {
		if p.ProposalBytes, err = asInit(p.GetProposalBytes()); err != nil {
			return nil, err
		}
	}
	if p.Signature, err = s.signMessage(p.GetProposalBytes()); err != nil {
		return nil, fmt.Errorf("sign as %s: %w", s.name, err)
	}
	return out, nil
}

// asInit marks a proposal as the initialisation of its chaincode, for which the client of the gateway has no option. The transaction id does not
// depend on it.
func asInit(proposal []byte) ([]byte, error) {
	var p peer.Proposal
	var payload peer.ChaincodeProposalPayload
	var spec peer.ChaincodeInvocationSpec
	if err := proto.Unmarshal(proposal, &p); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(p.GetPayload(), &payload); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(payload.GetInput(), &spec); err != nil {
		return nil, err
	}
	spec.ChaincodeSpec.Input.IsInit = true
	var err error
	if payload.Input, err = proto.Marshal(&spec); err != nil {
		return nil, err
	}
	if p.Payload, err = proto.Marshal(&payload); err != nil {
		return nil, err
	}
	return proto.Marshal(&p)
}

// proposalHeader is the number of a proposal's field.
const proposalHeader = 1

// creatorOf is the serialised identity that a proposal is signed by.
func creatorOf(proposal []byte) ([]byte, error) {
	return in(proposal).bytes(proposalHeader).bytes(headerSignature).bytes(signatureCreator).get()
}

// endorse returns the signed transaction and what the chaincode answered. what names the chaincode in errors.
func (n *node) endorse(ctx context.Context, s *signer, proposed *gateway.ProposedTransaction, what string) (*gateway.PreparedTransaction, []byte, error) {
	internal := func(err error) (*gateway.PreparedTransaction, []byte, error) {
		return nil, nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageEndorse, Message: err.Error(), Err: err}
	}
	p, closed, err := n.offer(s, proposed)
	if err != nil {
		return internal(err)
	}
	defer closed()
	tx, err := p.EndorseWithContext(ctx)
	if err != nil {
		e := n.said(chaincodeError(ctx, stageEndorse, what, err))
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
		return internal(fmt.Errorf("sign as %s: %w", s.name, err))
	}
	return out, tx.Result(), nil
}

// evaluate returns what the chaincode answers, and changes nothing.
func (n *node) evaluate(ctx context.Context, s *signer, proposed *gateway.ProposedTransaction, what string) ([]byte, error) {
	p, closed, err := n.offer(s, proposed)
	if err != nil {
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageEvaluate, Message: err.Error(), Err: err}
	}
	defer closed()
	result, err := p.EvaluateWithContext(ctx)
	if err != nil {
		return nil, n.said(chaincodeError(ctx, stageEvaluate, what, err))
	}
	return result, nil
}

// offer gives a signed proposal to the peer's gateway. A client of it is cheap: the connection is shared.
func (n *node) offer(s *signer, proposed *gateway.ProposedTransaction) (p *client.Proposal, closed func(), err error) {
	b, err := proto.Marshal(proposed)
	if err != nil {
		return nil, nil, err
	}
	gw, err := client.Connect(s.id, client.WithSign(s.sign), client.WithHash(s.hash), client.WithClientConnection(n.conn))
	if err != nil {
		return nil, nil, err
	}
	closed = func() { _ = gw.Close() } // it only cancels a context, and never fails
	if p, err = gw.NewSignedProposal(b, proposed.GetProposal().GetSignature()); err != nil {
		closed()
		return nil, nil, err
	}
	return p, closed, nil
}

// nobody is whom a proposal is made for: the client of the gateway wants a connection, and does not use it.
type nobody struct{}

var errNobody = errors.New("a proposal is made without asking anybody")

// Invoke implements grpc.ClientConnInterface.
func (nobody) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return errNobody }

// NewStream implements grpc.ClientConnInterface.
func (nobody) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errNobody
}
