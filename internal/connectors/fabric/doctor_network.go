package fabric

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/discovery"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// endorsers asks the peer whom it would have endorse. Its gateway finds endorsers in the same way.
func (x *peerExam) endorsers(ctx context.Context, channel string) (string, error) {
	found, err := x.discover(ctx, channel)
	if err != nil {
		return "", err
	}
	if content := found.GetError().GetContent(); content != "" {
		if denied.MatchString(content) {
			return "", nothing(x.signer.name + " may not ask for endorsers")
		}
		return "", broken("start more of the peers that the endorsement policy wants, with the chaincode on them; peers of other organisations are found only if they gossip with "+
			"this one (anchor peers, CORE_PEER_GOSSIP_EXTERNALENDPOINT)", "the peer finds no set of endorsers: %s", content)
	}
	known := map[string]int{}
	layouts := 0
	for _, d := range found.GetCcQueryRes().GetContent() {
		layouts += len(d.GetLayouts())
		for _, group := range d.GetEndorsersByGroups() {
			for _, p := range group.GetPeers() {
				var id msp.SerializedIdentity
				if err := proto.Unmarshal(p.GetIdentity(), &id); err != nil {
					return "", fmt.Errorf("the identity of an endorser makes no sense: %w", err)
				}
				known[id.GetMspid()]++
			}
		}
	}
	if layouts == 0 {
		return "", broken("see the endorsement policy, and which peers have the chaincode", "no set of endorsers can satisfy the policy of %s", x.chaincode)
	}
	var orgs []string
	for _, id := range slices.Sorted(maps.Keys(known)) {
		orgs = append(orgs, fmt.Sprintf("%s (peers: %d)", id, known[id]))
	}
	return "found of " + strings.Join(orgs, ", "), nil
}

func (x *peerExam) discover(ctx context.Context, channel string) (*discovery.QueryResult, error) {
	interest := &peer.ChaincodeInterest{Chaincodes: []*peer.ChaincodeCall{{Name: x.chaincode}}}
	payload, err := proto.Marshal(&discovery.Request{
		Authentication: &discovery.AuthInfo{ClientIdentity: x.signer.creator, ClientTlsCertHash: x.node.certHash()},
		Queries: []*discovery.Query{{
			Channel: channel,
			Query:   &discovery.Query_CcQuery{CcQuery: &discovery.ChaincodeQuery{Interests: []*peer.ChaincodeInterest{interest}}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	signature, err := x.signer.signMessage(payload)
	if err != nil {
		return nil, fmt.Errorf("discovery: sign as %s: %w", x.signer.name, err)
	}
	r, err := discovery.NewDiscoveryClient(x.node.conn).Discover(ctx, &discovery.SignedRequest{Payload: payload, Signature: signature})
	if err != nil {
		return nil, callError(ctx, stageLedger, err)
	}
	if len(r.GetResults()) != 1 {
		return nil, fmt.Errorf("discovery: %d answers to one question", len(r.GetResults()))
	}
	return r.GetResults()[0], nil
}

// orderer sends the orderers, through the peer's gateway, an envelope that none can read: it ends before policies and order are looked at, and that
// it was refused shows that it arrived.
func (x *peerExam) orderer(ctx context.Context, channel string) (string, error) {
	header, err := proto.Marshal(&common.ChannelHeader{Type: int32(common.HeaderType_MESSAGE), ChannelId: channel, Timestamp: timestamppb.Now()})
	if err != nil {
		return "", fmt.Errorf("envelope: %w", err)
	}
	garbage := []byte{0xff}
	payload, err := proto.Marshal(&common.Payload{Header: &common.Header{ChannelHeader: header, SignatureHeader: garbage}, Data: garbage})
	if err != nil {
		return "", fmt.Errorf("envelope: %w", err)
	}
	_, err = gateway.NewGatewayClient(x.node.conn).Submit(ctx, &gateway.SubmitRequest{
		ChannelId: channel, PreparedTransaction: &common.Envelope{Payload: payload, Signature: garbage},
	})
	if err == nil {
		return "", fmt.Errorf("the orderer took what it cannot read")
	}
	e := callError(ctx, stageSubmit, err)
	switch {
	case ordererAnswered(e):
		return "reached by the peer's gateway", nil
	case e.Kind == ffcapi.Timeout:
		return "", broken("see whether the orderers run, and whether the peer reaches them", "the peer's gateway has no answer from an orderer")
	default:
		return "", broken("see whether the orderers run, and whether the peer reaches them; until then transactions are kept and sent again", "the peer's gateway reaches no orderer: %s",
			strings.Join(append([]string{e.Message}, details(e.Peers)...), "; "))
	}
}

func details(peers []ffcapi.PeerError) (out []string) {
	for _, p := range peers {
		out = append(out, p.Address+": "+p.Message)
	}
	return out
}
