package fabric

import (
	"context"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// call reads what a proposal invokes.
func call(p *peer.SignedProposal) (header *common.Header, args []string, err error) {
	var proposal peer.Proposal
	var payload peer.ChaincodeProposalPayload
	var spec peer.ChaincodeInvocationSpec
	header = &common.Header{}
	if err := proto.Unmarshal(p.GetProposalBytes(), &proposal); err != nil {
		return nil, nil, err
	}
	if err := proto.Unmarshal(proposal.GetHeader(), header); err != nil {
		return nil, nil, err
	}
	if err := proto.Unmarshal(proposal.GetPayload(), &payload); err != nil {
		return nil, nil, err
	}
	if err := proto.Unmarshal(payload.GetInput(), &spec); err != nil {
		return nil, nil, err
	}
	for _, a := range spec.GetChaincodeSpec().GetInput().GetArgs() {
		args = append(args, string(a))
	}
	return header, args, nil
}

// says is the answer of a gateway whose endorser says something.
func (f *fakePeer) says(text string) error {
	st, err := status.New(codes.Aborted, "failed to endorse transaction, see attached details for more info").WithDetails(
		&gateway.ErrorDetail{Address: f.address, MspId: "Org1MSP", Message: text})
	if err != nil {
		return err
	}
	return st.Err()
}

// invoke runs the contract; mu is held.
func (f *fakePeer) invoke(args []string) (result string, event *peer.ChaincodeEvent, err error) {
	refused := func(code int, text string) error { return f.says(fmt.Sprintf("chaincode response %d, %s", code, text)) }
	switch {
	case f.refuse != nil:
		return "", nil, f.refuse
	case args[0] == "create" && f.assets[args[1]]:
		return "", nil, refused(500, "asset "+args[1]+" already exists")
	case args[0] == "create":
		doc := fmt.Sprintf(`{"id":%q}`, args[1])
		return doc, &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "AssetCreated", Payload: []byte(doc)}, nil
	case args[0] == "read" && f.assets[args[1]]:
		return fmt.Sprintf(`{"id":%q}`, args[1]), nil, nil
	case args[0] == "read":
		return "", nil, refused(404, "asset "+args[1]+" not found")
	default:
		return "", nil, refused(500, args[0]+" refused")
	}
}

// hang waits for the end of a call if the peer does not answer.
func (f *fakePeer) hang(ctx context.Context) error {
	f.mu.Lock()
	hangs := f.hangs
	f.mu.Unlock()
	if !hangs {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// Endorse implements gateway.GatewayServer.
func (f *fakePeer) Endorse(ctx context.Context, r *gateway.EndorseRequest) (*gateway.EndorseResponse, error) {
	if err := f.hang(ctx); err != nil {
		return nil, err
	}
	header, args, err := call(r.GetProposedTransaction())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endorsed = append(f.endorsed, r)
	if _, _, ok := f.find(r.GetTransactionId()); ok && !f.late {
		return nil, f.says("duplicate transaction found [" + r.GetTransactionId() + "]. Creator [0a]")
	}
	result, event, err := f.invoke(args)
	if err != nil {
		return nil, err
	}
	t := testTx{result: result, event: event}
	if len(args) > 1 {
		t.reads, t.writes = args[1:2], args[1:2]
	}
	return &gateway.EndorseResponse{PreparedTransaction: &common.Envelope{
		Payload: marshal(&common.Payload{Header: header, Data: t.transaction()}),
	}}, nil
}

// Evaluate implements gateway.GatewayServer.
func (f *fakePeer) Evaluate(ctx context.Context, r *gateway.EvaluateRequest) (*gateway.EvaluateResponse, error) {
	if err := f.hang(ctx); err != nil {
		return nil, err
	}
	_, args, err := call(r.GetProposedTransaction())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	result, _, err := f.invoke(args)
	return &gateway.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: []byte(result)}}, err
}

// Submit implements gateway.GatewayServer.
func (f *fakePeer) Submit(ctx context.Context, r *gateway.SubmitRequest) (*gateway.SubmitResponse, error) {
	if err := f.hang(ctx); err != nil {
		return nil, err
	}
	envelope := marshal(r.GetPreparedTransaction())
	if decodeTx(&tx{}, envelope) != nil {
		return nil, status.Error(codes.Aborted, "received unsuccessful response from orderer: status=BAD_REQUEST, info=it cannot be read")
	}
	f.set(func() {
		f.submits++
		if f.paused {
			f.pool = append(f.pool, envelope)
		} else {
			f.order(envelope)
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost > 0 {
		f.lost--
		return nil, status.Error(codes.Unavailable, "transport is closing")
	}
	return &gateway.SubmitResponse{}, nil
}
