package fabric

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// noEnd makes a block stream follow the head.
const noEnd = math.MaxUint64

// seekRequest asks for the blocks from start to stop, signed by s. The stream waits for blocks that are not there yet only if it has
// no end.
func seekRequest(s *signer, channel string, start, stop uint64) (*common.Envelope, error) {
	behavior := orderer.SeekInfo_FAIL_IF_NOT_READY
	if stop == noEnd {
		behavior = orderer.SeekInfo_BLOCK_UNTIL_READY
	}
	at := func(n uint64) *orderer.SeekPosition {
		return &orderer.SeekPosition{Type: &orderer.SeekPosition_Specified{Specified: &orderer.SeekSpecified{Number: n}}}
	}
	data, err := proto.Marshal(&orderer.SeekInfo{Start: at(start), Stop: at(stop), Behavior: behavior})
	if err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	channelHeader, err := proto.Marshal(&common.ChannelHeader{
		Type: int32(common.HeaderType_DELIVER_SEEK_INFO), ChannelId: channel, Timestamp: timestamppb.Now(),
	})
	if err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	nonce := make([]byte, 24)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	signatureHeader, err := proto.Marshal(&common.SignatureHeader{Creator: s.creator, Nonce: nonce})
	if err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	payload, err := proto.Marshal(&common.Payload{
		Header: &common.Header{ChannelHeader: channelHeader, SignatureHeader: signatureHeader}, Data: data,
	})
	if err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	signature, err := s.signMessage(payload)
	if err != nil {
		return nil, fmt.Errorf("seek: sign as %s: %w", s.name, err)
	}
	return &common.Envelope{Payload: payload, Signature: signature}, nil
}

// ahead is how many decoded blocks a stream holds ready.
const ahead = 8

// delivered is a block or the reason why there are no more.
type delivered struct {
	block *block
	err   error
}

// stream is an open block stream. Blocks are received and decoded in a goroutine of its own, while the consumer works.
type stream struct {
	blocks  chan delivered // closed at the end; after an error there is nothing
	cancel  context.CancelFunc
	release func() bool // lets go of the caller's context
	done    sync.WaitGroup
}

// open asks a peer for blocks. The stream lives until close or the end of ctx. What is wrong shows at the first block.
func (n *node) open(ctx context.Context, s *signer, channel string, start, stop uint64) (*stream, error) {
	request, err := seekRequest(s, channel, start, stop)
	if err != nil {
		return nil, err
	}
	// The peer is not told of a deadline: it would end the stream by its own clock, a moment before ours, as if something were wrong.
	caller := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(caller))
	release := context.AfterFunc(caller, cancel)
	client, err := peer.NewDeliverClient(n.conn).Deliver(ctx)
	if err == nil {
		err = client.Send(request)
	}
	if err == nil {
		err = client.CloseSend()
	}
	if err != nil {
		release()
		cancel()
		return nil, err
	}
	st := &stream{blocks: make(chan delivered, ahead), cancel: cancel, release: release}
	st.done.Go(func() {
		defer close(st.blocks)
		for {
			d := receive(client)
			if errors.Is(d.err, errEnd) {
				return
			}
			select {
			case st.blocks <- d:
			case <-ctx.Done():
				return
			}
			if d.err != nil {
				return
			}
		}
	})
	return st, nil
}

// errEnd says that the peer has delivered all that was asked for.
var errEnd = errors.New("end of the block stream")

func receive(client peer.Deliver_DeliverClient) delivered {
	r, err := client.Recv()
	if err != nil {
		return delivered{err: err}
	}
	switch v := r.GetType().(type) {
	case *peer.DeliverResponse_Block:
		b, err := decodeBlock(v.Block)
		if err != nil {
			return delivered{err: &malformed{err}}
		}
		return delivered{block: b}
	case *peer.DeliverResponse_Status:
		if v.Status == common.Status_SUCCESS {
			return delivered{err: errEnd}
		}
		return delivered{err: deliverStatus(v.Status)}
	default:
		return delivered{err: &malformed{fmt.Errorf("a peer delivers a %T", v)}}
	}
}

// malformed is an answer that makes no sense.
type malformed struct{ err error }

// Error implements error.
func (m *malformed) Error() string { return m.err.Error() }

// Unwrap returns the cause.
func (m *malformed) Unwrap() error { return m.err }

// close ends the stream and waits for its goroutine.
func (s *stream) close() {
	s.release()
	s.cancel()
	s.done.Wait()
}
