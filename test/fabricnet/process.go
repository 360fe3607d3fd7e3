package fabricnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes from one OS thread that lives until close.
//
// The kernel's "kill me when my parent dies" is tied to the thread that forked, not to its process: Go ends idle threads, and the child would be
// killed with them. So one goroutine keeps one thread and does all the forking.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}
}

type spawnRequest struct {
	cmd   *exec.Cmd
	reply chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	defer close(s.done)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	for r := range s.requests {
		r.reply <- r.cmd.Start()
	}
}

// start starts cmd in a process group of its own. Legal until close.
func (s *spawner) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = processAttr()
	r := spawnRequest{cmd, make(chan error, 1)}
	s.requests <- r
	return <-r.reply
}

// close ends the thread. Processes that still live are killed with it.
func (s *spawner) close() {
	close(s.requests)
	<-s.done
}

// process is a running or finished child.
type process struct {
	name string
	pid  int
	gone chan struct{} // closed once the process is reaped

	mu     sync.Mutex
	exited bool  // under mu: no signal after the pid was given back
	err    error // under mu: how it ended
}

// startProcess starts cmd with its output appended to the file log.
func startProcess(s *spawner, name string, cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("fabricnet: %s: %w", name, err)
	}
	cmd.Stdout, cmd.Stderr = f, f
	err = s.start(cmd)
	if e := f.Close(); err == nil && e != nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("fabricnet: start %s: %w", name, err)
	}
	p := &process{name: name, pid: cmd.Process.Pid, gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		err := cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.exited, p.err = true, err
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// outcome says how a finished process ended.
func (p *process) outcome() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited && p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// signal reaches the whole process group, e.g. also what a peer has started.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited {
		return nil
	}
	if err := syscall.Kill(-p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("fabricnet: signal %v to %s (%d): %w", sig, p.name, p.pid, err)
	}
	return nil
}

// stop asks the process to end and kills it when it has not after grace (0: at once). It returns when the process is gone.
func (p *process) stop(grace time.Duration) error {
	if grace > 0 {
		if err := p.signal(syscall.SIGTERM); err != nil {
			return err
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.gone:
			return nil
		case <-t.C:
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.gone // a killed process always ends
	return nil
}
