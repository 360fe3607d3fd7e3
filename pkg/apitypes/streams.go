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
	StreamWebSocket      = "websocket"
	StreamWebhook        = "webhook"
	StreamKafka          = "kafka"
	StreamJetStream      = "jetstream"
	StreamSQS            = "sqs"
	StreamSNS            = "sns"
	ListenerEvents       = "events"
	ListenerBlocks       = "blocks"
	ListenerTransactions = "transactions" // Pyralis: status changes of transactions
	LoadBalance          = "load_balance"
	Broadcast            = "broadcast"
	Parallel             = "parallel" // Pyralis
	FromBlockLatest      = "latest"
	FromBlockEarliest    = "earliest"
	ManagedByConfig      = "config"
	ToBlockNone          = "none" // takes the end of a listener away
)

// EventStream is an event stream, as request (create, PATCH: absent fields keep their value) and as answer.
type EventStream struct {
	ID                *fftypes.UUID       `json:"id,omitempty" doc:"UUID, made by the server."`
	Created           *fftypes.FFTime     `json:"created,omitempty" doc:"When it was created."`
	Updated           *fftypes.FFTime     `json:"updated,omitempty" doc:"When it was changed last."`
	Name              *string             `json:"name,omitempty" doc:"Unique; also the topic that WebSocket clients listen to. Required to create one."`
	Suspended         *bool               `json:"suspended,omitempty" doc:"true: nothing is delivered; the position is kept."`
	Type              *string             `json:"type,omitempty" doc:"How events are delivered: websocket (default), webhook, kafka, jetstream, sqs or sns."`
	ErrorHandling     *string             `json:"errorHandling,omitempty" doc:"What becomes of events that a receiver refuses: block (default) retries for ever, skip sets them aside as dead letters and goes on. Nothing is set aside because no receiver is there, cannot be reached or refuses everything."`
	BatchSize         *uint64             `json:"batchSize,omitempty" doc:"Events in one batch at most."`
	BatchTimeout      *fftypes.FFDuration `json:"batchTimeout,omitempty" doc:"How long a batch that is not full waits for more events."`
	RetryTimeout      *fftypes.FFDuration `json:"retryTimeout,omitempty" doc:"How long a refused batch is retried with growing pauses, before errorHandling applies."`
	BlockedRetryDelay *fftypes.FFDuration `json:"blockedRetryDelay,omitempty" doc:"Pause between further attempts."`
	Confirmations     *int                `json:"confirmations,omitempty" doc:"Blocks that must follow that of an event before it is delivered, 0 to 10000. Absent, or -1 in a change: as configured (confirmations.required). On ledgers that can be reorganised, fewer means that an event may be delivered that is not there in the end. Without effect on ledgers with instant finality."`
	Webhook           json.RawMessage     `json:"webhook,omitempty" doc:"Configuration of type webhook, e.g. {\"url\":\"https://receiver.example.com/events\",\"headers\":{\"Authorization\":\"env:HOOK_TOKEN\"},\"secret\":\"whsec_…\"}. url: where each batch is sent by POST; 2xx is its acknowledgement. headers: sent with each request. secret: requests are signed as Standard Webhooks says; previousSecret: with this one as well, while receivers change over. format: array (default) of events, or envelope, an object with batchNumber, attempt, streamId and events. requestTimeout: 30s if absent (alias requestTimeoutSec). tlsSkipHostVerify: true takes any certificate. Header values and secrets may be references (env:NAME, file:/path, awssm:name) that the configuration of the server allows. Answers show ******** for header values, secrets and what follows the host in the url; sent back, it keeps what is stored, unless for another target, which another url is, and tlsSkipHostVerify where it was not. In a change, fields that are absent keep their value. ******** as previousSecret beside a new secret is the one used until now."`
	Kafka             json.RawMessage     `json:"kafka,omitempty" doc:"Configuration of type kafka, e.g. {\"brokers\":[\"kafka.example.com:9092\"],\"topic\":\"ledger\",\"key\":\"=.data.id\"}. See kafka.md. Passwords and private keys are shown as ********, which keeps what is stored when it is sent back for the same target. In a change, fields that are absent keep their value."`
	JetStream         json.RawMessage     `json:"jetstream,omitempty" doc:"Configuration of type jetstream, e.g. {\"url\":\"nats://nats.example.com:4222\",\"stream\":\"LEDGER\",\"subject\":\"=\\\"ledger.\\\" + .signature\"}. See jetstream.md. Secrets are shown as ********, as with kafka."`
	DeadLetter        json.RawMessage     `json:"deadLetter,omitempty" doc:"Where dead letters go besides the store: {\"type\": \"kafka\", \"kafka\": {…}}, with any type but websocket, configured as a stream of that type. What is delivered is the dead letter as the API shows it, with its event. Those that cannot be delivered there for good stay in the store alone; else the stream waits. null in a change takes it away."`
	SQS               json.RawMessage     `json:"sqs,omitempty" doc:"Configuration of type sqs, e.g. {\"queueUrl\":\"https://sqs.eu-central-1.amazonaws.com/123456789012/ledger.fifo\",\"groupId\":\"ledger\"}. See sqs.md. Secrets are shown as ********, as with kafka."`
	SNS               json.RawMessage     `json:"sns,omitempty" doc:"Configuration of type sns, e.g. {\"topicArn\":\"arn:aws:sns:eu-central-1:123456789012:ledger.fifo\",\"groupId\":\"ledger\"}. See sns.md. Secrets are shown as ********, as with kafka."`
	ManagedBy         string              `json:"managedBy,omitempty" doc:"config: the stream is declared in the configuration, and changed there; it can be suspended, resumed and reset here. On output only."`
	Undeclared        bool                `json:"undeclared,omitempty" doc:"true: the configuration declared the stream, and does so no longer. It is suspended, and keeps its position for the case that it returns there; it can be deleted here. On output only."`
	WebSocket         json.RawMessage     `json:"websocket,omitempty" doc:"Configuration of type websocket: {\"distributionMode\": …}. load_balance (default): one client at a time gets batches, in order, and another one takes over when it leaves. broadcast: every client gets every batch. parallel: each batch goes to one of the clients, all of which work at the same time, so there is no order."`

	// Aliases of older FireFly clients; on input only.
	BatchTimeoutMS       *uint64 `json:"batchTimeoutMS,omitempty" doc:"Alias of batchTimeout, in milliseconds; on input only."`
	RetryTimeoutSec      *uint64 `json:"retryTimeoutSec,omitempty" doc:"Alias of retryTimeout, in seconds; on input only."`
	BlockedRetryDelaySec *uint64 `json:"blockedRetryDelaySec,omitempty" doc:"Alias of blockedRetryDelay, in seconds; on input only."`
	Timestamps           *bool   `json:"timestamps,omitempty" doc:"Known and without effect: every event has its time."`
}

// WebSocketConfig is the sink configuration of a stream of type websocket.
type WebSocketConfig struct {
	DistributionMode string `json:"distributionMode"` // load_balance (default) | broadcast | parallel
	Topic            string `json:"topic,omitempty"`  // alias of older clients: must be the stream's name
}

// EventStreamWithStatus is a stream with what it is doing now.
type EventStreamWithStatus struct {
	EventStream
	Status      string        `json:"status" doc:"started, stopping, stopped or deleted."`
	StreamState *StreamStatus `json:"state,omitempty" doc:"What it is doing now."`
}

// StreamStatus is what a stream is doing now (Pyralis).
type StreamStatus struct {
	State           string   `json:"state" doc:"starting, catchup, live, blocked, suspended or failed."`
	HeadBlock       *uint64  `json:"headBlock,omitempty" doc:"Newest final block. With listeners on several ledgers this and the next two are of the one that is furthest behind."`
	CheckpointBlock *uint64  `json:"checkpointBlock,omitempty" doc:"Lowest block of which not everything is delivered: everything below it is acknowledged, for all listeners."`
	LagBlocks       *uint64  `json:"lagBlocks,omitempty" doc:"Final blocks of which not everything is delivered."`
	LagSeconds      *float64 `json:"lagSeconds,omitempty" doc:"Time between the checkpoint's block and the newest final one, by their timestamps. Of blocks that were not read lately it is an estimate, and absent until one can be made."`
	LagTransactions *uint64  `json:"lagTransactions,omitempty" doc:"Status changes of transactions between the position and the newest one, for listeners of type transactions."`

	InFlightBatches      int             `json:"inFlightBatches" doc:"Batches that are sent and not yet acknowledged."`
	UnstoredBatches      int             `json:"unstoredBatches" doc:"Batches that are acknowledged, with all before them, and not yet stored as such: they come again after a crash, with those in flight. See eventstreams.maxUnstored."`
	OldestUnackedSeconds *float64        `json:"oldestUnackedSeconds,omitempty" doc:"Time since the oldest of them was sent first."`
	BlockedSince         *fftypes.FFTime `json:"blockedSince,omitempty" doc:"State blocked: when the batch, or the dead letter for the second receiver, that blocks the stream failed first, or when delivery began to wait for the store."`
	Delivered            uint64          `json:"delivered" doc:"Events acknowledged since the node started."`
	Redelivered          uint64          `json:"redelivered" doc:"Events sent again since the node started."`
	DeadLettered         uint64          `json:"deadLettered" doc:"Events set aside as dead letters since the node started."`
	DeadLetters          *uint64         `json:"deadLetters,omitempty" doc:"Dead letters that are stored."`
	DeadLetterReplays    *uint64         `json:"deadLetterReplays,omitempty" doc:"How many of them are to be replayed."`
	SuspendedReason      string          `json:"suspendedReason,omitempty" doc:"State suspended: why, if nobody asked for it: the receiver wants nothing any more."`
	Rewinds              uint64          `json:"rewinds" doc:"Times that listeners went back since the node started, because the chain had changed below their checkpoints."`
	Resets               uint64          `json:"resets" doc:"Listeners that were reset on request since the node started."`
	LastError            string          `json:"lastError,omitempty" doc:"What went wrong last."`
	LastErrorTime        *fftypes.FFTime `json:"lastErrorTime,omitempty" doc:"When that was."`
	Warnings             []string        `json:"warnings,omitempty" doc:"What its receivers lack that guarantees may hang on, such as a second copy of what they acknowledge. What is said of the second one begins with deadLetter."`

	PendingListeners []string `json:"pendingListeners,omitempty" doc:"Declared listeners that wait for the chain to be made or changed, each with what stands in the way."`
}

// Listener is a listener of a stream, as request and as answer.
type Listener struct {
	ID        *fftypes.UUID     `json:"id,omitempty" doc:"UUID, made by the server."`
	Created   *fftypes.FFTime   `json:"created,omitempty" doc:"When it was created."`
	Updated   *fftypes.FFTime   `json:"updated,omitempty" doc:"When it was changed last."`
	Name      *string           `json:"name,omitempty" doc:"Unique in its event stream; the signature if absent."`
	Type      *string           `json:"type,omitempty" doc:"What it delivers: events (default) of contracts, blocks: every block, or transactions: the status changes of transactions."`
	Stream    *fftypes.UUID     `json:"stream,omitempty" doc:"Id of the event stream."`
	Filters   []json.RawMessage `json:"filters,omitempty" doc:"What to deliver; an event that matches one of them is delivered. Events: in the terms of the chain. Transactions: status, subStatus, signer, ledger and label.<name>, all of which must match, e.g. {\"status\":\"Failed\",\"label.objectType\":\"invoice\"}; without filters all are delivered. Blocks: none."`
	Options   json.RawMessage   `json:"options,omitempty" doc:"Options of the chain's own. Blocks: {\"ledger\":\"mychannel\"} where the chain has several ledgers."`
	Where     *string           `json:"where,omitempty" doc:"jq predicate over the event as it would be delivered: events for which it gives null, false or nothing are passed over. Runs after filters. An event for which it fails or gives more than one value counts as refused for good: see errorHandling. Empty in a change: removed. E.g. .signature == \"Transfer\" and (.data.value | tonumber) >= 1000"`
	Transform *string           `json:"transform,omitempty" doc:"jq program over the event as it would be delivered, whose one output takes the place of the event's data; all other members stay. For other types than events the output is added as data. Without output the event is passed over; failures as with where. Empty in a change: removed. E.g. .data | {from, to, amount: .value}"`
	FromBlock *BlockNumber      `json:"fromBlock,omitempty" doc:"Where to begin: earliest, latest (default), a block number, a position block/tx/log as protocolId shows it, which begins at that very event, or a form of the chain's own. Type transactions: earliest is the oldest change that is retained, a number is the sequence of a change, after which it goes on."`
	ToBlock   *EndBlock         `json:"toBlock,omitempty" doc:"Types events and blocks: the last block to deliver. The listener is complete when everything up to it is delivered, and costs nothing more. In a change, another number lets it go on or end, none lets it go on for good."`
	Signature *string           `json:"signature,omitempty" doc:"What it matches, in short, as the chain calls it; on output only."`

	ManagedBy  string `json:"managedBy,omitempty" doc:"config: it is declared in the configuration, and changed there; it can be reset here. On output only."`
	Undeclared bool   `json:"undeclared,omitempty" doc:"true: the configuration declared it, and does so no longer. Nothing is delivered; it keeps its position for the case that it returns there, and can be deleted here. On output only."`

	// Aliases of older FireFly clients; on input only. event and address become one filter, methods goes into options.
	Event   json.RawMessage   `json:"event,omitempty" doc:"Alias: event and address are one filter; on input only."`
	Address json.RawMessage   `json:"address,omitempty" doc:"Alias: see event; on input only."`
	Methods []json.RawMessage `json:"methods,omitempty" doc:"Alias of options.methods; on input only."`
}

// ListenerWithStatus is a listener with its position.
type ListenerWithStatus struct {
	Listener
	Checkpoint *ListenerCheckpoint `json:"checkpoint,omitempty" doc:"The next position to deliver."`
	Catchup    bool                `json:"catchup" doc:"true: it is reading the past of the chain."`
	Complete   bool                `json:"complete,omitempty" doc:"true: everything up to toBlock is delivered."`
}

// ListenerCheckpoint is the next position to deliver. FireFly reads the three numbers.
type ListenerCheckpoint struct {
	Block            uint64 `json:"block" doc:"Number of the block."`
	TransactionIndex uint64 `json:"transactionIndex" doc:"Index of the transaction in the block."`
	LogIndex         uint64 `json:"logIndex" doc:"Index of the event in the transaction."`
	BlockHash        string `json:"blockHash,omitempty" doc:"Hash of the newest block that was read."`
	Sequence         string `json:"sequence,omitempty" doc:"Type transactions, instead of the others: the newest status change that is delivered, or needs no delivery."`
}

// ListenerReset is the answer to the reset of a listener.
type ListenerReset struct {
	Listener
	Reset *ResetResult `json:"reset,omitempty" doc:"What the reset does."`
}

// ResetResult says what a reset does to one listener (Pyralis).
type ResetResult struct {
	DryRun  bool                `json:"dryRun,omitempty" doc:"true: nothing was changed."`
	From    *ListenerCheckpoint `json:"from" doc:"Where the listener stood: everything before it is delivered."`
	To      *ListenerCheckpoint `json:"to" doc:"Where it begins again."`
	Skips   bool                `json:"skips" doc:"true: it goes forward, and what lies between is never delivered. false: it goes back, and what lies between is delivered again."`
	Events  *uint64             `json:"events,omitempty" doc:"Dry run: how many events lie between, by the filters of the listener and before its where."`
	AtLeast bool                `json:"atLeast,omitempty" doc:"true: there may be more. Counting ends at 100000 events or after 10 seconds, and at the newest final block."`
}

// StreamResetRequest is the body of a reset of all listeners of a stream.
type StreamResetRequest struct {
	FromBlock *BlockNumber `json:"fromBlock,omitempty" doc:"Where all of them begin again; each where it began if absent. Listeners of type transactions take earliest and latest only."`
}

// StreamReset is the answer to the reset of all listeners of a stream.
type StreamReset struct {
	DryRun     bool             `json:"dryRun,omitempty" doc:"true: nothing was changed."`
	Listeners  []*ListenerReset `json:"listeners" doc:"What becomes of each."`
	Again      uint64           `json:"again,omitempty" doc:"Dry run: events that are delivered again, of all listeners."`
	PassedOver uint64           `json:"passedOver,omitempty" doc:"Dry run: events that are never delivered, of all listeners."`
	AtLeast    bool             `json:"atLeast,omitempty" doc:"true: there may be more."`
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

// EndBlock is the number of a block as text, or "none". A JSON number is taken, too.
type EndBlock string

// UnmarshalJSON takes a string or a whole number.
func (b *EndBlock) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		*b = EndBlock(text)
		return nil
	}
	var n uint64
	if err := json.Unmarshal(raw, &n); err != nil {
		return Invalidf("toBlock", `give a block number or "none"`, "is %s", raw)
	}
	*b = EndBlock(raw)
	return nil
}

// ClientMessage is what a WebSocket client sends.
type ClientMessage struct {
	Type        string `json:"type"`             // listen | listenreplies | ack | nack | error | unlisten
	Stream      string `json:"stream,omitempty"` // name or id of the stream; wins over topic
	Topic       string `json:"topic,omitempty"`  // old synonym of stream
	BatchNumber *int64 `json:"batchNumber,omitempty"`
	Message     string `json:"message,omitempty"`
	Window      int    `json:"window,omitempty"` // Pyralis, listen: batches to be sent before the first is acknowledged
	Acks        bool   `json:"acks,omitempty"`   // Pyralis, listen: batches of a stream that broadcasts are acknowledged, too
	Voids       bool   `json:"voids,omitempty"`  // Pyralis, listen: to be told with Void what is taken back
	Reply       bool   `json:"reply,omitempty"`  // Pyralis, nack: to be answered with Nacked
}

// Void takes batches back that were sent to this connection before (Pyralis): of those, the client forgets what it has not begun to handle.
// What is still this client's comes again. Only who listens with Voids true gets it.
type Void struct {
	Type         string  `json:"type"` // "void"
	Stream       string  `json:"stream"`
	BatchNumbers []int64 `json:"batchNumbers"`
}

// Nacked answers a nack that asked for it (Pyralis). Of what was sent to this connection before it, InFlight is what the client may go on
// with. Everything else is answered or void: what is void comes again, under another number, after the refused batch.
type Nacked struct {
	Type        string  `json:"type"` // "nacked"
	Stream      string  `json:"stream"`
	BatchNumber *int64  `json:"batchNumber,omitempty"`
	InFlight    []int64 `json:"inFlight"`
}

// ServerError is the frame that answers a wrong client message, or ends the listening to a stream (Pyralis). The connection stays open.
type ServerError struct {
	Type    string `json:"type"` // "error"
	Message string `json:"message"`

	// Unlistened says that the connection does not listen to Stream, or no longer: nothing comes of it until it listens again.
	Stream     string `json:"stream,omitempty"`
	Unlistened bool   `json:"unlistened,omitempty"`
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

// BlockEvent is one block in a batch, as listeners of type blocks deliver it.
type BlockEvent struct {
	ID                string   `json:"id"`         // Pyralis: the same at each delivery
	ProtocolID        string   `json:"protocolId"` // Pyralis: the number, padded to 12 digits
	Ledger            string   `json:"ledger"`     // Pyralis
	BlockNumber       string   `json:"blockNumber"`
	BlockHash         string   `json:"blockHash"`
	ParentHash        string   `json:"parentHash"` // empty in block 0
	Timestamp         string   `json:"timestamp,omitempty"`
	TransactionHashes []string `json:"transactionHashes"` // in the order of the block
	ListenerID        string   `json:"listenerId"`
	ListenerName      string   `json:"listenerName"`
	ListenerType      string   `json:"listenerType"` // blocks
	StreamID          string   `json:"streamId"`
	SubID             string   `json:"subId"` // the listener's id again
}

// TransactionEvent is one status change of a transaction in a batch, as listeners of type transactions deliver it (Pyralis).
type TransactionEvent struct {
	ID               string            `json:"id"`       // of the transaction
	EventID          string            `json:"eventId"`  // the same at each delivery
	Sequence         string            `json:"sequence"` // orders all changes; a listener can be told to go on after it
	Status           string            `json:"status"`
	SubStatus        string            `json:"subStatus"`
	Time             string            `json:"time"`
	Removed          bool              `json:"removed,omitempty"` // retention has removed the transaction: what follows is not known any more
	Ledger           string            `json:"ledger"`
	From             string            `json:"from,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	TransactionHash  string            `json:"transactionHash,omitempty"` // this and what follows is left out of a change that another has followed
	BlockNumber      string            `json:"blockNumber,omitempty"`
	BlockHash        string            `json:"blockHash,omitempty"`
	TransactionIndex string            `json:"transactionIndex,omitempty"`
	Error            string            `json:"error,omitempty"`
	ListenerID       string            `json:"listenerId"`
	ListenerName     string            `json:"listenerName"`
	ListenerType     string            `json:"listenerType"` // transactions
	StreamID         string            `json:"streamId"`
	SubID            string            `json:"subId"` // the listener's id again
}
