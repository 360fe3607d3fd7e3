package fabric

import (
	"errors"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/protobuf/proto"
)

// payload is what Prepare leaves to Submit: one of the two is set. It says itself which, since fabric.endorseAt may have changed meanwhile.
type payload struct {
	proposed *gateway.ProposedTransaction // signed, to be endorsed
	prepared *gateway.PreparedTransaction // endorsed and signed. Nothing in it expires by itself
}

// proposalMark begins the payload that is a proposal. No protobuf message does.
const proposalMark = 0

func proposalPayload(p *gateway.ProposedTransaction) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend([]byte{proposalMark}, p)
}

func signedPayload(p *gateway.PreparedTransaction) ([]byte, error) { return proto.Marshal(p) }

// readPayload reads what one of the above wrote. It changes nothing in b.
func readPayload(b []byte) (*payload, error) {
	if len(b) > 0 && b[0] == proposalMark {
		p := &gateway.ProposedTransaction{}
		if err := proto.Unmarshal(b[1:], p); err != nil {
			return nil, errors.New("it is not a proposal")
		}
		signed := p.GetProposal()
		if p.GetTransactionId() == "" || len(signed.GetProposalBytes()) == 0 || len(signed.GetSignature()) == 0 {
			return nil, errors.New("it is not a signed proposal")
		}
		return &payload{proposed: p}, nil
	}
	p := &gateway.PreparedTransaction{}
	if err := proto.Unmarshal(b, p); err != nil {
		return nil, errors.New("it is not a prepared transaction")
	}
	env := p.GetEnvelope()
	if p.GetTransactionId() == "" || len(env.GetPayload()) == 0 || len(env.GetSignature()) == 0 {
		return nil, errors.New("it is not a signed transaction")
	}
	return &payload{prepared: p}, nil
}
