package fabric

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// fakePeer is a peer with a gateway, an orderer and the assets contract in one, on a real gRPC connection. It does what a real network cannot be made
// to do: lag, lose answers and transactions, deliver nonsense.
type fakePeer struct {
	peer.UnimplementedDeliverServer
	peer.UnimplementedEndorserServer
	gateway.UnimplementedGatewayServer

	address string
	wallet  string // of those who connect

	stop func() // ends the server, as if the peer had crashed

	mu       sync.Mutex // guards what follows
	blocks   []*common.Block
	second   []*common.Block // of channel ch2
	streams  int             // open block streams
	opened   int             // block streams so far
	sent     int             // blocks so far
	assets   map[string]bool // ids that exist
	grown    chan struct{}   // closed and replaced when something changes
	pool     [][]byte        // envelopes of a paused orderer
	paused   bool
	lag      int
	snapshot uint64        // first block, of a peer that began from a snapshot
	mute     bool          // deliver nothing
	frozen   bool          // nor answer anything
	lazy     time.Duration // how long block 3 is on its way
	denied   bool          // nobody may look at the ledger
	doubles  int           // so many envelopes are ordered twice
	lost     int           // so many answers are lost
	submits  int
	hangs    bool  // Endorse, Submit and Evaluate do not answer
	refuse   error // what Endorse, Submit and Evaluate answer
	late     bool  // ids are looked for in the ledger as it was before what the contract sees
	endorsed []*gateway.EndorseRequest
	tamper   func(*common.Block) *common.Block
}

func newFakePeer(t testing.TB, opts ...grpc.ServerOption) *fakePeer {
	t.Helper()
	f := &fakePeer{assets: map[string]bool{}, grown: make(chan struct{})}
	f.wallet = t.TempDir()
	makeIdentity(t, f.wallet, "user1", "")
	f.blocks = []*common.Block{makeBlock(nil, testTx{kind: common.HeaderType_CONFIG, time: noon})}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = ln.Addr().String()
	s := grpc.NewServer(opts...)
	peer.RegisterDeliverServer(s, f)
	peer.RegisterEndorserServer(s, f)
	gateway.RegisterGatewayServer(s, f)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	f.stop = sync.OnceFunc(func() {
		s.Stop()
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // that is what it says if it had not begun yet
			require.NoError(t, err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// connect makes a connector to the fake peers.
func connect(t testing.TB, fakes ...*fakePeer) *Connector {
	t.Helper()
	return connectTo(t, EndorseAtAccept, fakes...)
}

func connectTo(t testing.TB, endorseAt string, fakes ...*fakePeer) *Connector {
	t.Helper()
	dir := t.TempDir()
	profile := map[string]any{}
	names := []string{}
	for i, f := range fakes {
		name := fmt.Sprint("peer", i)
		names = append(names, name)
		profile[name] = map[string]string{"url": "grpc://" + f.address}
	}
	path := writeProfile(t, dir, map[string]any{
		"organizations": map[string]any{"Org1": map[string]any{"mspid": "Org1MSP", "peers": names}}, "peers": profile,
	})
	c, err := New(t.Context(), Config{
		Profile: path, MSPID: "Org1MSP", Channels: []string{"ch1"}, Wallet: fakes[0].wallet, Identity: "user1",
		EndorseAt: endorseAt,
	}, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// set changes the peer under its lock, and wakes who waits.
func (f *fakePeer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.grown)
	f.grown = make(chan struct{})
}

// visible are the blocks that a lagging peer has; mu is held.
func (f *fakePeer) visible() []*common.Block { return f.blocks[:max(1, len(f.blocks)-f.lag)] }

// order puts envelopes into a block of their own each; mu is held.
func (f *fakePeer) order(envelopes ...[]byte) {
	for _, e := range envelopes {
		copies := 1
		if f.doubles > 0 {
			f.doubles--
			copies = 2
		}
		var txs []testTx
		for range copies {
			txs = append(txs, testTx{raw: e, code: f.verdict(e, txs)})
		}
		f.blocks = append(f.blocks, makeBlock(f.blocks[len(f.blocks)-1], txs...))
	}
}

// verdict validates an envelope and applies it; before are those that stand before it in its block.
func (f *fakePeer) verdict(envelope []byte, before []testTx) peer.TxValidationCode {
	t := tx{}
	if decodeTx(&t, envelope) != nil {
		return peer.TxValidationCode_BAD_PAYLOAD
	}
	if _, _, ok := f.find(t.id); ok || len(before) > 0 {
		return peer.TxValidationCode_DUPLICATE_TXID
	}
	if t.event == nil {
		return peer.TxValidationCode_VALID
	}
	var data struct{ ID string }
	if err := json.Unmarshal(t.event.payload, &data); err != nil {
		return peer.TxValidationCode_BAD_PAYLOAD
	}
	if f.assets[data.ID] {
		return peer.TxValidationCode_MVCC_READ_CONFLICT
	}
	f.assets[data.ID] = true
	return peer.TxValidationCode_VALID
}

// find returns the first block with a transaction; mu is held.
func (f *fakePeer) find(id string) (*common.Block, *tx, bool) {
	for _, b := range f.visible() {
		d, err := decodeBlock(marshal(b))
		if err != nil {
			continue
		}
		for i := range d.txs {
			if d.txs[i].id == id {
				return b, d.txs[i], true
			}
		}
	}
	return nil, nil, false
}

// Deliver implements peer.DeliverServer.
func (f *fakePeer) Deliver(s peer.Deliver_DeliverServer) error {
	env, err := s.Recv()
	if err != nil {
		return err
	}
	data, err := bytesField(env.GetPayload(), payloadData)
	if err != nil {
		return err
	}
	var seek orderer.SeekInfo
	if err := proto.Unmarshal(data, &seek); err != nil {
		return err
	}
	finish := func(st common.Status) error {
		return s.Send(&peer.DeliverResponse{Type: &peer.DeliverResponse_Status{Status: st}})
	}
	next, stop := seek.GetStart().GetSpecified().GetNumber(), seek.GetStop().GetSpecified().GetNumber()
	channel, err := channelOf(env)
	if err != nil {
		return err
	}
	f.count(1)
	defer f.count(-1)
	f.mu.Lock()
	denied := f.denied
	f.mu.Unlock()
	if denied {
		return finish(common.Status_FORBIDDEN)
	}
	for next <= stop {
		f.mu.Lock()
		var b *common.Block
		if blocks := f.chain(channel); next < uint64(len(blocks)) && next >= f.snapshot && !f.mute && !f.frozen {
			b = blocks[next]
			if f.tamper != nil {
				b = f.tamper(proto.CloneOf(b))
			}
		}
		if b != nil {
			f.sent++
		}
		mute, grown, lazy := f.mute || f.frozen, f.grown, f.lazy
		f.mu.Unlock()
		switch {
		case b != nil:
			if next == 3 {
				select {
				case <-time.After(lazy):
				case <-s.Context().Done():
				}
			}
			if err := s.Send(&peer.DeliverResponse{Type: &peer.DeliverResponse_Block{Block: b}}); err != nil {
				return err
			}
			next++
		case seek.GetBehavior() == orderer.SeekInfo_FAIL_IF_NOT_READY && !mute:
			return finish(common.Status_NOT_FOUND)
		default:
			select {
			case <-grown:
			case <-s.Context().Done():
				return s.Context().Err()
			}
		}
	}
	return finish(common.Status_SUCCESS)
}

// chain is what the peer has of a channel; mu is held.
func (f *fakePeer) chain(channel string) []*common.Block {
	if channel == "ch2" {
		return f.second
	}
	return f.visible()
}

// count keeps the books of the block streams.
func (f *fakePeer) count(change int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams += change
	f.opened += max(change, 0)
}

// counts returns how many block streams are open and were opened, and how many blocks were sent.
func (f *fakePeer) counts() (streams, opened, sent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams, f.opened, f.sent
}

// channelOf returns the channel that a request is for.
func channelOf(env *common.Envelope) (string, error) {
	b, err := in(env.GetPayload()).message(payloadHeader).bytes(headerChannel).get()
	if err != nil {
		return "", err
	}
	var h common.ChannelHeader
	err = proto.Unmarshal(b, &h)
	return h.GetChannelId(), err
}

// ProcessProposal implements peer.EndorserServer: it is asked for qscc, and for its channels.
func (f *fakePeer) ProcessProposal(ctx context.Context, p *peer.SignedProposal) (*peer.ProposalResponse, error) {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if frozen {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, args, err := call(p)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(m proto.Message) (*peer.ProposalResponse, error) {
		return &peer.ProposalResponse{Response: &peer.Response{Status: 200, Payload: marshal(m)}}, nil
	}
	switch args[0] {
	case "GetChannels":
		return answer(&peer.ChannelQueryResponse{Channels: []*peer.ChannelInfo{{ChannelId: "ch1"}}})
	case "GetChainInfo":
		if f.denied {
			return &peer.ProposalResponse{Response: &peer.Response{Status: 500, Message: "access denied for [GetChainInfo]"}}, nil
		}
		blocks := f.chain(args[1])
		if len(blocks) == 0 {
			return &peer.ProposalResponse{Response: &peer.Response{Status: 500, Message: fmt.Sprintf("channel '%s' not found", args[1])}}, nil
		}
		info := &common.BlockchainInfo{Height: uint64(len(blocks)), CurrentBlockHash: hashOf(blocks[len(blocks)-1].GetHeader())}
		if f.snapshot > 0 {
			info.BootstrappingSnapshotInfo = &common.BootstrappingSnapshotInfo{LastBlockInSnapshot: f.snapshot - 1}
		}
		return answer(info)
	case "GetBlockByTxID":
		if b, _, ok := f.find(args[2]); ok {
			return answer(b)
		}
	case "QueryChaincodeDefinitions":
		return answer(&lifecycle.QueryChaincodeDefinitionsResult{})
	default:
		return &peer.ProposalResponse{Response: &peer.Response{Status: 404, Message: args[0] + " is not known here"}}, nil
	}
	return &peer.ProposalResponse{Response: &peer.Response{
		Status: 500, Message: fmt.Sprintf("Failed to get block for txID %s, error no such transaction ID [%s] in index", args[2], args[2]),
	}}, nil
}

// mine adds an empty block.
func (f *fakePeer) mine(txs ...testTx) {
	f.set(func() {
		if len(txs) == 0 {
			sum := sha256.Sum256([]byte(time.Now().String()))
			txs = []testTx{{id: hex.EncodeToString(sum[:]), time: noon}}
		}
		f.blocks = append(f.blocks, makeBlock(f.blocks[len(f.blocks)-1], txs...))
	})
}
