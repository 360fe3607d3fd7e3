package server

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
)

// withPoints builds a pyralis that has fault points, once for all tests.
var withPoints = sync.OnceValues(func() (string, error) {
	path := binary + "-faultpoint"
	return path, build(path, "-tags", "faultpoint")
})

// NewFaulty is New of a pyralis that has fault points.
func NewFaulty(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	p := New(t, env, args...)
	var err error
	p.binary, err = withPoints()
	require.NoError(t, err)
	return p
}

// FaultPoints are the fault points that such a pyralis says it has.
func FaultPoints(t *testing.T) (points []faultpoint.Point) {
	t.Helper()
	path, err := withPoints()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), faultpoint.Variable+"=list")
	out, err := cmd.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		points = append(points, faultpoint.Point(strings.TrimSuffix(line, "\n")))
	}
	return points
}

// KillAt has the next starts of the server die at a point; "" has them live.
func (p *Process) KillAt(point faultpoint.Point) {
	p.fault = nil
	if point != "" {
		p.fault = []string{faultpoint.Variable + "=" + string(point) + "=kill"}
	}
}

// DiesAt waits until the server has died at a point.
func (p *Process) DiesAt(point faultpoint.Point) {
	p.t.Helper()
	cmd := p.take()
	cut := time.AfterFunc(diesWithin, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) })
	defer cut.Stop()
	_ = cmd.Wait() // the status says it
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, ok)
	require.Equal(p.t, syscall.SIGKILL, status.Signal(), "it was not killed at %s: %s", point, cmd.ProcessState)
	log := p.Log()
	last := max(0, strings.LastIndex(log, faultpoint.Mark))
	require.True(p.t, strings.HasPrefix(log[last:], faultpoint.Mark+string(point)+"\n"), "it was killed, but not at %s", point)
}

// HoldAt has the next starts of the server stand still at a point, with one visitor. held reports whether it is there, release lets it go on.
func (p *Process) HoldAt(point faultpoint.Point) (held func() bool, release func()) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "held")
	p.fault = []string{faultpoint.Variable + "=" + string(point) + "=hold:" + file}
	held = func() bool {
		_, err := os.Stat(file)
		return err == nil
	}
	release = func() {
		p.t.Helper()
		if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
			require.NoError(p.t, err)
		}
	}
	return held, release
}

// Signal sends a signal to the running server.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NoError(p.t, syscall.Kill(-p.cmd.Process.Pid, sig))
}
