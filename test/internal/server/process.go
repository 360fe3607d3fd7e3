package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	readyWithin = 2 * time.Minute
	diesWithin  = 2 * time.Minute
	askEvery    = 10 * time.Millisecond
)

// binary is the pyralis under test, built by Main into a folder that lives as long as the tests do.
var binary string

// Main builds pyralis, runs the tests of a package and returns the exit status. It is for TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pyralis-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "pyralis")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(to string, flags ...string) error {
	args := append([]string{"build", "-o", to}, flags...)
	if out, err := exec.Command("go", append(args, "github.com/pyralis-io/pyralis/cmd/pyralis")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// Binary is the path of the pyralis that Main built.
func Binary() string { return binary }

// Process is one pyralis server. Its methods are for the goroutine of the test, but for Log, Status and Get.
type Process struct {
	URL string

	t      *testing.T
	args   []string
	env    []string
	wrap   []string
	binary string
	fault  []string // goes into the environment of the next start

	out Output // of all its lives

	mu  sync.Mutex
	cmd *exec.Cmd // guarded by mu
}

// New prepares a server on a free port, with the environment given on top of the test's own.
func New(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	port := strconv.Itoa(FreePort(t))
	p := &Process{t: t, URL: "http://127.0.0.1:" + port, args: args, binary: binary}
	p.env = append(os.Environ(), "PYRALIS_API_PORT="+port)
	p.env = append(p.env, env...)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			text := p.Log()
			t.Logf("the server's log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return p
}

// Under lets a program, such as strace, run the server from its next start on.
func (p *Process) Under(program ...string) { p.wrap = program }

// given are the ports that FreePort has returned.
var given sync.Map

// FreePort is a port that nobody listens at, another one each time. It is none of those that systems choose by themselves, so that nobody has it while its
// server is away.
func FreePort(t *testing.T) int {
	t.Helper()
	const first, last, tries = 12_000, 32_000, 1000
	for range tries {
		port := first + rand.IntN(last-first)
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.FailNow(t, "there is no free port")
	return 0
}

// Log is the newest part of what the server wrote.
func (p *Process) Log() string { return p.out.String() }

// Launch starts the server and does not wait for it.
func (p *Process) Launch() {
	p.t.Helper()
	args := append(append(append([]string(nil), p.wrap...), p.binary), p.args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = slices.Concat(p.env, p.fault), &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(p.t, cmd.Start())
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
}

// Start starts the server and waits until it is ready.
func (p *Process) Start() {
	p.t.Helper()
	p.Launch()
	p.Ready()
}

// Ready waits until the server is ready.
func (p *Process) Ready() {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.Status("/status/ready") == http.StatusOK }, readyWithin, askEvery, "the server does not become ready")
}

// Status is the status of a GET, 0 if there is no answer.
func (p *Process) Status(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Get reads JSON, and reports whether that was answered with 200.
func (p *Process) Get(path string, into any) bool {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.URL+path, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && json.Unmarshal(raw, into) == nil
}

// take returns the running process, which is the caller's from now on.
func (p *Process) take() *exec.Cmd {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.cmd
	p.cmd = nil
	return cmd
}

// Kill is kill -9, to the server and to what runs it.
func (p *Process) Kill() {
	if cmd := p.take(); cmd != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // "signal: killed"
	}
}

// Interrupt is Ctrl-C; it returns how long the end took.
func (p *Process) Interrupt() time.Duration {
	p.t.Helper()
	cmd := p.take()
	began := time.Now()
	require.NoError(p.t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	require.NoError(p.t, cmd.Wait(), "the server ends with status 0")
	return time.Since(began)
}

// Ends waits until the server has ended by itself, and returns its exit status.
func (p *Process) Ends() int {
	p.t.Helper()
	cmd := p.take()
	cut := time.AfterFunc(readyWithin, func() { _ = cmd.Process.Kill() })
	defer cut.Stop()
	_ = cmd.Wait() // the status says it
	return cmd.ProcessState.ExitCode()
}

// FailsToStart runs pyralis, expects it to end by itself with status 1, and returns the one line it says.
func FailsToStart(t *testing.T, env []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode(), "%s", stderr.String())
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	last := lines[len(lines)-1]
	require.True(t, strings.HasPrefix(last, "pyralis: "), "%s", stderr.String())
	return last
}

// PeakMemory is the most memory that the running server has had so far, in bytes, as the system counts it (Linux).
func (p *Process) PeakMemory() int64 {
	p.t.Helper()
	p.mu.Lock()
	pid := p.cmd.Process.Pid
	p.mu.Unlock()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(p.t, err)
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	require.True(p.t, found, "%s", status)
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(p.t, err)
	return kilobytes << 10
}
