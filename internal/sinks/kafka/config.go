package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// defaultMessageSize is message.max.bytes of a broker that is not told otherwise.
	defaultMessageSize = 1<<20 + 12
	minMessageSize     = 1 << 10
	maxMessageSize     = 64 << 20

	defaultTimeout = 30 * time.Second
	minTimeout     = time.Second
	maxTimeout     = 10 * time.Minute

	maxBrokers     = 100
	maxHeaders     = 50
	maxHeaderName  = 100
	maxTopicName   = 249
	maxPartitions  = 10_000
	maxReplication = 100
)

const example = `give {"brokers":["kafka.example.com:9092"],"topic":"ledger"}`

// defaults are the values of fields that a configuration leaves out.
func defaults() apitypes.KafkaConfig {
	timeout := fftypes.FFDuration(defaultTimeout)
	return apitypes.KafkaConfig{
		Compression: apitypes.KafkaUncompressed, PerMessage: apitypes.MessagePerEvent, Format: apitypes.FormatJSON,
		MaxMessageSize: defaultMessageSize, RequestTimeout: &timeout,
	}
}

func (f *Factory) settings() *broker.Settings[apitypes.KafkaConfig] {
	return &broker.Settings[apitypes.KafkaConfig]{
		Example: example, Defaults: defaults, Check: f.check, Values: values, Same: same, References: f.env.References,
	}
}

// values are the fields that may be secret or references.
func values(c *apitypes.KafkaConfig) []broker.Value {
	all := broker.TLSValues(c.TLS)
	if c.SASL != nil {
		all = append(all,
			broker.Value{Field: "sasl.username", Text: &c.SASL.Username}, broker.Value{Field: "sasl.password", Text: &c.SASL.Password, Secret: true})
	}
	return all
}

// same says whether the secrets of old may be used as c says: at the same brokers or some of them, and as hidden from who listens.
func same(c, old *apitypes.KafkaConfig) bool {
	for _, address := range c.Brokers {
		if !slices.Contains(old.Brokers, address) {
			return false
		}
	}
	if c.SASL != nil && old.SASL != nil && isPlain(c.SASL) && !isPlain(old.SASL) { // which shows the password to the broker
		return false
	}
	return broker.SameCare(c.TLS, old.TLS)
}

func isPlain(s *apitypes.KafkaSASL) bool { return strings.EqualFold(s.Mechanism, apitypes.KafkaPlain) }

func (f *Factory) check(c *apitypes.KafkaConfig) error {
	if err := f.checkBrokers(c); err != nil {
		return err
	}
	if c.Topic == "" {
		return apitypes.Invalidf("topic", `give the name of a topic, or a jq expression such as "=.data.kind"`, "is missing")
	}
	if _, err := f.texts(c); err != nil {
		return err
	}
	switch c.Compression = strings.ToLower(c.Compression); {
	case c.Compression == "":
		c.Compression = apitypes.KafkaUncompressed
	case codecs[c.Compression] == nil:
		return apitypes.Invalidf("compression", "must be one of "+strings.Join(slices.Sorted(maps.Keys(codecs)), ", "), "is %q", c.Compression)
	}
	if c.MaxMessageSize == 0 {
		c.MaxMessageSize = defaultMessageSize
	}
	if n := c.MaxMessageSize; n < minMessageSize || n > maxMessageSize {
		return apitypes.Invalidf("maxMessageSize", fmt.Sprintf("must be %d to %d bytes", minMessageSize, maxMessageSize), "is %d", n)
	}
	return errors.Join(
		checkSASL(c.SASL), broker.CheckTLS(c.TLS, f.env.References), checkTopic(c.CreateTopic), broker.CheckMessages(&c.PerMessage, &c.Format),
		broker.CheckDuration("requestTimeout", &c.RequestTimeout, defaultTimeout, minTimeout, maxTimeout),
	)
}

func (f *Factory) checkBrokers(c *apitypes.KafkaConfig) error {
	if n := len(c.Brokers); n == 0 || n > maxBrokers {
		return apitypes.Invalidf("brokers", fmt.Sprintf("give host:port of 1 to %d brokers of the cluster", maxBrokers), "has %d", n)
	}
	for i, address := range c.Brokers {
		if err := f.env.CheckAddress(fmt.Sprintf("brokers[%d]", i), address); err != nil {
			return err
		}
	}
	return nil
}

func checkSASL(s *apitypes.KafkaSASL) error {
	if s == nil {
		return nil
	}
	switch s.Mechanism = strings.ToUpper(s.Mechanism); s.Mechanism {
	case apitypes.KafkaPlain, apitypes.KafkaScram256, apitypes.KafkaScram512:
	default:
		return apitypes.Invalidf("sasl.mechanism", "must be "+apitypes.KafkaPlain+", "+apitypes.KafkaScram256+" or "+apitypes.KafkaScram512, "is %q", s.Mechanism)
	}
	for _, v := range [...]struct{ field, text string }{{"sasl.username", s.Username}, {"sasl.password", s.Password}} {
		if v.text == "" {
			return apitypes.Invalidf(v.field, "give it, or leave out sasl", "is missing")
		}
	}
	return nil
}

func checkTopic(t *apitypes.KafkaTopic) error {
	if t == nil {
		return nil
	}
	if t.Partitions == 0 {
		t.Partitions = 1
	}
	if t.Partitions < 1 || t.Partitions > maxPartitions {
		return apitypes.Invalidf("createTopic.partitions", fmt.Sprintf("must be 1 to %d", maxPartitions), "is %d", t.Partitions)
	}
	if t.Replication < 0 || t.Replication > maxReplication {
		return apitypes.Invalidf("createTopic.replication", fmt.Sprintf("must be 1 to %d, or 0 for what the cluster is set up for", maxReplication), "is %d", t.Replication)
	}
	return nil
}

// texts are the settings that may come out of each message.
type texts struct {
	topic, key, partition *broker.Text
	names                 []string // of the headers, sorted
	headers               []*broker.Text
}

func (f *Factory) texts(c *apitypes.KafkaConfig) (*texts, error) {
	t := new(texts)
	for _, s := range [...]struct {
		to            **broker.Text
		field, source string
		check         func(string) error
	}{{&t.topic, "topic", c.Topic, topicName}, {&t.key, "key", c.Key, nil}, {&t.partition, "partition", c.Partition, partitionNumber}} {
		var err error
		if *s.to, err = broker.NewText(f.env.Compiler, s.field, s.source, s.check); err != nil {
			return nil, err
		}
	}
	if len(c.Headers) > maxHeaders {
		return nil, apitypes.Invalidf("headers", fmt.Sprintf("give %d at most", maxHeaders), "has %d", len(c.Headers))
	}
	t.names = slices.Sorted(maps.Keys(c.Headers))
	for _, name := range t.names {
		if name == "" || len(name) > maxHeaderName || strings.HasPrefix(name, "pyralis-") || name == broker.HeaderType {
			return nil, apitypes.Invalidf("headers", fmt.Sprintf("give names of 1 to %d bytes, other than %s and those that begin with pyralis-", maxHeaderName, broker.HeaderType), "has the name %q", name)
		}
		text, err := broker.NewText(f.env.Compiler, "headers."+name, c.Headers[name], nil)
		if err != nil {
			return nil, err
		}
		t.headers = append(t.headers, text)
	}
	return t, nil
}

// all are the texts as a broker.Maker wants them.
func (t *texts) all() []*broker.Text {
	return append([]*broker.Text{t.topic, t.key, t.partition}, t.headers...)
}

// topicName refuses what no topic can be called.
func topicName(name string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	if name == "" || len(name) > maxTopicName || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
		return fmt.Errorf("is %.300q, and the name of a topic has 1 to %d of a-z, A-Z, 0-9, dot, underscore and hyphen", name, maxTopicName)
	}
	return nil
}

func partitionNumber(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err != nil || n < 0 {
		return fmt.Errorf("is %.300q, and a partition is a whole number from 0", text)
	}
	return nil
}
