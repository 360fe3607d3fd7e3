package fabric

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// System chaincodes that tell about a peer and its chaincodes.
const (
	cscc        = "cscc"
	definitions = "_lifecycle"
)

// metadata is a function of contracts that use Fabric's contract API. It changes nothing. Others refuse it, which shows that they run.
const metadata = "org.hyperledger.fabric:GetMetadata"

// accepted asks what only a member of the peer's organisation is told, and failing that what a member of a channel is told.
func (x *peerExam) accepted(ctx context.Context) (string, error) {
	who := fmt.Sprintf("%s of %s", x.signer.name, x.signer.id.MspID())
	joined, e := x.node.channels(ctx, x.signer)
	switch {
	case e == nil:
		return fmt.Sprintf("%s is accepted; the peer has joined %s", who, listed(joined, "no channel")), nil
	case status.Code(e.Err) == codes.Unimplemented:
		return "", broken("the port may be that of an orderer, or of a peer's chaincode or operations service", "there is no Fabric peer at %s: %s", x.address, e.Message)
	case e.Kind != ffcapi.Unauthorized:
		return "", e
	}
	for _, channel := range x.channels {
		if _, e := x.node.chainInfo(ctx, x.signer, channel); e == nil {
			return fmt.Sprintf("%s is accepted on %s, as of another organisation than the peer's", who, channel), nil
		}
	}
	return "", broken(fmt.Sprintf("its certificate was issued by %s: see whether that is a CA of %s, whether mspID is right, and whether the certificate was revoked",
		issuer(x.signer.cert), x.signer.id.MspID()), "the peer does not accept %s: %s", who, e.Message)
}

// channels asks a peer for the channels that it has joined.
func (n *node) channels(ctx context.Context, s *signer) ([]string, *ffcapi.Error) {
	r, e := n.execute(ctx, s, &invocation{chaincode: cscc, function: "GetChannels"})
	if e != nil {
		return nil, e
	}
	if st := r.GetResponse().GetStatus(); st != int32(common.Status_SUCCESS) {
		return nil, responseError(n, r.GetResponse())
	}
	var answer peer.ChannelQueryResponse
	if err := proto.Unmarshal(r.GetResponse().GetPayload(), &answer); err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "%s: its list of channels makes no sense: %w", n.address, err)
	}
	var names []string
	for _, c := range answer.GetChannels() {
		names = append(names, c.GetChannelId())
	}
	slices.Sort(names)
	return names, nil
}

func listed(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return strings.Join(names, ", ")
}

// examineChannel looks at what is to be done on one channel. Only the first hop is needed by the others.
func (x *peerExam) examineChannel(ctx context.Context, channel string) {
	on := func(name string, try func(context.Context, string) (string, error)) bool {
		return x.hop(ctx, answers, channel, name, func(ctx context.Context) (string, error) { return try(ctx, channel) })
	}
	more := []string{hopExecute, hopEndorsers}
	if x.chaincode == "" {
		more = nil
	}
	if !on(hopChannel, x.joined) {
		x.skip(hopChannel, channel, append([]string{hopBlocks, hopOrderer, hopChaincode}, more...)...)
		return
	}
	on(hopBlocks, x.newestBlock)
	on(hopOrderer, x.orderer)
	switch {
	case x.chaincode == "":
		on(hopChaincode, x.committed)
	case on(hopChaincode, x.defined):
		on(hopExecute, x.executes)
		on(hopEndorsers, x.endorsers)
	default:
		x.skip(hopChaincode, channel, more...)
	}
}

func (x *peerExam) joined(ctx context.Context, channel string) (string, error) {
	info, e := x.node.chainInfo(ctx, x.signer, channel)
	switch {
	case e == nil:
	case e.Kind == ffcapi.NotFound:
		fix := "join the peer to the channel, or correct the name"
		if names, e := x.node.channels(ctx, x.signer); e == nil {
			fix += fmt.Sprintf(": the peer has joined %s", listed(names, "none"))
		}
		return "", broken(fix, "the peer has not joined %s", channel)
	case e.Kind == ffcapi.Unauthorized:
		return "", broken("the channel's ACL qscc/GetChainInfo (by default /Channel/Application/Readers) must let it", "%s may not read the channel: %s", x.signer.name, e.Message)
	default:
		return "", e
	}
	x.heads[channel] = info.head.Number
	if info.first > 0 {
		return fmt.Sprintf("blocks %d to %d; the peer began from a snapshot", info.first, info.head.Number), nil
	}
	return fmt.Sprintf("blocks 0 to %d", info.head.Number), nil
}

func (x *peerExam) newestBlock(ctx context.Context, channel string) (string, error) {
	number := x.heads[channel]
	b, err := x.node.block(ctx, x.signer, channel, number)
	var s deliverStatus
	switch {
	case err == nil:
	case errors.As(err, &s) && common.Status(s) == common.Status_FORBIDDEN:
		return "", broken("the channel's ACL event/Block (by default /Channel/Application/Readers) must let it", "%s may not read blocks", x.signer.name)
	case errors.As(err, &s) && common.Status(s) == common.Status_BAD_REQUEST:
		fix := "compare the clock of this machine with the peer's: 15 minutes between them are too much (peer.authentication.timewindow)"
		if x.client != nil {
			fix += "; see also whether a proxy ends TLS on the way: with mutual TLS the peer must see our own certificate"
		}
		return "", broken(fix, "the peer refuses to deliver blocks")
	case ffcapi.KindOf(err) == ffcapi.Timeout:
		return "", broken("see the peer's log, and whether it hangs or has too much to do; a block of many megabytes may take longer over a slow link",
			"block %d: no answer within %v", number, answers)
	default:
		return "", err
	}
	detail := fmt.Sprintf("block %d is delivered", number)
	if b.time.IsZero() {
		return detail, nil
	}
	age := time.Since(b.time)
	if age < -clockSlip {
		return "", warning("compare the clock of this machine with those of the network", "%s: its time is %v ahead of this machine's clock", detail, -age.Round(time.Second))
	}
	return fmt.Sprintf("%s, of %s", detail, b.time.UTC().Format(time.RFC3339)), nil
}

// committed lists chaincodes. Who may not have the list may still be able to do all else.
func (x *peerExam) committed(ctx context.Context, channel string) (string, error) {
	names, e := x.node.chaincodes(ctx, x.signer, channel)
	switch {
	case e == nil:
		return listed(names, "none is committed"), nil
	case e.Kind == ffcapi.Unauthorized:
		return "", nothing(x.signer.name + " may not list chaincodes")
	default:
		return "", e
	}
}

func (x *peerExam) defined(ctx context.Context, channel string) (string, error) {
	var found lifecycle.QueryChaincodeDefinitionResult
	e := x.node.lifecycle(ctx, x.signer, channel, "QueryChaincodeDefinition", &lifecycle.QueryChaincodeDefinitionArgs{Name: x.chaincode}, &found)
	switch {
	case e == nil:
		return fmt.Sprintf("%s, version %s, sequence %d", x.chaincode, found.GetVersion(), found.GetSequence()), nil
	case e.Kind == ffcapi.Unauthorized:
		return "", broken("the channel's ACL _lifecycle/QueryChaincodeDefinition (by default /Channel/Application/Writers) lets writers only: it cannot submit either",
			"%s may not ask for chaincodes: %s", x.signer.name, e.Message)
	case e.Kind != ffcapi.NotFound:
		return "", e
	}
	fix := "commit its definition on the channel, or correct the name"
	if names, e := x.node.chaincodes(ctx, x.signer, channel); e == nil {
		fix += ": the channel has " + listed(names, "none")
	}
	return "", broken(fix, "there is no chaincode %s on %s", x.chaincode, channel)
}

// chaincodes lists what is committed on a channel.
func (n *node) chaincodes(ctx context.Context, s *signer, channel string) ([]string, *ffcapi.Error) {
	var found lifecycle.QueryChaincodeDefinitionsResult
	if e := n.lifecycle(ctx, s, channel, "QueryChaincodeDefinitions", &lifecycle.QueryChaincodeDefinitionsArgs{}, &found); e != nil {
		return nil, e
	}
	names := map[string]bool{}
	for _, d := range found.GetChaincodeDefinitions() {
		names[d.GetName()+" "+d.GetVersion()] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// lifecycle asks the system chaincode that knows the definitions of chaincodes.
func (n *node) lifecycle(ctx context.Context, s *signer, channel, function string, question, answer proto.Message) *ffcapi.Error {
	b, err := proto.Marshal(question)
	if err != nil {
		return ffcapi.Errorf(ffcapi.Internal, "%s: %w", function, err)
	}
	r, e := n.execute(ctx, s, &invocation{channel: channel, chaincode: definitions, function: function, args: [][]byte{b}})
	if e != nil {
		return e
	}
	if st := r.GetResponse().GetStatus(); st != int32(common.Status_SUCCESS) {
		e := responseError(n, r.GetResponse())
		if st == int32(common.Status_NOT_FOUND) {
			e.Kind = ffcapi.NotFound
		}
		return e
	}
	if err := proto.Unmarshal(r.GetResponse().GetPayload(), answer); err != nil {
		return ffcapi.Errorf(ffcapi.Internal, "%s: the answer of %s makes no sense: %w", n.address, function, err)
	}
	return nil
}

// executes has this peer run the chaincode. What it answers does not matter, only that it does.
func (x *peerExam) executes(ctx context.Context, channel string) (string, error) {
	r, e := x.node.execute(ctx, x.signer, &invocation{channel: channel, chaincode: x.chaincode, function: metadata})
	if e != nil {
		if e.Kind == ffcapi.Timeout {
			return "", broken("see whether the chaincode hangs, and its log", "%s does not answer on this peer", x.chaincode)
		}
		return "", e
	}
	if ran(r) {
		return x.chaincode + " runs", nil
	}
	return "", broken("install it on this peer and start it; a peer without it cannot endorse, and leaves that to others", "%s does not run on this peer: %s",
		x.chaincode, r.GetResponse().GetMessage())
}

// ran tells a chaincode's own answer, whatever it is, from that of a peer that could not have it run.
func ran(r *peer.ProposalResponse) bool {
	status := common.Status(r.GetResponse().GetStatus())
	return r.GetEndorsement() != nil || len(r.GetPayload()) > 0 || status < common.Status_INTERNAL_SERVER_ERROR
}
