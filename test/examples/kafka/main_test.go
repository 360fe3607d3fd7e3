package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/example"
)

const (
	patience = 3 * time.Minute
	events   = 60
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Three members share six partitions, one of them is killed, everything is sent a second time, and each event has its effect once.
func TestGroup(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	settings, err := json.Marshal(map[string]any{
		"brokers": c.ListenAddrs(), "topic": "ledger", "key": "=.data.id", "createTopic": map[string]int{"partitions": 6, "replication": 3},
	})
	require.NoError(t, err)
	kind := apitypes.StreamKafka
	api := example.Node(t)
	example.Stream(t, api, &apitypes.EventStream{Type: &kind, Kafka: settings})
	binary, dir := example.Build(t), t.TempDir()
	var members []*example.Process
	for range 3 {
		members = append(members, example.Start(t, nil, binary, "-brokers", strings.Join(c.ListenAddrs(), ","), "-dir", dir, "-session", "2s"))
	}
	submit := func(from, to int) {
		for i := from; i < to; i++ {
			example.Create(t, api, fmt.Sprintf("asset-%d", i))
		}
	}
	submit(0, events/2)
	require.Eventually(t, func() bool { return len(handled(t, dir)) >= events/4 }, patience, 20*time.Millisecond)
	members[0].Kill()
	submit(events/2, events)
	all := func() bool { return len(handled(t, dir)) == events }
	require.Eventually(t, all, patience, 50*time.Millisecond)

	sendAgain(t, c)
	require.Eventually(t, func() bool {
		return strings.Count(members[1].Log.String()+members[2].Log.String(), "came again") >= events
	}, patience, 50*time.Millisecond)
	require.True(t, all(), "nothing has a second effect")
	subjects := make(map[string]bool)
	for _, text := range handled(t, dir) {
		subjects[example.Asset(t, []byte(text))] = true
	}
	require.Len(t, subjects, events, "no event is missing")
}

func handled(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}

// sendAgain writes every message of the topic a second time, as a node does that was killed before it had noted an acknowledgement.
func sendAgain(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	k, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("ledger"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableClientMetrics())
	require.NoError(t, err)
	defer k.Close()
	var again []*kgo.Record
	for len(again) < events {
		fetched := k.PollFetches(ctx)
		require.NoError(t, fetched.Err())
		for _, r := range fetched.Records() {
			again = append(again, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
		}
	}
	require.NoError(t, k.ProduceSync(ctx, again...).FirstErr())
}
