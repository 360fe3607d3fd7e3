package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// running tells whether a supervisor holds the directory.
func (c command) running() (bool, error) {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	f, held, err := lockFile(c.lockPath())
	if err != nil || held {
		return held, err
	}
	return false, f.Close()
}

// up starts the supervisor and follows it until the network is ready.
func (c command) up(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if up, err := c.running(); err != nil {
		return err
	} else if up {
		fmt.Fprintf(c.out, "the network in %s is already running\n", c.dir)
		return nil
	}
	if err := os.Remove(c.reportPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cmd, err := c.detach()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the supervisor or with this process
	shown := ""
	for {
		r, err := c.readReport()
		if err == nil && r.Last != "" && r.Last != shown {
			shown = r.Last
			fmt.Fprintln(c.out, shown)
		}
		if err == nil && r.Ready {
			fmt.Fprintf(c.out, "network is up; try: pyralis run -f %s\n", c.pyralisPath())
			return nil
		}
		select {
		case err := <-ended:
			if r, e := c.readReport(); e == nil && r.Error != "" {
				return errors.New(r.Error)
			}
			return fmt.Errorf("the supervisor ended, see %s: %w", c.logPath(), err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), c.down(context.WithoutCancel(ctx)))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// detach starts this program again in a session of its own, so that it outlives the terminal.
func (c command) detach() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "supervise", "--dir", c.dir, "--orgs", strconv.Itoa(c.orgs), "--fresh="+strconv.FormatBool(c.fresh))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// downGrace is how long the supervisor may take to stop its network; each node ends or is killed within 5 s.
const downGrace = 20 * time.Second

// down stops the supervisor, and with it the network.
func (c command) down(ctx context.Context) error {
	up, err := c.running()
	if err != nil {
		return err
	}
	if !up {
		fmt.Fprintf(c.out, "no network is running in %s\n", c.dir)
		return nil
	}
	r, err := c.waitReport(ctx)
	if err != nil {
		return err
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(r.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop supervisor %d: %w", r.PID, err)
		}
		gone, err := c.waitGone(ctx, r)
		if err != nil {
			return err
		}
		if gone {
			fmt.Fprintln(c.out, "network is down")
			return nil
		}
	}
	return fmt.Errorf("supervisor %d cannot be stopped", r.PID)
}

// waitReport returns the supervisor's report, which appears a moment after its lock.
func (c command) waitReport(ctx context.Context) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, downGrace)
	defer cancel()
	for {
		r, err := c.readReport()
		if err == nil && r.PID > 0 {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("a supervisor runs but has not reported: %w", errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waitGone returns true once the supervisor has let go of its lock and the nodes it named are gone too.
func (c command) waitGone(ctx context.Context, r report) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, downGrace)
	defer cancel()
	for {
		up, err := c.running()
		if err != nil {
			return false, err
		}
		if !up && !slices.ContainsFunc(slices.Collect(maps.Values(r.Nodes)), exists) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exists tells whether a process has this id, dead but not yet reaped ones included.
func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// status shows what runs. It fails when nothing does, so that scripts can ask.
func (c command) status() error {
	up, err := c.running()
	if err != nil {
		return err
	}
	if !up {
		return fmt.Errorf("no network is running in %s", c.dir)
	}
	r, err := c.readReport()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !r.Ready {
		fmt.Fprintf(c.out, "the network in %s is starting: %s\n", c.dir, r.Last)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "the network in %s is running (supervisor %d)\n", c.dir, r.PID)
	for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
		state := "running"
		if !exists(r.Nodes[name]) {
			state = "down"
		}
		fmt.Fprintf(c.out, "  %-11s %d %s\n", name, r.Nodes[name], state)
	}
	fmt.Fprintf(c.out, "try: pyralis run -f %s\n", c.pyralisPath())
	return nil
}
