package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
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
	api := stream(t, c)
	binary := filepath.Join(t.TempDir(), "consumer")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := t.TempDir()
	var members []*member
	for range 3 {
		members = append(members, run(t, binary, c, dir))
	}
	submit := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("asset-%d", i)
			_, _, err := api.Submit(t.Context(), &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, 1}})
			require.NoError(t, err)
		}
	}
	submit(0, events/2)
	require.Eventually(t, func() bool { return len(handled(t, dir)) >= events/4 }, patience, 20*time.Millisecond)
	require.NoError(t, members[0].cmd.Process.Kill())
	submit(events/2, events)
	all := func() bool { return len(handled(t, dir)) == events }
	require.Eventually(t, all, patience, 50*time.Millisecond)

	sendAgain(t, c)
	require.Eventually(t, func() bool {
		return strings.Count(members[1].log.String()+members[2].log.String(), "came again") >= events
	}, patience, 50*time.Millisecond)
	require.True(t, all(), "nothing has a second effect")
	subjects := make(map[string]bool)
	for _, text := range handled(t, dir) {
		var e struct{ Data struct{ ID string } }
		require.NoError(t, json.Unmarshal([]byte(text), &e))
		subjects[e.Data.ID] = true
	}
	require.Len(t, subjects, events, "no event is missing")
}

// stream starts a node with a stream to the topic.
func stream(t *testing.T, c *kfake.Cluster) *client.Client {
	t.Helper()
	cfg, err := node.LoadConfig("", []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_API_PORT=0"})
	require.NoError(t, err)
	log := logrus.New()
	log.SetOutput(io.Discard)
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: log})
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	api := client.New(n.URL())
	t.Cleanup(api.Close)
	settings, err := json.Marshal(map[string]any{
		"brokers": c.ListenAddrs(), "topic": "ledger", "key": "=.data.id", "createTopic": map[string]int{"partitions": 6, "replication": 3},
	})
	require.NoError(t, err)
	name, kind, from := "orders", apitypes.StreamKafka, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err = api.CreateStream(t.Context(), &apitypes.EventStream{Name: &name, Type: &kind, Kafka: settings})
	require.NoError(t, err)
	_, err = api.CreateListener(t.Context(), name, &apitypes.Listener{Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets"}`)}})
	require.NoError(t, err)
	return api
}

type member struct {
	cmd *exec.Cmd
	log *syncBuffer
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func run(t *testing.T, binary string, c *kfake.Cluster, dir string) *member {
	t.Helper()
	m := &member{log: new(syncBuffer)}
	m.cmd = exec.Command(binary, "-brokers", strings.Join(c.ListenAddrs(), ","), "-dir", dir, "-session", "2s")
	m.cmd.Stderr = m.log
	require.NoError(t, m.cmd.Start())
	t.Cleanup(func() {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		_ = m.cmd.Wait()
	})
	return m
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
