package fabric

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// qscc is the system chaincode that answers questions about a peer's ledger.
const qscc = "qscc"

// chainInfo is what a peer says about its copy of a channel.
type chainInfo struct {
	head  ffcapi.BlockRef
	first uint64 // first block the peer has; more than 0 when it began from a snapshot
}

// chainInfo asks one peer for the state of a channel.
func (n *node) chainInfo(ctx context.Context, s *signer, channel string) (chainInfo, *ffcapi.Error) {
	b, e := n.ask(ctx, s, channel, "GetChainInfo", channel)
	if e != nil {
		return chainInfo{}, e
	}
	var info common.BlockchainInfo
	err := proto.Unmarshal(b, &info)
	if err == nil && info.GetHeight() == 0 {
		err = errors.New("it has no block")
	}
	if err != nil {
		return chainInfo{}, ffcapi.Errorf(ffcapi.Internal, "%s: chain info of %s makes no sense: %w", n.address, channel, &malformed{err})
	}
	out := chainInfo{head: ffcapi.BlockRef{Number: info.GetHeight() - 1, Hash: hex.EncodeToString(info.GetCurrentBlockHash())}}
	if snap := info.GetBootstrappingSnapshotInfo(); snap != nil {
		out.first = snap.GetLastBlockInSnapshot() + 1
	}
	return out, nil
}

// pruned is the error of a request that begins before the first block a peer has, nil otherwise.
func (c chainInfo) pruned(n *node, number uint64) *ffcapi.Error {
	if number >= c.first {
		return nil
	}
	e := ffcapi.Errorf(ffcapi.Pruned, "%s began from a snapshot: it has no block %d, the first is %d", n.address, number, c.first)
	e.FirstBlock = c.first
	return e
}

// blockOf returns the block that holds a transaction. The peer's index names its first occurrence.
func (n *node) blockOf(ctx context.Context, s *signer, channel, txID string) (*block, *ffcapi.Error) {
	b, e := n.ask(ctx, s, channel, "GetBlockByTxID", channel, txID)
	if e != nil {
		return nil, e
	}
	out, err := decodeBlock(b)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "%s: block of transaction %s: %w", n.address, txID, &malformed{err})
	}
	return out, nil
}

// ask has qscc executed by this very peer, not by one that its gateway chooses.
func (n *node) ask(ctx context.Context, s *signer, channel, function string, args ...string) ([]byte, *ffcapi.Error) {
	inv := &invocation{channel: channel, chaincode: qscc, function: function}
	for _, arg := range args {
		inv.args = append(inv.args, []byte(arg))
	}
	r, e := n.execute(ctx, s, inv)
	if e != nil {
		return nil, e
	}
	if st := r.GetResponse().GetStatus(); st < 200 || st >= 400 {
		return nil, responseError(n, r.GetResponse())
	}
	return r.GetResponse().GetPayload(), nil
}

// execute has a chaincode simulate a call on this very peer. What the chaincode answers is no error.
func (n *node) execute(ctx context.Context, s *signer, inv *invocation) (*peer.ProposalResponse, *ffcapi.Error) {
	proposed, err := s.propose(inv)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "%s: %w", inv.function, err)
	}
	r, err := peer.NewEndorserClient(n.conn).ProcessProposal(ctx, proposed.GetProposal())
	if err != nil {
		return nil, n.said(callError(ctx, stageLedger, err))
	}
	return r, nil
}
