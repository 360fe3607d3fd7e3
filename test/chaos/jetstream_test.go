//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// The test binary is a NATS server as well, which the tests kill: that of the folder and the port that these variables name.
const (
	natsStore = "CHAOS_NATS_STORE"
	natsPort  = "CHAOS_NATS_PORT"
)

// serveNATS is what such a process does instead of tests.
func serveNATS(dir string) int {
	port, err := strconv.Atoi(os.Getenv(natsPort))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	s.WaitForShutdown()
	return 0
}

// natsProcess is a NATS server that can be killed.
type natsProcess struct {
	r    *eventRun
	dir  string
	port int
	cmd  *exec.Cmd
}

func (n *natsProcess) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

func (n *natsProcess) start() {
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), natsStore+"="+n.dir, natsPort+"="+strconv.Itoa(n.port))
	n.cmd.Stderr = os.Stderr
	require.NoError(n.r.t, n.cmd.Start())
}

func (n *natsProcess) kill() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

// client connects, once the server answers.
func (n *natsProcess) client() jetstream.JetStream {
	var nc *nats.Conn
	require.Eventually(n.r.t, func() (ok bool) {
		var err error
		nc, err = nats.Connect(n.url())
		return err == nil
	}, patience, 20*time.Millisecond)
	n.r.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(n.r.t, err)
	return js
}

// jetstream is a server in a process of its own.
func (r *eventRun) jetstream() *someBroker {
	n := &natsProcess{r: r, dir: r.t.TempDir(), port: server.FreePort(r.t)}
	n.start()
	r.t.Cleanup(n.kill)
	require.Eventually(r.t, func() bool {
		_, err := n.client().CreateStream(r.t.Context(), jetstream.StreamConfig{Name: "LEDGER", Subjects: []string{"ledger.>"}, Duplicates: time.Hour})
		return err == nil
	}, patience, 20*time.Millisecond)
	cfg, err := json.Marshal(map[string]any{
		"url": n.url(), "stream": "LEDGER", "subject": `="ledger.\(.data.value.n % 16)"`, "requestTimeout": "3s",
	})
	require.NoError(r.t, err)
	return &someBroker{
		name: "jetstream", stream: apitypes.EventStream{Type: ptr(apitypes.StreamJetStream), JetStream: cfg}, once: true,
		fault: func(rnd *rand.Rand) {
			if rnd.IntN(3) == 0 { // it does not answer for a while
				require.NoError(r.t, n.cmd.Process.Signal(syscall.SIGSTOP))
				server.Pause(r.t, span(rnd, 5*time.Second))
				require.NoError(r.t, n.cmd.Process.Signal(syscall.SIGCONT))
				return
			}
			n.kill()
			server.Pause(r.t, span(rnd, time.Second))
			n.start()
		},
		held: func() (all []held) {
			js := n.client()
			s, err := js.Stream(within(r.t), "LEDGER")
			require.NoError(r.t, err)
			c, err := s.OrderedConsumer(within(r.t), jetstream.OrderedConsumerConfig{})
			require.NoError(r.t, err)
			for total := int(s.CachedInfo().State.Msgs); len(all) < total; {
				m, err := c.Next(jetstream.FetchMaxWait(patience))
				require.NoError(r.t, err)
				all = append(all, held{id: m.Headers().Get(nats.MsgIdHdr), key: m.Subject()[len("ledger."):], body: m.Data()})
			}
			return all
		},
	}
}
