package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/example"
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
		all = append(all, example.Asset(t, e.Event))
	}
	return all
}

// A node publishes what happens on its ledger, and the program, which is killed meanwhile, handles each event once and in order.
func TestWithNode(t *testing.T) {
	t.Parallel()
	url, _ := broker(t)
	api, kind := example.Node(t), apitypes.StreamJetStream
	name := example.Stream(t, api, &apitypes.EventStream{
		Type: &kind, JetStream: json.RawMessage(`{"url":"` + url + `","stream":"EVENTS","subject":"=\"events.\" + .address + \".\" + .signature"}`),
	})
	binary, file := example.Build(t), filepath.Join(t.TempDir(), "events.jsonl")
	var want []string
	for round := range 3 {
		p := example.Start(t, nil, binary, "-url", url, "-file", file)
		for i := range 5 {
			id := fmt.Sprintf("asset-%d-%d", round, i)
			want = append(want, id)
			example.Create(t, api, id)
			_, err := api.Await(t.Context(), id, false, patience)
			require.NoError(t, err)
		}
		if round < 2 {
			p.Kill()
			continue
		}
		require.Eventually(t, func() bool { return len(subjects(t, file)) >= len(want) }, patience, 20*time.Millisecond)
		p.Stop(t)
	}
	require.Equal(t, want, subjects(t, file))
	st, err := api.Stream(t.Context(), name)
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
