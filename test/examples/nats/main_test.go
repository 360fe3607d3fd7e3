package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// patience is several times as long as JetStream waits for an acknowledgement of a program that was killed.
const patience = 3 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker starts NATS with the stream EVENTS.
func broker(t *testing.T) (url string, js jetstream.JetStream) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(patience))
	url = "nats://" + s.Addr().String()
	nc, err := nats.Connect(url, nats.Timeout(patience))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err = jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	require.NoError(t, err)
	return url, js
}

// lines are what a journal holds.
func lines(t *testing.T, path string) (all []entry) {
	t.Helper()
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	defer file.Close()
	for in := bufio.NewScanner(file); in.Scan(); {
		var e entry
		require.NoError(t, json.Unmarshal(in.Bytes(), &e))
		all = append(all, e)
	}
	return all
}

func subjects(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, e := range lines(t, path) {
		var event struct{ Data struct{ ID string } }
		require.NoError(t, json.Unmarshal(e.Event, &event))
		all = append(all, event.Data.ID)
	}
	return all
}

// process is the program.
type process struct {
	cmd   *exec.Cmd
	log   *strings.Builder // when it has ended
	ended chan struct{}
}

func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), log: new(strings.Builder), ended: make(chan struct{})}
	p.cmd.Stderr = p.log
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state says it
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// A node publishes what happens on its ledger, and the program, which is killed meanwhile, handles each event once and in order.
func TestWithNode(t *testing.T) {
	t.Parallel()
	url, _ := broker(t)
	cfg, err := node.LoadConfig("", []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_API_PORT=0"})
	require.NoError(t, err)
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet})
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	c := client.New(n.URL())
	t.Cleanup(c.Close)
	name, kind, from := "to-nats", apitypes.StreamJetStream, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err = c.CreateStream(t.Context(), &apitypes.EventStream{
		Name: &name, Type: &kind, JetStream: json.RawMessage(`{"url":"` + url + `","stream":"EVENTS","subject":"=\"events.\" + .address + \".\" + .signature"}`),
	})
	require.NoError(t, err)
	_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets"}`)}})
	require.NoError(t, err)

	binary, file := filepath.Join(t.TempDir(), "nats"), filepath.Join(t.TempDir(), "events.jsonl")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var want []string
	for round := range 3 {
		p := start(t, binary, "-url", url, "-file", file)
		for i := range 5 {
			id := fmt.Sprintf("asset-%d-%d", round, i)
			want = append(want, id)
			_, _, err := c.Submit(t.Context(), &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, 1}})
			require.NoError(t, err)
			_, err = c.Await(t.Context(), id, false, patience)
			require.NoError(t, err)
		}
		last := round == 2
		if last {
			for end := time.Now().Add(patience); len(subjects(t, file)) < len(want); <-time.After(20 * time.Millisecond) {
				require.True(t, time.Now().Before(end), "events are missing")
				select {
				case <-p.ended: // it could not reach NATS in the time that the client takes for it, and is started again as by a supervisor
					p = start(t, binary, "-url", url, "-file", file)
				default:
				}
			}
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			<-p.ended
			require.True(t, p.cmd.ProcessState.Success(), "%s", p.log)
			continue
		}
		_ = p.cmd.Process.Kill() // unless it has ended already
		<-p.ended
	}
	require.Equal(t, want, subjects(t, file))
	st, err := c.Stream(t.Context(), name)
	require.NoError(t, err)
	require.Contains(t, strings.Join(st.StreamState.Warnings, "; "), "has one replica")
}

// What the stream did not recognise as a repetition, the program does; what others publish is left out.
func TestRepetitions(t *testing.T) {
	t.Parallel()
	url, js := broker(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	for i, id := range []string{"a", "b", "a", "", "b", "c"} {
		m := &nats.Msg{Subject: "events.x", Data: []byte(fmt.Sprintf(`{"data":{"id":%q}}`, id)), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprint(i)}}}
		if id != "" {
			m.Header["pyralis-message-id"] = []string{id}
		}
		_, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	// The first program stops after its first event, in the middle of writing the second.
	j, err := openJournal(file)
	require.NoError(t, err)
	require.NoError(t, j.add("a", []byte(`{"data":{"id":"a"}}`)))
	_, err = j.file.WriteString(`{"messageId":"b","ev`)
	require.NoError(t, err)
	j.close()

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, options{url: url, stream: "EVENTS", durable: "d", file: file})
	}()
	require.Eventually(t, func() bool {
		c, err := js.Consumer(t.Context(), "EVENTS", "d")
		if err != nil {
			return false
		}
		info, err := c.Info(t.Context())
		return err == nil && info.AckFloor.Stream == 6
	}, patience, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.Equal(t, []string{"a", "b", "c"}, subjects(t, file))
}

func TestNothingToReadFrom(t *testing.T) {
	t.Parallel()
	url, _ := broker(t)
	dir := t.TempDir()
	require.Error(t, run(t.Context(), options{url: url, stream: "NOWHERE", durable: "d", file: filepath.Join(dir, "a")}))
	require.Error(t, run(t.Context(), options{url: url, stream: "EVENTS", durable: "d", file: filepath.Join(dir, "none", "a")}))
	require.Error(t, run(t.Context(), options{url: "nats://127.0.0.1:1", stream: "EVENTS", durable: "d", file: filepath.Join(dir, "b")}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c"), []byte("no journal\n"), 0o600))
	require.Error(t, run(t.Context(), options{url: url, stream: "EVENTS", durable: "d", file: filepath.Join(dir, "c")}))
}
