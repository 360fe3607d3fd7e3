// Package example is what the tests of the example consumers share: a development node in this process that delivers to a broker, and the built
// example as a child process that can be killed.
package example

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// Node starts a development node. It ends with the test.
func Node(t *testing.T) *client.Client {
	t.Helper()
	cfg, err := node.LoadConfig("", []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir(), "PYRALIS_API_PORT=0"})
	require.NoError(t, err)
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	n, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet})
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	api := client.New(n.URL())
	t.Cleanup(api.Close)
	return api
}

// Stream creates a stream that delivers all events of the contract assets. Its type and its settings are given, its name is returned.
func Stream(t *testing.T, api *client.Client, s *apitypes.EventStream) (name string) {
	t.Helper()
	name = "orders"
	s.Name = &name
	_, err := api.CreateStream(t.Context(), s)
	require.NoError(t, err)
	from := apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err = api.CreateListener(t.Context(), name, &apitypes.Listener{Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"contract":"assets"}`)}})
	require.NoError(t, err)
	return name
}

// Create submits a transaction for each asset, which causes one event each.
func Create(t *testing.T, api *client.Client, assets ...string) {
	t.Helper()
	for _, id := range assets {
		_, _, err := api.Submit(t.Context(), &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, 1}})
		require.NoError(t, err)
	}
}

// Asset is the asset that an event is about.
func Asset(t *testing.T, event []byte) string {
	t.Helper()
	var e struct{ Data struct{ ID string } }
	require.NoError(t, json.Unmarshal(event, &e))
	return e.Data.ID
}

// Build builds the example in whose directory the test runs.
func Build(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "consumer")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// Process is a running example. When it gives up because it cannot reach a broker, which is exit status 1, it is started again, as by a supervisor.
type Process struct {
	Log server.Output // what it writes to standard error

	t       *testing.T
	command func() *exec.Cmd

	mu     sync.Mutex
	cmd    *exec.Cmd // guarded by mu
	over   bool      // it is to end; guarded by mu
	starts int       // guarded by mu
	err    error     // how it ended; guarded by mu
	ended  chan struct{}
}

// most is how often an example is started.
const most = 10

// Start starts an example, which ends with the test, if not before.
func Start(t *testing.T, env []string, binary string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, ended: make(chan struct{})}
	p.command = func() *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Stderr = &p.Log
		return cmd
	}
	require.NoError(t, p.start())
	go p.supervise()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Log(p.Log.String())
		}
	})
	return p
}

// start is for who holds mu, or is alone.
func (p *Process) start() error {
	p.cmd = p.command()
	p.starts++
	return p.cmd.Start()
}

func (p *Process) supervise() {
	defer close(p.ended)
	for {
		err := p.cmd.Wait()
		p.mu.Lock()
		again := !p.over && p.starts < most && p.cmd.ProcessState.ExitCode() == 1
		if !p.over && !again {
			p.t.Errorf("the example ended by itself: %v", err)
		}
		if again {
			again = p.start() == nil
		}
		p.err = err
		p.mu.Unlock()
		if !again {
			return
		}
	}
}

// Kill ends it at once, wherever it is.
func (p *Process) Kill() { _ = p.end(syscall.SIGKILL) }

// Stop asks it to end, which it does without an error, unless it has given up just before, or was just begun again.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	if err := p.end(syscall.SIGTERM); p.starts == 1 {
		require.NoError(t, err, "%s", &p.Log)
	}
}

func (p *Process) end(how syscall.Signal) error {
	p.mu.Lock()
	if !p.over {
		p.over = true
		_ = p.cmd.Process.Signal(how) // unless it has just ended
	}
	p.mu.Unlock()
	<-p.ended
	return p.err
}
