package kafka_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	f := factory(t, nil)
	for name, p := range map[string]struct{ fields, field, words string }{
		"fine":                  {`"key":"=.id"`, "", ""},
		"by expression":         {`"topic":"=.topic"`, "", ""},
		"a partition":           {`"partition":"2"`, "", ""},
		"no partition":          {`"partition":"3"`, "partition", "the topic ledger has 3"},
		"no topic":              {`"topic":"nowhere"`, "topic", "UNKNOWN_TOPIC_OR_PARTITION"},
		"created":               {`"topic":"made","createTopic":{"partitions":2}`, "", ""},
		"cannot be created":     {`"topic":"many","createTopic":{"replication":5}`, "createTopic", "INVALID_REPLICATION_FACTOR"},
		"created and partition": {`"topic":"made2","partition":"2","createTopic":{"partitions":2}`, "partition", "has 2"},
	} {
		err := probe(t, f, config(c, p.fields))
		if p.field == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, p.field, fieldOf(t, err), name)
		require.ErrorContains(t, err, p.words, name)
	}
	require.Len(t, c.PartitionInfos("made"), 2)
	require.Empty(t, ids(t, c, ledger), "nothing is delivered")

	err := probe(t, f, json.RawMessage(`{"brokers":["127.0.0.1:1"],"topic":"x"}`))
	require.Equal(t, "brokers", fieldOf(t, err))
	require.ErrorContains(t, err, "connection refused")
}

// Who may not write to a topic is told before a stream is made; who may not look at its settings is told nothing.
func TestProbePermissions(t *testing.T) {
	t.Parallel()
	acl := func(o kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: ledger, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true}
	}
	c, _ := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "secret"),
		kfake.User("PLAIN", "writer", "secret", acl(kmsg.ACLOperationWrite), acl(kmsg.ACLOperationDescribe)),
		kfake.User("PLAIN", "reader", "secret", acl(kmsg.ACLOperationRead)),
		kfake.User("PLAIN", "nobody", "secret"))
	as := func(user string) string {
		return `"sasl":{"mechanism":"PLAIN","username":"` + user + `","password":"secret"}`
	}
	f := factory(t, nil)
	require.NoError(t, probe(t, f, config(c, as("writer"))))
	for _, user := range []string{"reader", "nobody"} {
		err := probe(t, f, config(c, as(user)))
		require.ErrorContains(t, err, "AUTHORIZATION_FAILED", user)
		absent(t, send(t, open(t, f, config(c, as(user))), batch(1, 1)), "AUTHORIZATION_FAILED")
	}
}

// What the cluster lacks is said where the stream's state is shown.
func TestWarnings(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t, kfake.NumBrokers(3))
	require.NoError(t, c.CreateTopic("risky", 1, map[string]string{"cleanup.policy": "compact", "unclean.leader.election.enable": "true", "min.insync.replicas": "1"}))
	require.NoError(t, c.CreateTopic("safe", 1, map[string]string{"min.insync.replicas": "2"}))
	f := factory(t, nil)
	warned := func(topic string) string {
		s := open(t, f, config(c, `"topic":"`+topic+`"`))
		advising, ok := s.(sink.Advising)
		require.True(t, ok)
		require.Empty(t, advising.Warnings(), "nobody has looked yet")
		require.NoError(t, send(t, s, batch(1, 1)))
		return strings.Join(advising.Warnings(), "\n")
	}
	require.Empty(t, warned("safe"))
	risky := warned("risky")
	for _, words := range []string{"topic risky: it is compacted", "unclean.leader.election.enable is true", "min.insync.replicas is 1"} {
		require.Contains(t, risky, words)
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	require.Empty(t, warned("risky"), "who may not look is told nothing")

	alone, _ := cluster(t)
	s := open(t, f, config(alone, ""))
	require.NoError(t, send(t, s, batch(1, 1)))
	require.Contains(t, strings.Join(s.(sink.Advising).Warnings(), "\n"), "topic ledger: partitions have one replica only")
}
