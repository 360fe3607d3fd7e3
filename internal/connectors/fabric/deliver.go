package fabric

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// noEnd makes a block stream follow the head.
const noEnd = math.MaxUint64

// seekRequest asks for the blocks from start to stop, signed by s. certHash ties it to a connection with mutual TLS. The stream waits for blocks that are not there yet only if it has
// no end.
func seekRequest(s *signer, certHash []byte, channel string, start, stop uint64) (*common.Envelope, error) {
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
		Type: int32(common.HeaderType_DELIVER_SEEK_INFO), ChannelId: channel, Timestamp: timestamppb.Now(), TlsCertHash: certHash,
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

// ahead is how many blocks a stream holds ready, decoded or being decoded.
const ahead = 8

// delivered is a block or the reason why there are no more.
type delivered struct {
	block *block
	err   error
	take  func() // is called by who takes it
}

// stream is an open block stream. Blocks are received in a goroutine of its own and decoded in several, while the consumer works; they
// come out in order.
type stream struct {
	blocks  chan chan delivered // closed at the end; after an error there is nothing
	cancel  context.CancelFunc
	waiting *waiting
	release func() bool // lets go of the caller's context
	done    sync.WaitGroup
}

// open asks a peer for blocks. The stream lives until close or the end of ctx. What is wrong shows at the first block.
func (n *node) open(ctx context.Context, s *signer, channel string, start, stop uint64) (*stream, error) {
	// The peer is not told of a deadline: it would end the stream by its own clock, a moment before ours, as if something were wrong.
	caller := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(caller))
	release := context.AfterFunc(caller, cancel)
	client, err := peer.NewDeliverClient(n.conn).Deliver(ctx, grpc.ForceCodecV2(rawCodec{}))
	var request *common.Envelope
	if err == nil { // now there is a connection, and with it a certificate that the request can be bound to
		request, err = seekRequest(s, n.certHash(), channel, start, stop)
	}
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
	st := &stream{blocks: make(chan chan delivered, ahead), cancel: cancel, release: release, waiting: newWaiting(n.ahead)}
	st.done.Go(func() { st.receive(ctx, client) })
	return st, nil
}

// receive takes blocks until the stream is over. At most GOMAXPROCS of them are decoded at once.
func (s *stream) receive(ctx context.Context, client grpc.ClientStream) {
	defer close(s.blocks)
	workers := make(chan struct{}, runtime.GOMAXPROCS(0))
	for {
		s.waiting.room(ctx, func() int { return len(s.blocks) })
		message, err := receiveBlock(client)
		if errors.Is(err, errEnd) {
			return
		}
		take := s.waiting.add(len(message))
		out := make(chan delivered, 1)
		select {
		case s.blocks <- out:
		case <-ctx.Done():
			return
		}
		if err != nil {
			out <- delivered{err: err, take: take}
			return
		}
		select {
		case workers <- struct{}{}:
		case <-ctx.Done():
			out <- delivered{err: ctx.Err(), take: take}
			return
		}
		s.done.Go(func() {
			defer func() { <-workers }()
			b, err := decodeBlock(message)
			if err != nil {
				err = &malformed{err}
			}
			out <- delivered{b, err, take}
		})
	}
}

// errEnd says that the peer has delivered all that was asked for.
var errEnd = errors.New("end of the block stream")

// receiveBlock returns the next block as the peer sent it.
func receiveBlock(client grpc.ClientStream) ([]byte, error) {
	var message rawMessage
	if err := client.RecvMsg(&message); err != nil {
		return nil, err
	}
	f := fields{rest: message}
	for f.next() {
		switch {
		case f.isBytes(responseBlock):
			return f.bytes, nil
		case f.isInteger(responseStatus):
			if st := common.Status(f.value); st != common.Status_SUCCESS {
				return nil, deliverStatus(st)
			}
			return nil, errEnd
		}
	}
	if f.err == nil {
		f.err = errors.New("a peer delivers neither a block nor a status")
	}
	return nil, &malformed{f.err}
}

// malformed is an answer that makes no sense.
type malformed struct{ err error }

// Error implements error.
func (m *malformed) Error() string { return m.err.Error() }

// Unwrap returns the cause.
func (m *malformed) Unwrap() error { return m.err }

// isMalformed tells whether a peer's answer made no sense.
func isMalformed(err error) bool {
	var m *malformed
	return errors.As(err, &m)
}

// close ends the stream and waits for its goroutines.
func (s *stream) close() {
	s.release()
	s.cancel()
	s.done.Wait()
	s.waiting.drop()
}
