package faultpoint

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// child visits a point three times, in a process of its own.
func child(t *testing.T, spec string) (cmd *exec.Cmd, out, complaints *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd = exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childSpec+"="+spec)
	out, complaints = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, complaints
	return cmd, out, complaints
}

func TestKill(t *testing.T) {
	t.Parallel()
	for spec, passed := range map[string]string{
		"before-submit=kill":                  "",
		"before-submit=kill@1":                "",
		"before-submit=kill@3":                "passed 1\npassed 2\n",
		"after-claim=kill,before-submit=kill": "",
	} {
		cmd, out, complaints := child(t, spec)
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Run(), &exit, spec)
		status, ok := exit.Sys().(syscall.WaitStatus)
		require.True(t, ok)
		require.Equal(t, syscall.SIGKILL, status.Signal(), spec)
		require.Equal(t, passed, out.String(), spec)
		require.Equal(t, Mark+"before-submit\n", complaints.String(), spec)
	}
	for _, spec := range []string{"before-submit=kill@4", "after-claim=kill"} {
		cmd, out, _ := child(t, spec)
		require.NoError(t, cmd.Run(), spec)
		require.Equal(t, "passed 1\npassed 2\npassed 3\n", out.String(), spec)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "held")
	p, err := parse("before-submit=hold@2:" + file)
	require.NoError(t, err)
	p.visit(BeforeSubmit)
	require.NoFileExists(t, file, "it was the first visit")

	released := make(chan struct{})
	go func() {
		p.visit(BeforeSubmit)
		close(released)
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(file)
		return err == nil
	}, 30*time.Second, time.Millisecond)
	p.visit(BeforeSubmit) // others are not held
	p.visit(AfterClaim)
	select {
	case <-released:
		t.Fatal("it went on by itself")
	case <-time.After(10 * lookEvery):
	}
	require.NoError(t, os.Remove(file))
	<-released
}

func TestWhatCannotBeHeldDies(t *testing.T) {
	t.Parallel()
	cmd, out, complaints := child(t, "before-submit=hold:"+filepath.Join(t.TempDir(), "nowhere", "held"))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Empty(t, out.String())
	require.Contains(t, complaints.String(), "before-submit is not held")
}

func TestNoPlan(t *testing.T) {
	t.Parallel()
	var p *plan
	require.NotPanics(t, func() { p.visit(BeforeSubmit) })
}

func TestBadPlans(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"":                                      `there is no point ""`,
		"before-sunset=kill":                    `there is no point "before-sunset": "list" prints them`,
		"before-submit":                         "before-submit=: give kill",
		"before-submit=die":                     "give kill",
		"before-submit=kill:/tmp/x":             "give kill",
		"before-submit=hold":                    "give kill",
		"before-submit=hold@2":                  "give kill",
		"before-submit=kill@0":                  "1 or more",
		"before-submit=kill@x":                  "1 or more",
		"before-submit=kill,":                   `there is no point ""`,
		"before-submit=kill,before-submit=kill": "named twice",
	} {
		_, err := parse(spec)
		require.ErrorContains(t, err, want, spec)
	}
}
