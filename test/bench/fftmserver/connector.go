package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/test/bench/memchain"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/hyperledger/firefly-transaction-manager/pkg/ffcapi"
)

// connector implements ffcapi.API over the in-memory chain
type connector struct {
	chain   *memchain.Chain
	mu      sync.Mutex
	streams map[fftypes.UUID]*stream
	gas     *fftypes.FFBigInt
	txData  string
}

func newConnector(chain *memchain.Chain) *connector {
	d := make([]byte, 0, 140)
	d = append(d, "0xa9059cbb"...)
	for i := 0; i < 128; i++ {
		d = append(d, "0123456789abcdef"[i%16])
	}
	return &connector{chain: chain, streams: map[fftypes.UUID]*stream{}, gas: fftypes.NewFFBigInt(50000), txData: string(d)}
}

type checkpoint struct {
	Block    int64 `json:"block"`
	TxIndex  int64 `json:"transactionIndex"`
	LogIndex int64 `json:"logIndex"`
}

func (cp *checkpoint) LessThan(b ffcapi.EventListenerCheckpoint) bool {
	o := b.(*checkpoint)
	return cp.Block < o.Block || (cp.Block == o.Block && (cp.TxIndex < o.TxIndex || (cp.TxIndex == o.TxIndex && cp.LogIndex < o.LogIndex)))
}

// same shape of extra info as the EVM connector puts on an event
type eventInfo struct {
	Address string `json:"address"`
	ChainID string `json:"chainId"`
}

var theInfo = &eventInfo{Address: "0x3333333333333333333333333333333333333333", ChainID: "2022"}

type stream struct {
	c         *connector
	ctx       context.Context
	out       chan<- *ffcapi.ListenerEvent
	mu        sync.Mutex
	listeners map[fftypes.UUID]*listener
}

type listener struct {
	cancel context.CancelFunc
	start  *checkpoint
}

type filter struct {
	Event string `json:"event"`
	Mod   int    `json:"mod"`
	Rem   int    `json:"rem"`
}

func parseFilter(fs []fftypes.JSONAny) (f filter, err error) {
	if len(fs) > 0 {
		err = json.Unmarshal([]byte(fs[0]), &f)
	}
	if f.Event == "" {
		f.Event = "E"
	}
	if f.Mod <= 0 {
		f.Mod = 1
	}
	return f, err
}

func (f filter) sig() string {
	if f.Mod == 1 {
		return f.Event
	}
	return fmt.Sprintf("%s [%d/%d]", f.Event, f.Rem, f.Mod)
}

func (s *stream) add(req *ffcapi.EventListenerAddRequest) error {
	f, err := parseFilter(req.Filters)
	if err != nil {
		return err
	}
	var start *checkpoint
	if req.Checkpoint != nil {
		start = req.Checkpoint.(*checkpoint)
	} else {
		switch req.FromBlock {
		case "", ffcapi.FromBlockLatest:
			start = &checkpoint{Block: int64(s.c.chain.Head()), TxIndex: 1 << 40}
		case ffcapi.FromBlockEarliest:
			start = &checkpoint{Block: 0}
		default:
			n, err := strconv.ParseInt(req.FromBlock, 10, 64)
			if err != nil {
				return err
			}
			start = &checkpoint{Block: n - 1, TxIndex: 1 << 40}
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.listeners[*req.ListenerID] = &listener{cancel: cancel, start: start}
	s.mu.Unlock()
	go s.run(ctx, req.ListenerID, f, start)
	return nil
}

// run delivers all events of one listener in chain order, blocking on FFTM's channel for back pressure
func (s *stream) run(ctx context.Context, id *fftypes.UUID, f filter, start *checkpoint) {
	sig := f.sig()
	n := uint64(0)
	if start.Block > 0 {
		n = uint64(start.Block)
	}
	for {
		b, err := s.c.chain.WaitBlock(ctx, n)
		if err != nil {
			return
		}
		var ts *fftypes.FFTime
		for i := f.Rem; i < b.Events; i += f.Mod {
			cp := &checkpoint{Block: int64(n), TxIndex: int64(i)}
			if !start.LessThan(cp) {
				continue
			}
			if ts == nil {
				t := fftypes.FFTime(time.Unix(0, b.TS))
				ts = &t
			}
			ev := &ffcapi.ListenerEvent{
				Checkpoint: cp,
				Event: &ffcapi.Event{
					ID: ffcapi.EventID{
						ListenerID: id, Signature: sig, BlockHash: b.Hash, BlockNumber: fftypes.FFuint64(n),
						TransactionHash: memchain.EventTxHash(n, i), TransactionIndex: fftypes.FFuint64(i), Timestamp: ts,
					},
					Info: theInfo,
					Data: fftypes.JSONAnyPtr(memchain.EventData(b, i)),
				},
			}
			select {
			case s.out <- ev:
			case <-ctx.Done():
				return
			}
		}
		n++
	}
}

func (c *connector) EventStreamStart(ctx context.Context, req *ffcapi.EventStreamStartRequest) (*ffcapi.EventStreamStartResponse, ffcapi.ErrorReason, error) {
	s := &stream{c: c, ctx: req.StreamContext, out: req.EventStream, listeners: map[fftypes.UUID]*listener{}}
	c.mu.Lock()
	c.streams[*req.ID] = s
	c.mu.Unlock()
	c.chain.SubscribeHashes(req.StreamContext, hashFn(req.StreamContext, req.BlockListener))
	for _, l := range req.InitialListeners {
		if err := s.add(l); err != nil {
			return nil, ffcapi.ErrorReasonInvalidInputs, err
		}
	}
	return &ffcapi.EventStreamStartResponse{}, "", nil
}

func hashFn(ctx context.Context, ch chan<- *ffcapi.BlockHashEvent) func(string) {
	return func(h string) {
		select {
		case ch <- &ffcapi.BlockHashEvent{BlockHashes: []string{h}, Created: fftypes.Now()}:
		case <-ctx.Done():
		}
	}
}

func (c *connector) EventStreamStopped(ctx context.Context, req *ffcapi.EventStreamStoppedRequest) (*ffcapi.EventStreamStoppedResponse, ffcapi.ErrorReason, error) {
	c.mu.Lock()
	delete(c.streams, *req.ID)
	c.mu.Unlock()
	return &ffcapi.EventStreamStoppedResponse{}, "", nil
}

func (c *connector) EventListenerVerifyOptions(ctx context.Context, req *ffcapi.EventListenerVerifyOptionsRequest) (*ffcapi.EventListenerVerifyOptionsResponse, ffcapi.ErrorReason, error) {
	f, err := parseFilter(req.Filters)
	if err != nil {
		return nil, ffcapi.ErrorReasonInvalidInputs, err
	}
	return &ffcapi.EventListenerVerifyOptionsResponse{ResolvedSignature: f.sig(), ResolvedOptions: fftypes.JSONAny(`{}`)}, "", nil
}

func (c *connector) getStream(id *fftypes.UUID) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[*id]
}

func (c *connector) EventListenerAdd(ctx context.Context, req *ffcapi.EventListenerAddRequest) (*ffcapi.EventListenerAddResponse, ffcapi.ErrorReason, error) {
	s := c.getStream(req.StreamID)
	if s == nil {
		return nil, ffcapi.ErrorReasonNotFound, errors.New("no stream")
	}
	if err := s.add(req); err != nil {
		return nil, ffcapi.ErrorReasonInvalidInputs, err
	}
	return &ffcapi.EventListenerAddResponse{}, "", nil
}

func (c *connector) EventListenerRemove(ctx context.Context, req *ffcapi.EventListenerRemoveRequest) (*ffcapi.EventListenerRemoveResponse, ffcapi.ErrorReason, error) {
	if s := c.getStream(req.StreamID); s != nil {
		s.mu.Lock()
		if l := s.listeners[*req.ListenerID]; l != nil {
			l.cancel()
			delete(s.listeners, *req.ListenerID)
		}
		s.mu.Unlock()
	}
	return &ffcapi.EventListenerRemoveResponse{}, "", nil
}

// EventListenerHWM is deliberately conservative (the point the listener started from), so that it is never
// beyond an event that is still queued inside FFTM
func (c *connector) EventListenerHWM(ctx context.Context, req *ffcapi.EventListenerHWMRequest) (*ffcapi.EventListenerHWMResponse, ffcapi.ErrorReason, error) {
	if s := c.getStream(req.StreamID); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l := s.listeners[*req.ListenerID]; l != nil {
			cp := *l.start
			return &ffcapi.EventListenerHWMResponse{Checkpoint: &cp}, "", nil
		}
	}
	return nil, ffcapi.ErrorReasonNotFound, errors.New("no listener")
}

func (c *connector) EventStreamNewCheckpointStruct() ffcapi.EventListenerCheckpoint {
	return &checkpoint{}
}

func (c *connector) NewBlockListener(ctx context.Context, req *ffcapi.NewBlockListenerRequest) (*ffcapi.NewBlockListenerResponse, ffcapi.ErrorReason, error) {
	c.chain.SubscribeHashes(req.ListenerContext, hashFn(req.ListenerContext, req.BlockListener))
	return &ffcapi.NewBlockListenerResponse{}, "", nil
}

func blockInfo(b *memchain.Block) ffcapi.BlockInfo {
	return ffcapi.BlockInfo{BlockNumber: fftypes.NewFFBigInt(int64(b.Number)), BlockHash: b.Hash, ParentHash: b.Parent, TransactionHashes: b.Txs}
}

func (c *connector) BlockInfoByHash(ctx context.Context, req *ffcapi.BlockInfoByHashRequest) (*ffcapi.BlockInfoByHashResponse, ffcapi.ErrorReason, error) {
	b, err := c.chain.BlockByHash(req.BlockHash)
	if err != nil {
		return nil, ffcapi.ErrorReasonNotFound, err
	}
	return &ffcapi.BlockInfoByHashResponse{BlockInfo: blockInfo(b)}, "", nil
}

func (c *connector) BlockInfoByNumber(ctx context.Context, req *ffcapi.BlockInfoByNumberRequest) (*ffcapi.BlockInfoByNumberResponse, ffcapi.ErrorReason, error) {
	b, err := c.chain.BlockByNumber(req.BlockNumber.Uint64())
	if err != nil {
		return nil, ffcapi.ErrorReasonNotFound, err
	}
	return &ffcapi.BlockInfoByNumberResponse{BlockInfo: blockInfo(b)}, "", nil
}

func (c *connector) NextNonceForSigner(ctx context.Context, req *ffcapi.NextNonceForSignerRequest) (*ffcapi.NextNonceForSignerResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.NextNonceForSignerResponse{Nonce: fftypes.NewFFBigInt(int64(c.chain.NextNonce(req.Signer)))}, "", nil
}

func (c *connector) GasEstimate(ctx context.Context, req *ffcapi.TransactionInput) (*ffcapi.GasEstimateResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.GasEstimateResponse{GasEstimate: c.gas}, "", nil
}

func (c *connector) GasPriceEstimate(ctx context.Context, req *ffcapi.GasPriceEstimateRequest) (*ffcapi.GasPriceEstimateResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.GasPriceEstimateResponse{GasPrice: fftypes.JSONAnyPtr(`"1000000000"`)}, "", nil
}

func (c *connector) QueryInvoke(ctx context.Context, req *ffcapi.QueryInvokeRequest) (*ffcapi.QueryInvokeResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.QueryInvokeResponse{Outputs: fftypes.JSONAnyPtr(`{"output":"1"}`)}, "", nil
}

func (c *connector) AddressBalance(ctx context.Context, req *ffcapi.AddressBalanceRequest) (*ffcapi.AddressBalanceResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.AddressBalanceResponse{Balance: fftypes.NewFFBigInt(1000)}, "", nil
}

func (c *connector) TransactionPrepare(ctx context.Context, req *ffcapi.TransactionPrepareRequest) (*ffcapi.TransactionPrepareResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.TransactionPrepareResponse{Gas: c.gas, TransactionData: c.txData}, "", nil
}

func (c *connector) DeployContractPrepare(ctx context.Context, req *ffcapi.ContractDeployPrepareRequest) (*ffcapi.TransactionPrepareResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.TransactionPrepareResponse{Gas: c.gas, TransactionData: c.txData}, "", nil
}

func (c *connector) TransactionSend(ctx context.Context, req *ffcapi.TransactionSendRequest) (*ffcapi.TransactionSendResponse, ffcapi.ErrorReason, error) {
	time.Sleep(sendDelay)
	h, known := c.chain.Send(req.From, req.Nonce.Uint64(), req.TransactionData)
	if known {
		return nil, ffcapi.ErrorKnownTransaction, errors.New("known transaction")
	}
	return &ffcapi.TransactionSendResponse{TransactionHash: h}, "", nil
}

func (c *connector) TransactionReceipt(ctx context.Context, req *ffcapi.TransactionReceiptRequest) (*ffcapi.TransactionReceiptResponse, ffcapi.ErrorReason, error) {
	n, bh, idx, ok := c.chain.Receipt(req.TransactionHash)
	if !ok {
		return nil, ffcapi.ErrorReasonNotFound, errors.New("receipt not found")
	}
	return &ffcapi.TransactionReceiptResponse{TransactionReceiptResponseBase: ffcapi.TransactionReceiptResponseBase{
		BlockNumber: fftypes.NewFFBigInt(int64(n)), TransactionIndex: fftypes.NewFFBigInt(int64(idx)), BlockHash: bh, Success: true,
		ProtocolID: fmt.Sprintf("%.12d/%.6d", n, idx),
		ExtraInfo:  fftypes.JSONAnyPtr(`{"cumulativeGasUsed":"50000","gasUsed":"50000","status":"1"}`),
	}}, "", nil
}

func (c *connector) IsLive(ctx context.Context) (*ffcapi.LiveResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.LiveResponse{Up: true}, "", nil
}

func (c *connector) IsReady(ctx context.Context) (*ffcapi.ReadyResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.ReadyResponse{Ready: true}, "", nil
}
