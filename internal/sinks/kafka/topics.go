package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	// createdAgain is how soon it is looked again whether all brokers know of a topic that was created.
	createdAgain = 100 * time.Millisecond
	adviceTime   = 5 * time.Second
	// grownTime is how long it is waited for the client to see what was added to a topic. What can go without is not held up for longer.
	grownTime  = 5 * time.Second
	grownAgain = 20 * time.Millisecond
	maxAdvised = 10 // topics that warnings speak of
)

// topic is what is known of a topic that exists.
type topic struct {
	partitions int32
	warnings   []string
}

// topic asks the cluster for a topic, and has it created if it is not there and that is wanted.
func (c *client) topic(ctx context.Context, name string) (*topic, error) {
	detail, err := c.ask(ctx, name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if c.cfg.CreateTopic == nil {
			return nil, &fieldError{"topic", fmt.Errorf("topic %s: %w; create it, or set createTopic", name, err)}
		}
		if detail, err = c.create(ctx, name); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, answered("topic", fmt.Errorf("topic %s: %w", name, err))
	}
	if may := detail.AuthorizedOperations; len(may) > 0 && !slices.Contains(may, kadm.OpWrite) && !slices.Contains(may, kadm.OpAll) {
		return nil, &fieldError{"topic", fmt.Errorf("topic %s: %w: the cluster does not permit to write to it", name, kerr.TopicAuthorizationFailed)}
	}
	return &topic{partitions: int32(len(detail.Partitions)), warnings: c.advice(ctx, name, &detail)}, nil
}

// answered blames a setting for what the cluster answered. Trouble with connections has other causes.
func answered(field string, err error) error {
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		return err
	}
	return &fieldError{fieldOf(err, field), err}
}

func (c *client) ask(ctx context.Context, name string) (kadm.TopicDetail, error) {
	m, err := c.admin.Metadata(kadm.WithAuthorizedOps(ctx), name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	detail, ok := m.Topics[name]
	if !ok {
		return detail, kerr.UnknownTopicOrPartition
	}
	return detail, detail.Err
}

// create has a topic created, and waits until brokers know of it.
func (c *client) create(ctx context.Context, name string) (kadm.TopicDetail, error) {
	replication := int16(-1)
	if n := c.cfg.CreateTopic.Replication; n > 0 {
		replication = int16(n)
	}
	answer, err := c.admin.CreateTopic(ctx, int32(c.cfg.CreateTopic.Partitions), replication, nil, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		if answer.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, answer.ErrMessage)
		}
		return kadm.TopicDetail{}, answered("createTopic", fmt.Errorf("topic %s cannot be created: %w", name, err))
	}
	for {
		detail, err := c.ask(ctx, name)
		if err == nil || !kerr.IsRetriable(err) {
			return detail, err
		}
		if retry.Sleep(ctx, createdAgain) != nil {
			return detail, err
		}
	}
}

// advice says what a topic lacks. What may not be looked at is passed over.
func (c *client) advice(ctx context.Context, name string, d *kadm.TopicDetail) (warnings []string) {
	warn := func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf("topic %s: ", name)+fmt.Sprintf(format, args...))
	}
	single := slices.ContainsFunc(d.Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return len(p.Replicas) < 2 })
	if single {
		warn("partitions have one replica only, so that what is acknowledged is lost with the disk of one broker; use 3 replicas and min.insync.replicas=2")
	}
	settings := c.described(ctx, name)
	if n, err := strconv.Atoi(settings["min.insync.replicas"]); err == nil && n < 2 && !single {
		warn("min.insync.replicas is %d, so that a broker alone may acknowledge what is lost with it; set it to 2", n)
	}
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil && n < c.cfg.MaxMessageSize {
		warn("max.message.bytes is %d, and maxMessageSize is %d, so that brokers may refuse what is sent to them", n, c.cfg.MaxMessageSize)
	}
	if settings["unclean.leader.election.enable"] == "true" {
		warn("unclean.leader.election.enable is true, so that acknowledged messages may be lost when brokers fail")
	}
	if strings.Contains(settings["cleanup.policy"], "compact") {
		warn("it is compacted, so that of the messages of one key only the newest are kept")
	}
	return warnings
}

// described are the settings of a topic; none if they cannot be looked at.
func (c *client) described(ctx context.Context, name string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, adviceTime)
	defer cancel()
	answer, err := c.admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return nil
	}
	settings := make(map[string]string)
	topic, err := answer.On(name, nil)
	if err != nil || topic.Err != nil {
		return nil
	}
	for _, s := range topic.Configs {
		if s.Value != nil {
			settings[s.Key] = *s.Value
		}
	}
	return settings
}

// know makes sure that a record has a topic and a partition to go to. An error that is Permanent is the record's fault.
func (p *producer) know(ctx context.Context, r *kgo.Record) error {
	t, known := p.topics[r.Topic]
	beyond := func() bool { return p.cfg.Partition != "" && r.Partition >= t.partitions }
	if !known || beyond() { // it may have got more
		var err error
		if t, err = p.client.topic(ctx, r.Topic); err != nil {
			return err
		}
		p.topics[r.Topic] = t
		p.advise()
		p.client.grow(ctx, r.Topic, t.partitions)
	}
	if !beyond() {
		return nil
	}
	err := fmt.Errorf("partition: is %d, and the topic %s has %d, counted from 0", r.Partition, r.Topic, t.partitions)
	if _, fixed := p.texts.partition.Fixed(); fixed { // no event can help it
		return err
	}
	return sink.Permanent(err)
}

// grow has the client itself learn of partitions that a topic got since it looked, which it does every few minutes only, and takes no record for before.
func (c *client) grow(ctx context.Context, name string, partitions int32) {
	unseen := func(partition int32) bool {
		leader, _, err := c.kafka.PartitionLeader(name, partition)
		return leader < 0 && err == nil
	}
	if unseen(0) { // nothing was sent to the topic; it is asked for when something is
		return
	}
	ctx, cancel := context.WithTimeout(ctx, grownTime)
	defer cancel()
	for unseen(partitions - 1) {
		c.kafka.ForceMetadataRefresh()
		if retry.Sleep(ctx, grownAgain) != nil {
			return
		}
	}
}

// advise publishes the warnings of all topics that are known.
func (p *producer) advise() {
	var names []string
	for name, t := range p.topics {
		if len(t.warnings) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var warnings []string
	if s := p.cfg.SASL; s != nil && s.Mechanism == apitypes.KafkaPlain && p.cfg.TLS == nil {
		warnings = append(warnings, "sasl.mechanism PLAIN without tls shows the password to whoever listens on the network.")
	}
	for _, name := range names[:min(len(names), maxAdvised)] {
		for _, w := range p.topics[name].warnings {
			warnings = append(warnings, w+".")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warnings = warnings
}

// Warnings implements sink.Advising.
func (p *producer) Warnings() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.warnings
}
