package config

import "time"

// Values of keys that choose between parts of the program.
const (
	ConnectorDevLedger = "devledger"
	ConnectorFabric    = "fabric"
	PolicySimple       = "simple"
	PolicyFabric       = "fabric"
	StoreSQLite        = "sqlite"
	StorePostgres      = "postgres"
	LogText            = "text"
	LogJSON            = "json"
)

// Config is the tree of all keys. The path of key tags is the name of a key; the other tags are explained at field in key.go.
// Load fills every field, and nil is never left in it.
type Config struct {
	Connector     string        `key:"connector" default:"devledger" check:"notempty" doc:"The chain to work with: \"devledger\" is the embedded development ledger, \"fabric\" a Hyperledger Fabric network. A binary with further connectors takes their names, too."`
	Streams       Objects       `key:"streams" secret:"true" doc:"Event streams that are there from the start, each in the form of POST /eventstreams with a list of listeners: see Declared streams."`
	Store         Store         `key:"store" doc:"Where transactions, streams and checkpoints are kept."`
	API           API           `key:"api" doc:"The REST and WebSocket server."`
	Monitoring    Monitoring    `key:"monitoring" doc:"Prometheus metrics, on a port of their own."`
	Tracing       Tracing       `key:"tracing" doc:"OpenTelemetry spans of each stage of a transaction, sent to a collector by OTLP over HTTP."`
	Debug         Debug         `key:"debug" doc:"Go profiles (pprof), on a port of their own. They show memory contents: keep them away from strangers."`
	Log           Log           `key:"log" doc:"The log, written to standard error."`
	Confirmations Confirmations `key:"confirmations" doc:"When a transaction or an event counts as final."`
	Transactions  Transactions  `key:"transactions" doc:"Accepting and submitting transactions."`
	Fees          Fees          `key:"fees" doc:"What is offered for transactions, on chains that take fees."`
	Policies      Policies      `key:"policies" doc:"Settings of the submission policies, under the name of each."`
	EventStreams  EventStreams  `key:"eventstreams" doc:"Reading events and delivering them."`
	WebSockets    WebSockets    `key:"websockets" doc:"Limits of WebSocket connections. How long a client may take to acknowledge is eventstreams.ackTimeout; which web pages may connect, api.cors.origins."`
	Brokers       Brokers       `key:"brokers" doc:"What streams to message brokers may connect to. Everything else is a setting of the stream."`
	Webhooks      Webhooks      `key:"webhooks" doc:"What streams of type webhook may connect to, and how. Everything else is a setting of the stream."`
	Secrets       Secrets       `key:"secrets" doc:"References to secrets in the settings of streams, such as env:HOOK_KEY, file:/run/secrets/key, and awssm:hooks/key for a secret of AWS Secrets Manager or awssm:hooks/all#key for a member of the JSON object that is one."`
	DevLedger     DevLedger     `key:"devledger" doc:"The embedded development ledger. Only used with \"connector: devledger\"."`
	Fabric        Fabric        `key:"fabric" doc:"The connection to a Hyperledger Fabric network. Only used with \"connector: fabric\"."`
}

// Store chooses the database.
type Store struct {
	Type     string   `key:"type" default:"sqlite" enum:"sqlite,postgres" doc:"The database: \"sqlite\" needs no set-up, \"postgres\" is for a shared server."`
	SQLite   SQLite   `key:"sqlite"`
	Postgres Postgres `key:"postgres"`

	EncryptionKeys []string `key:"encryptionKeys" secret:"true" doc:"Keys for what is secret of a transaction (transient data of Fabric), which is stored encrypted and wiped when the transaction ends; the first one encrypts, all decrypt. Each is 32 bytes in hex or base64, or a reference to them: env:NAME or file:/run/secrets/key. Empty: with SQLite, a key is made when it is needed, in the file encryption.key of store.sqlite.path, and with PostgreSQL such transactions are refused."`
}

// SQLite locates the SQLite database.
type SQLite struct {
	Path string `key:"path" default:"./pyralis-data" check:"notempty" doc:"Directory of the database, created when missing. One process at a time may use it."`
}

// Postgres locates the PostgreSQL database.
type Postgres struct {
	URL      string `key:"url" secret:"true" check:"postgresURL" doc:"Connection URL, e.g. postgres://user:password@host:5432/database?sslmode=verify-full. Required with \"store.type: postgres\"."`
	MaxConns int    `key:"maxConns" default:"20" min:"2" max:"10000" doc:"Connections that read from the database at most: half of them serve reads by key, the others lists and searches. Two more come on top, that of the writer and the one that marks the owner of the database, so a node takes maxConns + 2 of the server's max_connections."`
}

// API is the REST and WebSocket server.
type API struct {
	Address           string        `key:"address" default:"127.0.0.1" check:"host" doc:"IP address or host name to listen on. 0.0.0.0 means all interfaces; there is no authentication yet, so think first."`
	Port              int           `key:"port" default:"5008" min:"0" max:"65535" doc:"TCP port. 0 picks a free one."`
	PublicURL         string        `key:"publicURL" check:"httpURL" doc:"URL under which clients reach the API, for the OpenAPI document. Empty: derived from the request."`
	MaxBodySize       Size          `key:"maxBodySize" default:"4MiB" min:"1KiB" max:"1GiB" doc:"Size of a request body at most."`
	MaxPage           int           `key:"maxPage" default:"500" min:"1" max:"10000" doc:"Items in one page of a list at most."`
	RequestTimeout    time.Duration `key:"requestTimeout" default:"30s" min:"1ms" doc:"Time a request may take when it names none in its Request-Timeout header."`
	MaxRequestTimeout time.Duration `key:"maxRequestTimeout" default:"10m" min:"1ms" doc:"Time a request may ask for at most."`
	ShutdownTimeout   time.Duration `key:"shutdownTimeout" default:"5s" min:"1ms" max:"8s" doc:"Time that requests under way have to finish when the node stops, which takes ten seconds at most in all."`
	CORS              CORS          `key:"cors"`
}

// CORS lets web pages of other origins use the API.
type CORS struct {
	Origins []string `key:"origins" check:"origin" doc:"Origins whose pages may use the API and the WebSocket, e.g. https://app.example.com, or * for all. Empty: only pages of the same origin."`
}

// Monitoring is the metrics server.
type Monitoring struct {
	Enabled bool   `key:"enabled" default:"false" doc:"Serve metrics at /metrics."`
	Address string `key:"address" default:"127.0.0.1" check:"host" doc:"IP address or host name to listen on."`
	Port    int    `key:"port" default:"6000" min:"0" max:"65535" doc:"TCP port. 0 picks a free one."`
}

// Tracing is where spans go.
type Tracing struct {
	Enabled  bool   `key:"enabled" default:"false" doc:"Record spans: accept, prepare, send and confirm. A request that brings a trace (header traceparent) is part of it."`
	Endpoint string `key:"endpoint" default:"http://127.0.0.1:4318" check:"httpURL" doc:"URL of the collector. A path other than / replaces /v1/traces."`
	Percent  int    `key:"percent" default:"100" min:"0" max:"100" doc:"How many in a hundred of the traces that begin here are recorded. Those that come with a request follow its decision."`
}

// Debug is the profile server.
type Debug struct {
	Enabled bool   `key:"enabled" default:"false" doc:"Serve profiles at /debug/pprof."`
	Address string `key:"address" default:"127.0.0.1" check:"host" doc:"IP address or host name to listen on."`
	Port    int    `key:"port" default:"6060" min:"0" max:"65535" doc:"TCP port. 0 picks a free one."`
}

// Log shapes the log.
type Log struct {
	Level  string `key:"level" default:"info" enum:"trace,debug,info,warn,error" doc:"The least severe level that is written."`
	Format string `key:"format" default:"text" enum:"text,json" doc:"Lines for people or for programs."`
	UTC    bool   `key:"utc" default:"false" doc:"Write times in UTC instead of the local time zone."`
}

// Confirmations says when something is final.
type Confirmations struct {
	Required int `key:"required" default:"0" min:"0" max:"10000" doc:"Blocks that must follow the block of a transaction or an event. Ledgers with instant finality need none, whatever this says. With fewer than its reorganisations are deep, what is delivered and ended may not be on the chain in the end."`
}

// Transactions is the transaction manager.
type Transactions struct {
	Policy            string        `key:"policy" doc:"The policy that decides when to submit, wait, resubmit and give up: \"simple\" or \"fabric\". A binary with further policies takes their names, too. Empty: \"fabric\" with \"connector: fabric\", else \"simple\"."`
	NonceStateTimeout time.Duration `key:"nonceStateTimeout" default:"1h" min:"0" doc:"Age of a signer's newest transaction above which the node is asked for the next nonce. 0 asks each time."`
	Deadline          time.Duration `key:"deadline" default:"2m" min:"1s" doc:"Time without progress after which a transaction is reported as stuck."`
	MaxPending        int           `key:"maxPending" default:"1000000" min:"1" doc:"Transactions that are not terminal at most; beyond it new ones are answered with 429."`
	Retention         time.Duration `key:"retention" default:"0" min:"0" doc:"How long a transaction is kept after it ended; then it is removed with its history and labels. 0 keeps all for ever. A status change that a listener has yet to take keeps its transaction."`
	// The key outlives its transaction, so that a request that is repeated late is still known.
	IdempotencyRetention time.Duration `key:"idempotencyRetention" default:"720h" min:"1m" doc:"How long an id (headers.id) is known at least, from the acceptance of its request. It is known as long as its transaction is kept, however long that is; once it is forgotten, the same request would be sent again."`
	Workers              int           `key:"workers" default:"64" min:"1" max:"10000" doc:"Submissions under way at once at most."`
}

// PolicyName is the policy in force: the one that is set, or that of the connector.
func (c *Config) PolicyName() string {
	switch {
	case c.Transactions.Policy != "":
		return c.Transactions.Policy
	case c.Connector == ConnectorFabric:
		return PolicyFabric
	default:
		return PolicySimple
	}
}

// Fees says what is offered for transactions.
type Fees struct {
	Source        string        `key:"source" default:"none" enum:"none,fixed,connector,rest" doc:"Where fees come from: \"none\" offers nothing, \"fixed\" always the same, \"connector\" what the connector estimates, \"rest\" what a service on the web answers."`
	Fixed         string        `key:"fixed" doc:"The fee as JSON in the chain's own form, e.g. '1000' or '{\"maxFeePerGas\": \"1000\"}'. Required with \"fees.source: fixed\"."`
	Required      bool          `key:"required" default:"false" doc:"What happens to a transaction that was never sent while its fee cannot be found out. true: it waits; false: it is sent without a fee."`
	QueryInterval time.Duration `key:"queryInterval" default:"30s" min:"1ms" doc:"How long a fee is used until the connector or the service is asked again."`
	MaxAge        time.Duration `key:"maxAge" default:"15m" min:"0" doc:"How long a fee is used at most while the connector or the service does not answer."`
	REST          FeeService    `key:"rest"`
}

// FeeService is a service on the web that knows fees.
type FeeService struct {
	URL      string        `key:"url" doc:"URL that is asked, query parameters included. Redirects are not followed. Required with \"fees.source: rest\"."`
	Method   string        `key:"method" default:"GET" enum:"GET,POST,PUT" doc:"HTTP method."`
	Headers  []string      `key:"headers" secret:"true" doc:"Headers of the request, each as \"Name: value\"."`
	Body     string        `key:"body" doc:"Body of the request. It is JSON unless a header Content-Type says otherwise."`
	Auth     FeesAuth      `key:"auth"`
	Template string        `key:"template" doc:"Go template, with the functions of Sprig, that makes the fee out of the JSON answer, e.g. '{\"maxFeePerGas\": \"{{ .fast.maxFee }}\"}'. Numbers keep their digits. Empty: the answer is the fee."`
	Timeout  time.Duration `key:"timeout" default:"5s" min:"1ms" max:"10s" doc:"Time for one request."`
	Proxy    string        `key:"proxy" secret:"true" doc:"URL of an HTTP proxy, e.g. http://proxy.example.com:3128. Empty: none, whatever the environment says."`
}

// FeesAuth is who asks.
type FeesAuth struct {
	Username     string `key:"username" doc:"User name for basic authentication. Empty: none."`
	Password     string `key:"password" secret:"true" doc:"Password; better given in the environment or by passwordFile."`
	PasswordFile string `key:"passwordFile" doc:"File that holds the password, read at start-up."`
}

// Policies holds the settings of each policy.
type Policies struct {
	Simple SimplePolicy `key:"simple"`
	Fabric FabricPolicy `key:"fabric"`
}

// SimplePolicy submits, and resubmits what does not arrive.
type SimplePolicy struct {
	ResubmitInterval time.Duration `key:"resubmitInterval" default:"10s" min:"100ms" doc:"Time in which a submitted transaction should be found in a block; after it the same bytes are sent again."`
	MaxAttempts      int           `key:"maxAttempts" default:"0" min:"0" doc:"Sends in a row that certainly did not leave, after which a transaction fails. 0: no limit."`
	Backoff          Backoff       `key:"backoff"`
	Bump             Bump          `key:"bump"`
}

// FabricPolicy submits, resubmits what does not arrive, and prepares afresh what lost a race with another transaction.
type FabricPolicy struct {
	RetryConflicts   bool            `key:"retryConflicts" default:"true" doc:"A transaction that a block holds as failed because what it had read was changed meanwhile (MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT) is prepared and sent afresh. false: it fails."`
	MaxAttempts      int             `key:"maxAttempts" default:"5" min:"1" max:"1000" doc:"Attempts that lose such a race, after which the transaction fails."`
	ConflictBackoff  ConflictBackoff `key:"conflictBackoff"`
	ResubmitInterval time.Duration   `key:"resubmitInterval" default:"10s" min:"100ms" doc:"Time in which a submitted transaction should be found in a block; after it the same envelope is sent again, for as long as it takes."`
	Backoff          Backoff         `key:"backoff"`
}

// ConflictBackoff is the wait before a fresh preparation.
type ConflictBackoff struct {
	Initial time.Duration `key:"initial" default:"100ms" min:"1ms" doc:"Wait after the first attempt that lost a race; it doubles from there, with full jitter."`
	Max     time.Duration `key:"max" default:"5s" min:"1ms" doc:"Wait after such an attempt at most."`
}

// Bump raises the fee of what is resubmitted.
type Bump struct {
	Percent int    `key:"percent" default:"0" min:"0" max:"1000" doc:"On chains with nonces: how much more is offered, in percent of the fee before, with a resubmission and when a node refuses a fee as too low. 0: the same bytes are sent again, always."`
	Max     string `key:"max" check:"amount" doc:"Amount in base 10 that a fee, and each number in it, is never raised above. Required with policies.simple.bump.percent."`
	After   int    `key:"after" default:"1" min:"0" max:"1000000" doc:"Resubmissions of the same bytes before each raise."`
}

// Backoff is the wait between attempts that failed.
type Backoff struct {
	Initial time.Duration `key:"initial" default:"250ms" min:"1ms" doc:"Wait after the first failed attempt; it doubles from there, with full jitter."`
	Max     time.Duration `key:"max" default:"30s" min:"1ms" doc:"Wait after a failed attempt at most."`
}

// EventStreams is the event engine.
type EventStreams struct {
	Defaults           StreamDefaults `key:"defaults"`
	ReadAhead          int            `key:"readAhead" default:"4" min:"1" max:"1000" doc:"Batches that are read and encoded while earlier ones wait for their ack, per stream."`
	MaxUnstored        int            `key:"maxUnstored" default:"32" min:"0" max:"100000" doc:"Batches of a stream that may be acked before it is stored that they are. After a crash at most so many, and as many as the window of the receiver (webhooks: 1), come again; GUARANTEES.md, row 10, has what distributionMode parallel and errorHandling skip add. With 0 only those in flight do, but each batch waits until the one before is stored, which may halve the speed of small batches."`
	MaxMemory          Size           `key:"maxMemory" default:"64MiB" min:"1MiB" doc:"Memory for events read and not yet acked, all streams together."`
	CheckpointInterval time.Duration  `key:"checkpointInterval" default:"1m" min:"1ms" doc:"How often at most a checkpoint moves past blocks in which nothing matched. Acked events are stored at once."`
	AckTimeout         time.Duration  `key:"ackTimeout" default:"2m" min:"1ms" doc:"Time a WebSocket client has to ack a batch before it is sent again."`
	UnstableHead       int            `key:"unstableHead" default:"50" min:"0" max:"1000000" doc:"On ledgers without instant finality, checkpoints without events stay this many blocks below the head."`
}

// StreamDefaults are the settings of streams that do not say otherwise.
type StreamDefaults struct {
	BatchSize         int           `key:"batchSize" default:"50" min:"1" max:"10000" doc:"Events in a batch at most, for streams that do not say."`
	BatchTimeout      time.Duration `key:"batchTimeout" default:"5s" min:"1ms" doc:"Time a batch may wait to become full, for streams that do not say."`
	ErrorHandling     string        `key:"errorHandling" default:"block" enum:"block,skip" doc:"What happens when a batch keeps failing, for streams that do not say: \"block\" tries for ever, \"skip\" puts the refused event aside as a dead letter."`
	RetryTimeout      time.Duration `key:"retryTimeout" default:"30s" min:"0" doc:"Time in which a failed batch is retried with growing waits before errorHandling applies, for streams that do not say."`
	BlockedRetryDelay time.Duration `key:"blockedRetryDelay" default:"30s" min:"1ms" doc:"Wait between attempts of a blocked stream, for streams that do not say."`
}

// WebSockets are the limits of connections.
type WebSockets struct {
	MaxConnections int           `key:"maxConnections" default:"10000" min:"1" max:"1000000" doc:"Connections at most; further ones are answered with 503."`
	MaxStreams     int           `key:"maxStreams" default:"1000" min:"1" max:"100000" doc:"Streams that one connection may listen to."`
	MaxMessageSize Size          `key:"maxMessageSize" default:"1MiB" min:"1KiB" max:"64MiB" doc:"Size of a message from a client at most; a larger one ends its connection. What clients are sent is not bounded by it."`
	PingInterval   time.Duration `key:"pingInterval" default:"30s" min:"100ms" max:"1h" doc:"Time between pings. A client of which nothing is heard for twice as long is cut off."`
	WriteTimeout   time.Duration `key:"writeTimeout" default:"10s" min:"100ms" max:"10m" doc:"Time that writing one batch may take before the client, which does not read, is cut off."`
}

// Webhooks is what all webhooks have in common.
type Webhooks struct {
	AllowPrivateIPs bool        `key:"allowPrivateIPs" default:"false" doc:"Webhooks may be sent to private, loopback, link-local and other addresses that are not of the public internet. Whoever may create a stream can then reach what this server can reach. \"pyralis dev\" has it true by default. The metadata services of clouds, which give away the credentials of a machine, need an entry in webhooks.allow even then."`
	Allow           []string    `key:"allow" doc:"Addresses (10.1.2.3), ranges (10.0.0.0/8) and host names that webhooks may be sent to although they are not of the public internet. A host name may resolve to anything."`
	Proxy           string      `key:"proxy" secret:"true" check:"proxyURL" doc:"URL of a proxy for all webhooks, e.g. http://proxy.example.com:3128 or socks5://proxy.example.com:1080. Empty: none, whatever the environment says. A proxy resolves names itself: literal addresses and names that resolve here are checked before, and the rest is for the proxy to refuse."`
	TLS             WebhooksTLS `key:"tls"`
}

// WebhooksTLS are the files for receivers with https.
type WebhooksTLS struct {
	CAFile   string `key:"caFile" doc:"PEM file with the authorities whose certificates are trusted, instead of those of the system."`
	CertFile string `key:"certFile" doc:"PEM file with the certificate that is shown to receivers that ask for one."`
	KeyFile  string `key:"keyFile" doc:"PEM file with the key of webhooks.tls.certFile."`
}

// Brokers is what streams to message brokers may connect to.
type Brokers struct {
	AllowPrivateIPs bool     `key:"allowPrivateIPs" default:"true" doc:"Brokers may be at private, loopback and other addresses that are not of the public internet, where most are. Whoever may create a stream can then find out what answers there. The metadata services of clouds, which give away the credentials of a machine, need an entry in brokers.allow even then."`
	Allow           []string `key:"allow" doc:"Addresses (10.1.2.3), ranges (10.0.0.0/8) and host names that brokers may have although they are not of the public internet, with brokers.allowPrivateIPs: false. A host name may resolve to anything."`
}

// Secrets is what references may stand for.
type Secrets struct {
	Allow []string   `key:"allow" doc:"References that may be used, * standing for any text without a slash, e.g. env:HOOK_*, file:/run/secrets/hooks/* and awssm:hooks/*. Whoever may create a stream can have what is listed here sent anywhere: list nothing that is not meant for receivers of events. Empty: none."`
	AWS   AWSSecrets `key:"aws"`
}

// AWSSecrets is how AWS Secrets Manager is asked for secrets.
type AWSSecrets struct {
	Region   string `key:"region" doc:"Region of the secrets that are referred to by name, e.g. eu-central-1. Empty: that of this machine's settings (AWS_REGION). A reference with an ARN names its own. The credentials are those that AWS's own tools find on this machine: environment variables, files, the role of the machine or container. A secret that changed counts after a minute at most. While Secrets Manager cannot be reached, what was read last counts for an hour."`
	Endpoint string `key:"endpoint" check:"httpURL" doc:"URL of the service, e.g. of an endpoint in a network of one's own. Empty: that of AWS in the region."`
}

// DevLedger is the embedded ledger.
type DevLedger struct {
	BlockPeriod          time.Duration `key:"blockPeriod" default:"0" min:"0" max:"1h" doc:"Time between blocks. 0: a block at once for what waits."`
	MaxBlockTransactions int           `key:"maxBlockTransactions" default:"5000" min:"1" max:"100000" doc:"Transactions in a block at most."`
	Sequenced            bool          `key:"sequenced" default:"true" doc:"Transactions of a signer carry nonces and commit in their order."`
	Durable              bool          `key:"durable" default:"true" doc:"Keep the ledger in the data directory. false: in memory only, for benchmarks."`
	Finality             string        `key:"finality" default:"instant" enum:"instant,confirmations" doc:"Whether a block is final at once, or only under enough others (see confirmations.required)."`
	OutcomesInBlocks     bool          `key:"outcomesInBlocks" default:"true" doc:"Blocks tell how their transactions ended. false: each outcome is asked for with a receipt, as on EVM chains."`
	HashAtPrepare        bool          `key:"hashAtPrepare" default:"true" doc:"Without nonces, the hash of a transaction is known before it is sent. false: only from then on."`
	FutureNonces         uint64        `key:"futureNonces" default:"1000" doc:"How far beyond the signer's next nonce a transaction may be, to wait for those in between. 0 refuses a gap."`
	GasPrice             uint64        `key:"gasPrice" default:"0" doc:"What a unit of gas costs at least, on a ledger with nonces. What offers less is refused as underpriced."`
	Balance              uint64        `key:"balance" default:"0" doc:"What each signer has at the beginning to pay for gas, on a ledger with nonces. 0: signers need none."`
	SendDelay            time.Duration `key:"sendDelay" default:"0" min:"0" max:"1m" doc:"Time that taking a transaction lasts, to imitate a distant node."`
	Faults               Faults        `key:"faults" doc:"What goes wrong by itself, to see what a bad node or a bad chain does. All of it is off by default."`
	Synthetic            Synthetic     `key:"synthetic"`
}

// Faults make the development ledger go wrong by itself.
type Faults struct {
	Seed            uint64 `key:"seed" default:"0" doc:"Seed of the chances. 0: another one at each start."`
	LoseAnswers     int    `key:"loseAnswers" default:"0" min:"0" max:"100" doc:"Chance in percent that a transaction is taken and the answer to that lost."`
	Duplicate       int    `key:"duplicate" default:"0" min:"0" max:"100" doc:"Chance in percent that a transaction is in its block twice. Only the first counts."`
	Drop            int    `key:"drop" default:"0" min:"0" max:"100" doc:"Chance in percent that a transaction is forgotten after it was taken."`
	DropPoolEvery   uint64 `key:"dropPoolEvery" default:"0" doc:"Everything that waits for a block is forgotten every so many blocks. 0: never."`
	ReorganiseEvery uint64 `key:"reorganiseEvery" default:"0" doc:"The newest blocks are replaced every so many blocks. 0: never. Needs \"devledger.finality: confirmations\"."`
	ReorganiseDepth int    `key:"reorganiseDepth" default:"1" min:"1" max:"1000" doc:"Blocks that are replaced at most; how many it is each time is drawn. Above confirmations.required, what was final is taken back."`
	ReorganiseDrop  int    `key:"reorganiseDrop" default:"0" min:"0" max:"100" doc:"Chance in percent that a transaction of a replaced block is forgotten. The others are in the new blocks."`
}

// Synthetic makes the development ledger produce events by itself.
type Synthetic struct {
	HistoryBlocks      uint64        `key:"historyBlocks" default:"0" doc:"For load tests: blocks that exist when the ledger is created."`
	EventBlocks        uint64        `key:"eventBlocks" default:"0" doc:"For load tests: how many of those blocks, from block 1 on, carry events."`
	EventsPerBlock     int           `key:"eventsPerBlock" default:"200" min:"0" max:"100000" doc:"For load tests: events in each block that carries them."`
	LiveEventsPerBlock int           `key:"liveEventsPerBlock" default:"0" min:"0" max:"100000" doc:"For load tests: events in each new block."`
	BlockPeriod        time.Duration `key:"blockPeriod" default:"0" min:"0" max:"1h" doc:"For load tests: time between new blocks with liveEventsPerBlock events. 0: as devledger.blockPeriod has it."`
}

// Fabric is the connection to a Fabric network.
type Fabric struct {
	Profile            string         `key:"profile" doc:"Connection profile (YAML or JSON) that names the peers and their TLS certificates. Either this or fabric.peers is required with \"connector: fabric\"."`
	Peers              Objects        `key:"peers" doc:"Peers to work with, in place of a connection profile, the preferred one first. Each has a url (grpcs://host:7051, or grpc:// without TLS), and may have a name for the log, a tlsServerName that its certificate must be for if that is not the host, and a tlsCACert: the authority of its certificate, as PEM, as the path of a file or a directory, or as a reference such as env:NAME. Without tlsCACert it is tlscacerts in the mspDir of an identity."`
	MSPID              string         `key:"mspID" doc:"Membership service provider (organisation) of the peers, and of identities that name none, e.g. Org1MSP. Required with \"connector: fabric\"."`
	Channels           []string       `key:"channels" doc:"Channels that may be used; the first one is meant where a request names none. Required with \"connector: fabric\"."`
	Wallet             string         `key:"wallet" doc:"Directory with one sub-directory per identity, each holding cert.pem and key.pem, and mspid if it is not fabric.mspID. This or fabric.identities, or both, are required with \"connector: fabric\"."`
	Identities         Objects        `key:"identities" secret:"true" doc:"Identities beside those of the wallet. Each has a name, and either an mspDir (a directory with signcerts and keystore) or a certificate and a privateKey, each as PEM, as the path of a file, or as a reference such as env:NAME or file:/run/secrets/key; and an mspID if it is not fabric.mspID."`
	Identity           string         `key:"identity" doc:"Identity for reading blocks, and for queries that name none. Required with \"connector: fabric\"."`
	EndorseAt          string         `key:"endorseAt" default:"accept" enum:"accept,submit" doc:"When peers endorse: \"accept\" asks them before a transaction is accepted, so that a chaincode's refusal is the answer to the caller; \"submit\" when it is sent, so that transactions are accepted while peers are away, and a refusal makes them fail."`
	TransientRetention time.Duration  `key:"transientRetention" default:"5m" min:"1ms" doc:"How long peers certainly keep the private data of a transaction that they have endorsed; they count blocks, see peer.gossip.pvtData.transientstoreMaxBlockRetention in their core.yaml. A transaction with transient data that was endorsed longer ago and not sent yet is endorsed afresh."`
	TLS                FabricTLS      `key:"tls" doc:"The certificate that is shown to peers that ask for one (mutual TLS)."`
	Timeouts           FabricTimeouts `key:"timeouts"`
	Backoff            FabricBackoff  `key:"backoff" doc:"Waits before a peer that failed is tried again."`
}

// FabricTLS is who connects to the peers.
type FabricTLS struct {
	ClientCertificate string `key:"clientCertificate" doc:"Certificate for mutual TLS: PEM, the path of a file, or a reference such as env:NAME. Empty: none."`
	ClientKey         string `key:"clientKey" secret:"true" doc:"Key of fabric.tls.clientCertificate, in the same forms."`
}

// FabricTimeouts bound each kind of call to a peer.
type FabricTimeouts struct {
	Connect      time.Duration `key:"connect" default:"3s" min:"100ms" doc:"Time for a connection to a peer, TLS included."`
	Silence      time.Duration `key:"silence" default:"4s" min:"200ms" doc:"Time in which a peer that is asked something must give a sign of life. After half of it the peer is asked for one; after all of it what is under way goes to the next peer."`
	Endorse      time.Duration `key:"endorse" default:"30s" min:"1ms" doc:"Time for collecting endorsements."`
	Submit       time.Duration `key:"submit" default:"30s" min:"1ms" doc:"Time for handing an endorsed transaction to the orderers."`
	Evaluate     time.Duration `key:"evaluate" default:"30s" min:"1ms" doc:"Time for a query."`
	CommitStatus time.Duration `key:"commitStatus" default:"2m" min:"1ms" doc:"Time for looking a transaction or a block up. A block that does not come in the usual time is given more each time it is asked for, up to this."`
}

// FabricBackoff is how long a peer that failed is left alone.
type FabricBackoff struct {
	Initial time.Duration `key:"initial" default:"250ms" min:"1ms" doc:"Wait after the first failure at most; it doubles with each further one, with full jitter."`
	Max     time.Duration `key:"max" default:"30s" min:"1ms" doc:"Wait after a failure at most."`
}
