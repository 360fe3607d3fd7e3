//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

// patience is how long anything may take that happens at once on a machine that has nothing else to do.
const patience = 2 * time.Minute

// readme holds the sh blocks of README.md by heading, in order.
func readme(t *testing.T, root string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	blocks := make(map[string][]string)
	heading, block, inside := "", "", false
	for line := range strings.Lines(string(text)) {
		switch {
		case inside && strings.HasPrefix(line, "```"):
			blocks[heading] = append(blocks[heading], block)
			block, inside = "", false
		case inside:
			block += line
		case strings.HasPrefix(line, "```sh"):
			inside = true
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[3:])
		}
	}
	return blocks
}

// cloneTree copies the repository's files, committed or not, as a clean clone would have them.
func cloneTree(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--show-toplevel").Output()
	require.NoError(t, err)
	dir := t.TempDir()
	copying := exec.CommandContext(t.Context(), "bash", "-c",
		`cd "$0" && git ls-files -z -co --exclude-standard | tar --null -T - --ignore-failed-read -cf - | tar -xf - -C "$1" && cd "$1" && git init -q . && git add -A`,
		strings.TrimSpace(string(out)), dir)
	text, err := copying.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return dir
}

// shell runs README text in a directory.
type shell struct {
	t   *testing.T
	dir string
}

// run runs a block to its end and returns what it printed.
func (s shell) run(block string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-ec", block)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", block, out)
	return string(out)
}

// background starts a block that goes on until the test ends it; output is what it has printed so far.
func (s shell) background(block string) (output func() string, stop func()) {
	s.t.Helper()
	log := new(server.Output)
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), "bash", "-ec", block)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(s.t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			s.t.Errorf("%q does not end within %s of Ctrl-C:\n%s", strings.TrimSpace(block), patience, log.String())
		}
	}
	return log.String, stop
}

func TestReadme(t *testing.T) {
	dir := cloneTree(t)
	sh := shell{t: t, dir: dir}
	blocks := readme(t, dir)
	try, own := blocks["Try it in five minutes"], blocks["Events of your own choice"]
	require.Len(t, try, 5)
	require.Len(t, own, 5)

	server, stopServer := sh.background(try[0])
	defer stopServer()
	require.Eventually(t, func() bool { return strings.Contains(server(), "is ready") }, 5*time.Minute, 100*time.Millisecond,
		"%s", lateText{server})
	listen, stopListen := sh.background(try[1])
	defer stopListen()
	require.Eventually(t, func() bool { return strings.Contains(listen(), "Listening") }, patience, 50*time.Millisecond)

	require.Contains(t, sh.run(try[2]), `"id":"my-first"`)
	require.Eventually(t, func() bool {
		return strings.Contains(listen(), `"signature":"AssetCreated"`) && strings.Contains(listen(), "car-1")
	}, patience, 50*time.Millisecond, "%s", lateText{listen})
	answer := ""
	require.Eventually(t, func() bool {
		answer = sh.run(try[3])
		return strings.Contains(answer, `"status":"Succeeded"`)
	}, patience, 100*time.Millisecond)
	require.Contains(t, answer, `"owner":"alice"`)
	require.Contains(t, sh.run(try[4]), `"id":"my-shop"`)
	require.Eventually(t, func() bool {
		return strings.Contains(sh.run("curl -s http://127.0.0.1:5008/transactions/my-shop/receipt"), `"contractLocation"`)
	}, patience, 100*time.Millisecond)

	for _, want := range []string{`"name":"transfers"`, `"fromBlock":"earliest"`} {
		require.Contains(t, sh.run(own[0]+"curl -s http://127.0.0.1:5008/eventstreams http://127.0.0.1:5008/eventstreams/transfers/listeners"), want)
		own[0] = "" // created once
	}
	require.Contains(t, sh.run(own[1]), `"where":".data.to == \"bob\""`)
	pushed := sh.run(own[2])
	require.Contains(t, pushed, `"secret":"********"`)
	require.NotContains(t, pushed, "whsec_")
	require.Contains(t, sh.run(own[3]), "127.0.0.1:9092", "there is no broker, and the answer says so")
	suspended := sh.run(strings.Replace(own[3], `"type": "kafka"`, `"type": "kafka", "suspended": true`, 1))
	require.Contains(t, suspended, `"key":"=.data.id"`)
	require.Contains(t, suspended, `"topic":"ledger.dead"`)
	require.Contains(t, sh.run(own[4]), `{"id":"my-first","eventId":"devledger:transactions:`)

	line := blocks["From the command line"]
	require.Len(t, line, 1)
	out := sh.run(line[0])
	require.Regexp(t, `(?s)car-2 +Succeeded.*car-2 +Succeeded.*car-2 +Succeeded.*Confirmed +Confirm `, out)
}

// lateText prints what a function returns at the time of printing.
type lateText struct{ text func() string }

func (l lateText) String() string { return l.text() }

// interruptsCleanly is used by the tests of the commands.
func interruptsCleanly(t *testing.T, p *server.Process) {
	t.Helper()
	require.Less(t, p.Interrupt(), 10*time.Second)
	require.False(t, bytes.Contains([]byte(p.Log()), []byte("panic")), p.Log())
}
