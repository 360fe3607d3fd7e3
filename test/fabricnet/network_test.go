package fabricnet

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"Dir is empty":                   {},
		"Orgs is 3, want 1 or 2":         {Dir: "x", Orgs: 3},
		"Orgs is -1, want 1 or 2":        {Dir: "x", Orgs: -1},
		"PeersPerOrg is 3, want 1 or 2":  {Dir: "x", PeersPerOrg: 3},
		"BatchTimeout is -1s":            {Dir: "x", BatchTimeout: -time.Second},
		"Limits are {Gateway:-1 ":        {Dir: "x", Limits: Limits{Gateway: -1}},
		"MaxMessageCount is -1, want mo": {Dir: "x", MaxMessageCount: -1},
		`"Slow" cannot be the name`:      {Dir: "x", Channels: []ChannelOptions{{Name: "Slow"}}},
		`"" cannot be the name`:          {Dir: "x", Channels: []ChannelOptions{{}}},
		"channel ch1 is there twice":     {Dir: "x", Channels: []ChannelOptions{{Name: Channel}}},
		"a: BatchTimeout is -1s":         {Dir: "x", Channels: []ChannelOptions{{Name: "a", BatchTimeout: -time.Second}}},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
	dir := t.TempDir()
	n, err := New(Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, 1, n.o.Orgs)
	require.True(t, isFile(filepath.Join(n.o.SourceDir, "tools", "go.mod")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "New writes nothing")
}

func TestBeforeStart(t *testing.T) {
	t.Parallel()
	n, err := New(Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, n.Stop())
	require.NoError(t, n.Stop())
	require.Empty(t, n.Nodes())
	require.Error(t, n.KillNode(NodeOrderer))
	require.Error(t, n.StartNode(t.Context(), NodeOrderer))
	_, err = n.JoinLatePeer(t.Context())
	require.ErrorContains(t, err, "set Options.LatePeer")
	require.ErrorContains(t, n.AddExpiredIdentity(1, "x"), "never started")
	require.ErrorContains(t, n.ServeCertificate(t.Context(), NodePeer1, Expired), "never started")
	require.ErrorContains(t, n.Cut(NodePeer1), "set Options.Proxy")
	require.ErrorContains(t, n.WaitReady(t.Context()), "never started")
	require.ErrorContains(t, n.Invoke(t.Context(), "list"), "never started")
}

func TestDirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := New(Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, a.claim())
	b, err := New(Options{Dir: dir})
	require.NoError(t, err)
	require.ErrorIs(t, b.Start(t.Context()), errLocked)
	require.ErrorContains(t, a.Start(t.Context()), "already started")
	require.NoError(t, a.Stop())
	require.NoError(t, b.claim())
	require.NoError(t, b.Stop())
}

func TestRememberedNetwork(t *testing.T) {
	t.Parallel()
	n, err := New(Options{Dir: t.TempDir(), Orgs: 2})
	require.NoError(t, err)
	st, err := n.remembered()
	require.NoError(t, err)
	require.Nil(t, st, "an empty directory holds none")
	for content, want := range map[string]string{
		`{"version":4,"orgs":1,"ports":{"orgs":[[{}]]}}`:                                         "of 1 organisations, not 2",
		`{"version":4,"orgs":2,"peersPerOrg":2,"ports":{"orgs":[[],[]]}}`:                        "with 2 peers per organisation, not 1",
		`{"version":4,"orgs":2,"peersPerOrg":1,"channels":["ch1","a"],"ports":{"orgs":[[],[]]}}`: "with the channels [ch1 a], not [ch1]",
		`{"version":4,"orgs":2,"peersPerOrg":1,"latePeer":true,"ports":{"orgs":[[],[]]}}`:        "with LatePeer true, not false",
		`{"version":1,"orgs":2}`: "not of this version",
		`{`:                      "unexpected end",
	} {
		require.NoError(t, os.WriteFile(n.l.state(), []byte(content), 0o644))
		_, err = n.remembered()
		require.ErrorContains(t, err, want)
	}
	n.o.Fresh = true
	st, err = n.remembered()
	require.NoError(t, err)
	require.Nil(t, st, "fresh does not look")
}

func TestWipeLeavesOtherFiles(t *testing.T) {
	t.Parallel()
	l := layout{t.TempDir()}
	require.NoError(t, writeFile(l.path("mine"), nil, 0o644))
	require.NoError(t, writeFile(l.path("data", "old"), nil, 0o644))
	require.NoError(t, writeFile(l.log("orderer"), []byte("first"), 0o644))
	require.NoError(t, l.wipe())
	require.NoError(t, l.keepLogs())
	require.True(t, isFile(l.path("mine")))
	require.False(t, isFile(l.path("data", "old")))
	require.False(t, isFile(l.log("orderer")))
	require.True(t, isFile(l.path("logs.prev", "orderer.log")), "the logs of the run before are kept")
}

func TestPortsAreReserved(t *testing.T) {
	t.Parallel()
	locks := t.TempDir()
	p, held, err := choosePorts(locks, Options{Orgs: 2, PeersPerOrg: 1})
	require.NoError(t, err)
	defer func() { held.release() }()
	seen := map[int]bool{}
	for _, f := range p.fields() {
		require.False(t, seen[*f], "port %d twice", *f)
		seen[*f] = true
		_, err := reserve(locks, *f)
		require.ErrorIs(t, err, errPortTaken, "nobody else gets the port")
	}
	require.Len(t, seen, 12)
	held.release()
	held, err = reserveAll(locks, p)
	require.NoError(t, err, "the same ports can be had again")
	held.release()

	ln, err := net.Listen("tcp4", address(p.Chaincode))
	require.NoError(t, err)
	defer ln.Close()
	held, err = reserveAll(locks, p)
	require.ErrorIs(t, err, errPortTaken)
	require.ErrorContains(t, err, strconv.Itoa(p.Chaincode))
	again, err := reserve(locks, p.Orderer)
	require.NoError(t, err, "a failed attempt holds nothing")
	again.release()
}

func TestSourceHashFollowsTheSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		require.NoError(t, writeFile(filepath.Join(dir, name), []byte(content), 0o644))
		id, err := sourceHash(dir)
		require.NoError(t, err)
		return id
	}
	write("go.mod", "m")
	first := write("sub/main.go", "a")
	require.Equal(t, first, write("sub/main_test.go", "b"), "tests are not part of the programs")
	other := write("go.sum", "s")
	require.NotEqual(t, first, other)
	require.NotEqual(t, other, write("sub/main.go", "b"))
}

func TestProcessIsStoppedOrKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		grace  time.Duration
		signal syscall.Signal
	}{
		"ends when asked":      {"trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done", time.Minute, 0},
		"is killed when stuck": {"trap '' TERM; echo up; while :; do sleep 0.01; done", 50 * time.Millisecond, syscall.SIGKILL},
		"is killed at once":    {"trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done", 0, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpawner()
			defer s.close()
			log := filepath.Join(t.TempDir(), "log")
			p, err := startProcess(s, "shell", exec.Command("/bin/sh", "-c", c.script), log)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				b, err := os.ReadFile(log)
				return err == nil && string(b) == "up\n"
			}, 10*time.Second, time.Millisecond)
			require.True(t, p.alive())
			require.NoError(t, p.stop(c.grace))
			require.False(t, p.alive())
			require.ErrorIs(t, syscall.Kill(p.pid, 0), syscall.ESRCH)
			require.NoError(t, p.stop(c.grace), "stopping twice is fine")
			var exit *exec.ExitError
			if c.signal != 0 {
				require.ErrorAs(t, p.outcome(), &exit)
				require.Equal(t, c.signal, exit.Sys().(syscall.WaitStatus).Signal())
			}
		})
	}
}

func TestStopReachesGrandchildren(t *testing.T) {
	t.Parallel()
	s := newSpawner()
	defer s.close()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", "sleep 1000 & echo; wait")
	cmd.ExtraFiles = []*os.File{w} // held open by both: end of file means that both are dead
	p, err := startProcess(s, "shell", cmd, filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, p.stop(0))
	require.NoError(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestProcessThatCannotStart(t *testing.T) {
	t.Parallel()
	s := newSpawner()
	defer s.close()
	_, err := startProcess(s, "ghost", exec.Command("/does/not/exist"), filepath.Join(t.TempDir(), "log"))
	require.ErrorContains(t, err, "start ghost")
}

func TestWaitLockHonoursContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryLock(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = waitLock(ctx, path)
	require.ErrorIs(t, err, context.Canceled)
	held.release()
	again, err := waitLock(t.Context(), path)
	require.NoError(t, err)
	again.release()
}
