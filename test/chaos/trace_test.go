//go:build chaos

package chaos

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

// kill -9 takes nothing back that the kernel has, so it cannot show that something was synced. The system calls can: before each 202 leaves,
// what was written of its request to the log of the database is synced.
func TestTraceSyncsBeforeEach202(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: on Debian, apt-get install strace")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "trace")
	p := server.New(t, []string{"PYRALIS_STORE_SQLITE_PATH=" + filepath.Join(dir, "data"), "PYRALIS_DEVLEDGER_DURABLE=false", "PYRALIS_LOG_LEVEL=warn"}, "run")
	p.Under(strace, "-f", "-y", "-s", "10000", "-e", "trace=fsync,fdatasync,write,pwrite64", "-o", file)
	p.Launch()
	require.Eventually(t, func() bool {
		return p.Status("/status/ready") == http.StatusOK || strings.Contains(p.Log(), "ptrace")
	}, time.Minute, 50*time.Millisecond)
	if strings.Contains(p.Log(), "ptrace") {
		t.Skipf("strace cannot trace here: %s", p.Log())
	}
	r := &run{t: t, p: p, accepted: map[string]*accepted{}}
	const posts = 20
	for i := range posts {
		key := fmt.Sprintf("traced-%03d", i)
		r.send(&accepted{key, "ann", command(key, "ann", "create", fmt.Sprintf("%q", key), `1`)})
	}
	require.Empty(t, r.notes)
	require.Len(t, r.accepted, posts)
	p.Interrupt()

	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	answered, early := readTrace(t, f)
	require.Empty(t, early, "answered before it was synced")
	require.Equal(t, posts, answered)
}

// A line of a trace is a system call. One that another thread interrupts has two lines: "... <unfinished ...>", with the arguments, and
// "<... name resumed>...", with the result.
var (
	traceLine   = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)`)
	tracedKey   = regexp.MustCompile(`traced-\d{3}`)
	tracedLog   = regexp.MustCompile(`^\d+ +\w+\(\d+<[^>]*\.db-wal>`)
	tracedReply = regexp.MustCompile(`^\d+ +write\(\d+<[^>]*>, "HTTP/1\.1 202 `)
)

// trace is what a trace has shown so far.
type trace struct {
	written, synced map[string]bool            // keys in the log of the database
	open            map[string]map[string]bool // by thread: the keys that its unfinished call writes or syncs
	answered        int
	early           []string
}

// readTrace counts the answers, and names those that left before the log was synced with what was written for them.
func readTrace(t *testing.T, r io.Reader) (answered int, early []string) {
	t.Helper()
	tr := trace{written: map[string]bool{}, synced: map[string]bool{}, open: map[string]map[string]bool{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		tr.line(lines.Text())
	}
	require.NoError(t, lines.Err())
	return tr.answered, tr.early
}

func (tr *trace) line(line string) {
	m := traceLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	thread, call := m[1], m[2]
	sync := call == "fsync" || call == "fdatasync"
	var keys map[string]bool
	switch resumed := strings.Contains(line, " resumed>"); {
	case resumed:
		keys = tr.open[thread]
		delete(tr.open, thread)
	case tracedReply.MatchString(line):
		tr.answered++
		if key := tracedKey.FindString(line); !tr.synced[key] {
			tr.early = append(tr.early, key)
		}
		return
	case !tracedLog.MatchString(line):
		return
	case sync:
		keys = maps.Clone(tr.written) // what comes while it syncs does not count
	default:
		keys = map[string]bool{}
		for _, key := range tracedKey.FindAllString(line, -1) {
			keys[key] = true
		}
	}
	switch {
	case strings.HasSuffix(line, "<unfinished ...>"):
		tr.open[thread] = keys
	case sync && strings.HasSuffix(line, "= 0"):
		maps.Copy(tr.synced, keys)
	case !sync:
		maps.Copy(tr.written, keys)
	}
}

// The reader of traces has to see what it is there for.
func TestTraceReader(t *testing.T) {
	const write, sync, reply = `7 pwrite64(9</d/p.db-wal>, "..traced-001..", 4096, 0) = 4096`, `7 fsync(9</d/p.db-wal>) = 0`,
		`8 write(5<socket:[1]>, "HTTP/1.1 202 Accepted\r\n\r\n{\"id\":\"traced-001\"}", 99) = 99`
	for name, c := range map[string]struct {
		lines []string
		early int
	}{
		"in order":            {[]string{write, sync, reply}, 0},
		"never synced":        {[]string{write, reply}, 1},
		"synced before":       {[]string{sync, write, reply}, 1},
		"synced after":        {[]string{write, reply, sync}, 1},
		"another file":        {[]string{write, `7 fsync(9</d/p.db>) = 0`, reply}, 1},
		"the sync failed":     {[]string{write, `7 fsync(9</d/p.db-wal>) = -1 EIO (Input/output error)`, reply}, 1},
		"interrupted":         {[]string{write, `7 fsync(9</d/p.db-wal> <unfinished ...>`, `7 <... fsync resumed>) = 0`, reply}, 0},
		"answered meanwhile":  {[]string{write, `7 fsync(9</d/p.db-wal> <unfinished ...>`, reply, `7 <... fsync resumed>) = 0`}, 1},
		"written meanwhile":   {[]string{`6 fdatasync(9</d/p.db-wal> <unfinished ...>`, write, `6 <... fdatasync resumed>) = 0`, reply}, 1},
		"a write interrupted": {[]string{`7 pwrite64(9</d/p.db-wal>, "traced-001", 10, 0 <unfinished ...>`, `7 <... pwrite64 resumed>) = 10`, sync, reply}, 0},
	} {
		answered, early := readTrace(t, strings.NewReader(strings.Join(c.lines, "\n")))
		require.Equal(t, 1, answered, name)
		require.Len(t, early, c.early, name)
	}
}
