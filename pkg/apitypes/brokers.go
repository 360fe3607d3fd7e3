package apitypes

import "github.com/hyperledger/firefly-common/pkg/fftypes"

// The values of the fields perMessage and format of all brokers.
const (
	MessagePerEvent = "event" // one event in each message
	MessagePerBatch = "batch" // the array of a batch's events in one message

	FormatJSON        = "json"        // the event as WebSocket clients get it
	FormatCloudEvents = "cloudevents" // within an envelope of CloudEvents 1.0, in structured mode
)

// BrokerTLS is how a sink proves who it talks to, and who it is. Each text is PEM or a reference to it ("env:NAME", "file:/path", "awssm:name").
type BrokerTLS struct {
	CA             string `json:"ca,omitempty"`             // who vouches for the broker; "": those whom the system trusts
	Certificate    string `json:"certificate,omitempty"`    // with Key, for mutual TLS
	Key            string `json:"key,omitempty"`            // masked in answers
	ServerName     string `json:"serverName,omitempty"`     // in the broker's certificate; "": the host that is connected to
	SkipHostVerify bool   `json:"skipHostVerify,omitempty"` // true: any certificate will do
}

// The values of fields of KafkaConfig.
const (
	KafkaUncompressed = "none" // the others are gzip, snappy, lz4 and zstd

	KafkaPlain    = "PLAIN"
	KafkaScram256 = "SCRAM-SHA-256"
	KafkaScram512 = "SCRAM-SHA-512"
)

// KafkaConfig is the sink configuration of a stream of type kafka. A text that begins with "=" is a jq expression over the event, or over the array of
// events with perMessage batch.
type KafkaConfig struct {
	Brokers        []string            `json:"brokers"`               // host:port, any of the cluster
	Topic          string              `json:"topic"`                 // name, or expression
	Key            string              `json:"key,omitempty"`         // messages of one key keep their order, in one partition; "": the id of the stream, so that all keep theirs
	Partition      string              `json:"partition,omitempty"`   // number from 0, or expression; "": by the key
	Headers        map[string]string   `json:"headers,omitempty"`     // beside those of the server; text, or expression
	Compression    string              `json:"compression"`           // none (default) | gzip | snappy | lz4 | zstd
	TLS            *BrokerTLS          `json:"tls,omitempty"`         // nil: none
	SASL           *KafkaSASL          `json:"sasl,omitempty"`        // nil: none
	CreateTopic    *KafkaTopic         `json:"createTopic,omitempty"` // nil: the topic has to exist
	PerMessage     string              `json:"perMessage"`            // event (default) | batch
	Format         string              `json:"format"`                // json (default) | cloudevents
	MaxMessageSize int                 `json:"maxMessageSize"`        // bytes, as max.message.bytes of the topic; default 1048588
	RequestTimeout *fftypes.FFDuration `json:"requestTimeout"`        // for one batch until the brokers have it; default 30s
}

// KafkaSASL is how a sink logs in to Kafka.
type KafkaSASL struct {
	Mechanism string `json:"mechanism"` // PLAIN | SCRAM-SHA-256 | SCRAM-SHA-512
	Username  string `json:"username"`  // may be a reference
	Password  string `json:"password"`  // may be a reference; masked in answers
}

// KafkaTopic is a topic that a sink creates if there is none of its name.
type KafkaTopic struct {
	Partitions  int `json:"partitions"`  // default 1
	Replication int `json:"replication"` // copies; 0: as the cluster is set up
}

// JetStreamConfig is the sink configuration of a stream of type jetstream. A text that begins with "=" is a jq expression, as in KafkaConfig.
type JetStreamConfig struct {
	URL            string              `json:"url"`                      // nats://host:port or tls://host:port, several with commas
	Stream         string              `json:"stream"`                   // of JetStream, that takes the subject
	Subject        string              `json:"subject"`                  // name, or expression
	Domain         string              `json:"domain,omitempty"`         // of JetStream; "": that of the server which is connected to
	InboxPrefix    string              `json:"inboxPrefix,omitempty"`    // of the subjects that answers come to; "": _INBOX
	Credentials    string              `json:"credentials,omitempty"`    // content of a .creds file; may be a reference; masked in answers
	Username       string              `json:"username,omitempty"`       // may be a reference
	Password       string              `json:"password,omitempty"`       // may be a reference; masked in answers
	Token          string              `json:"token,omitempty"`          // may be a reference; masked in answers
	TLS            *BrokerTLS          `json:"tls,omitempty"`            // nil: as the url and the server want it
	PerMessage     string              `json:"perMessage"`               // event (default) | batch
	Format         string              `json:"format"`                   // json (default) | cloudevents
	RequestTimeout *fftypes.FFDuration `json:"requestTimeout,omitempty"` // without any acknowledgement, while some are awaited; default 5s
}

// SQSConfig is the sink configuration of a stream of type sqs. A text that begins with "=" is a jq expression, as in KafkaConfig.
type SQSConfig struct {
	QueueURL        string              `json:"queueUrl"`                  // https://sqs.<region>.amazonaws.com/<account>/<name>; a name in .fifo keeps the order of each group
	Region          string              `json:"region,omitempty"`          // "": that of QueueURL
	Endpoint        string              `json:"endpoint,omitempty"`        // URL of the service; "": that of AWS in the region
	GroupID         string              `json:"groupId,omitempty"`         // text, or expression; required for a FIFO queue
	Attributes      map[string]string   `json:"attributes,omitempty"`      // beside those of the server; text, or expression, which "" leaves out
	AccessKeyID     string              `json:"accessKeyId,omitempty"`     // may be a reference; "": credentials as AWS finds them on the server's machine
	SecretAccessKey string              `json:"secretAccessKey,omitempty"` // may be a reference; masked in answers
	SessionToken    string              `json:"sessionToken,omitempty"`    // may be a reference; masked in answers
	RoleARN         string              `json:"roleArn,omitempty"`         // taken on with these credentials; "": none
	PerMessage      string              `json:"perMessage"`                // event (default) | batch
	Format          string              `json:"format"`                    // json (default) | cloudevents
	RequestTimeout  *fftypes.FFDuration `json:"requestTimeout,omitempty"`  // for one call and its answer; default 10s
}

// SNSConfig is the sink configuration of a stream of type sns. A text that begins with "=" is a jq expression, as in KafkaConfig.
type SNSConfig struct {
	TopicARN        string              `json:"topicArn"`                  // arn:aws:sns:<region>:<account>:<name>; a name in .fifo keeps the order of each group
	Region          string              `json:"region,omitempty"`          // "": that of TopicARN
	Endpoint        string              `json:"endpoint,omitempty"`        // URL of the service; "": that of AWS in the region
	GroupID         string              `json:"groupId,omitempty"`         // text, or expression; required for a FIFO topic
	Subject         string              `json:"subject,omitempty"`         // text, or expression, which "" leaves out; of e-mails
	Attributes      map[string]string   `json:"attributes,omitempty"`      // beside those of the server, for filters of subscriptions; text, or expression, which "" leaves out
	AccessKeyID     string              `json:"accessKeyId,omitempty"`     // may be a reference; "": credentials as AWS finds them on the server's machine
	SecretAccessKey string              `json:"secretAccessKey,omitempty"` // may be a reference; masked in answers
	SessionToken    string              `json:"sessionToken,omitempty"`    // may be a reference; masked in answers
	RoleARN         string              `json:"roleArn,omitempty"`         // taken on with these credentials; "": none
	PerMessage      string              `json:"perMessage"`                // event (default) | batch
	Format          string              `json:"format"`                    // json (default) | cloudevents
	RequestTimeout  *fftypes.FFDuration `json:"requestTimeout,omitempty"`  // for one call and its answer; default 10s
}
