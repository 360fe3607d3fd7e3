package apitypes

import (
	"encoding/json"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// The values of EventStream.ErrorHandling.
const (
	ErrorHandlingBlock = "block" // retry for ever
	ErrorHandlingSkip  = "skip"  // set what a receiver refuses aside and go on
)

// The values of the stream and listener types, and of WebSocketConfig.DistributionMode.
const (
	StreamWebSocket   = "websocket"
	StreamWebhook     = "webhook"
	ListenerEvents    = "events"
	LoadBalance       = "load_balance"
	Broadcast         = "broadcast"
	FromBlockLatest   = "latest"
	FromBlockEarliest = "earliest"
)

// EventStream is an event stream, as request (create, PATCH: absent fields keep their value) and as answer.
type EventStream struct {
	ID                *fftypes.UUID       `json:"id,omitempty"`
	Created           *fftypes.FFTime     `json:"created,omitempty"`
	Updated           *fftypes.FFTime     `json:"updated,omitempty"`
	Name              *string             `json:"name,omitempty"`
	Suspended         *bool               `json:"suspended,omitempty"`
	Type              *string             `json:"type,omitempty"`
	ErrorHandling     *string             `json:"errorHandling,omitempty"`
	BatchSize         *uint64             `json:"batchSize,omitempty"`
	BatchTimeout      *fftypes.FFDuration `json:"batchTimeout,omitempty"`
	RetryTimeout      *fftypes.FFDuration `json:"retryTimeout,omitempty"`
	BlockedRetryDelay *fftypes.FFDuration `json:"blockedRetryDelay,omitempty"`
	Webhook           json.RawMessage     `json:"webhook,omitempty"`
	WebSocket         json.RawMessage     `json:"websocket,omitempty"`

	// Aliases of older FireFly clients; on input only.
	BatchTimeoutMS       *uint64 `json:"batchTimeoutMS,omitempty"`
	RetryTimeoutSec      *uint64 `json:"retryTimeoutSec,omitempty"`
	BlockedRetryDelaySec *uint64 `json:"blockedRetryDelaySec,omitempty"`
	Timestamps           *bool   `json:"timestamps,omitempty"` // timestamps are always there
}

// WebSocketConfig is the sink configuration of a stream of type websocket.
type WebSocketConfig struct {
	DistributionMode string `json:"distributionMode"` // load_balance (default) | broadcast
	Topic            string `json:"topic,omitempty"`  // alias of older clients: must be the stream's name
}

// EventStreamWithStatus is a stream with what it is doing now.
type EventStreamWithStatus struct {
	EventStream
	Status      string        `json:"status"` // FireFly's: started | stopping | stopped | deleted
	StreamState *StreamStatus `json:"state,omitempty"`
}

// StreamStatus is what a stream is doing now (Pyralis).
type StreamStatus struct {
	State           string          `json:"state"`               // starting, catchup, live, blocked, suspended, failed
	HeadBlock       *uint64         `json:"headBlock,omitempty"` // newest final block
	LagBlocks       *uint64         `json:"lagBlocks,omitempty"`
	InFlightBatches int             `json:"inFlightBatches"`
	Delivered       uint64          `json:"delivered"` // events acknowledged since the process started
	Redelivered     uint64          `json:"redelivered"`
	LastError       string          `json:"lastError,omitempty"`
	LastErrorTime   *fftypes.FFTime `json:"lastErrorTime,omitempty"`
}

// Listener is a listener of a stream, as request and as answer.
type Listener struct {
	ID        *fftypes.UUID     `json:"id,omitempty"`
	Created   *fftypes.FFTime   `json:"created,omitempty"`
	Updated   *fftypes.FFTime   `json:"updated,omitempty"`
	Name      *string           `json:"name,omitempty"`
	Type      *string           `json:"type,omitempty"`
	Stream    *fftypes.UUID     `json:"stream,omitempty"`
	Filters   []json.RawMessage `json:"filters,omitempty"`
	Options   json.RawMessage   `json:"options,omitempty"`
	FromBlock *BlockNumber      `json:"fromBlock,omitempty"`
	Signature *string           `json:"signature,omitempty"` // on output only

	// Aliases of older FireFly clients; on input only. event and address become one filter, methods goes into options.
	Event   json.RawMessage   `json:"event,omitempty"`
	Address json.RawMessage   `json:"address,omitempty"`
	Methods []json.RawMessage `json:"methods,omitempty"`
}

// ListenerWithStatus is a listener with its position.
type ListenerWithStatus struct {
	Listener
	Checkpoint *ListenerCheckpoint `json:"checkpoint,omitempty"`
	Catchup    bool                `json:"catchup"`
}

// ListenerCheckpoint is the next position to deliver. FireFly reads the three numbers.
type ListenerCheckpoint struct {
	Block            uint64 `json:"block"`
	TransactionIndex uint64 `json:"transactionIndex"`
	LogIndex         uint64 `json:"logIndex"`
	BlockHash        string `json:"blockHash,omitempty"`
}

// BlockNumber is a block as text: "earliest", "latest", a number or a form of the chain's own. A JSON number is taken, too.
type BlockNumber string

// UnmarshalJSON takes a string or a whole number.
func (b *BlockNumber) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*b = BlockNumber(s)
		return nil
	}
	var n uint64
	if err := json.Unmarshal(raw, &n); err != nil {
		return Invalidf("fromBlock", `give "earliest", "latest" or a block number`, "is %s", raw)
	}
	*b = BlockNumber(raw)
	return nil
}

// ClientMessage is what a WebSocket client sends.
type ClientMessage struct {
	Type        string `json:"type"`             // listen | listenreplies | ack | nack | error | unlisten
	Stream      string `json:"stream,omitempty"` // name of the stream; wins over topic
	Topic       string `json:"topic,omitempty"`  // old synonym of stream
	BatchNumber *int64 `json:"batchNumber,omitempty"`
	Message     string `json:"message,omitempty"`
	Window      int    `json:"window,omitempty"` // Pyralis, listen: batches to be sent before the first is acknowledged
}

// ServerError is the frame that answers a wrong client message (Pyralis). The connection stays open.
type ServerError struct {
	Type    string `json:"type"` // "error"
	Message string `json:"message"`
}

// EventBatch is a batch as a WebSocket client receives it.
type EventBatch struct {
	BatchNumber int64   `json:"batchNumber"`
	Events      []Event `json:"events"`
}

// Event is one event in a batch, for clients that decode it. Fields of the chain's own stand beside these.
type Event struct {
	ID               string          `json:"id"`         // Pyralis: the same at each delivery
	ProtocolID       string          `json:"protocolId"` // Pyralis: block/tx/log, sorts in chain order
	Ledger           string          `json:"ledger"`     // Pyralis
	ListenerID       string          `json:"listenerId"`
	ListenerName     string          `json:"listenerName"`
	ListenerType     string          `json:"listenerType"`
	StreamID         string          `json:"streamId"`
	SubID            string          `json:"subId"` // the listener's id again
	Signature        string          `json:"signature"`
	Address          string          `json:"address,omitempty"`
	BlockHash        string          `json:"blockHash"`
	BlockNumber      string          `json:"blockNumber"`
	TransactionHash  string          `json:"transactionHash"`
	TransactionIndex string          `json:"transactionIndex"`
	LogIndex         string          `json:"logIndex"`
	Timestamp        string          `json:"timestamp,omitempty"`
	Data             json.RawMessage `json:"data"`
}
