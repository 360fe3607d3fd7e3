package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// report is what the supervisor tells the other commands, in a file that is replaced as a whole.
type report struct {
	PID   int            `json:"pid"`
	Ready bool           `json:"ready"`
	Error string         `json:"error,omitempty"` // why the start failed
	Last  string         `json:"last,omitempty"`  // last step of the start
	Nodes map[string]int `json:"nodes,omitempty"` // process ids
}

func (c command) reportPath() string { return filepath.Join(c.dir, "supervisor.json") }
func (c command) lockPath() string   { return filepath.Join(c.dir, "supervisor.lock") }
func (c command) logPath() string    { return filepath.Join(c.dir, "supervisor.log") }

func (c command) writeReport(r report) error {
	r.PID = os.Getpid()
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := c.reportPath() + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, c.reportPath())
}

func (c command) readReport() (report, error) {
	var r report
	b, err := os.ReadFile(c.reportPath())
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// supervise runs the network until it is told to end. Its standard output is supervisor.log.
func (c command) supervise(ctx context.Context) error {
	lock, held, err := lockFile(c.lockPath())
	if err != nil {
		return err
	}
	if held {
		return errors.New("another supervisor runs")
	}
	defer lock.Close()
	err = c.runNetwork(ctx)
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, c.writeReport(report{Error: err.Error()}))
	}
	return err
}

func (c command) runNetwork(ctx context.Context) error {
	n, err := fabricnet.New(fabricnet.Options{Dir: c.dir, Orgs: c.orgs, Fresh: c.fresh, Log: func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		fmt.Fprintln(c.out, time.Now().Format(time.RFC3339), line)
		if err := c.writeReport(report{Last: line}); err != nil {
			fmt.Fprintln(c.out, err)
		}
	}})
	if err != nil {
		return err
	}
	if c.fresh { // what Pyralis stored belongs to the ledger that goes
		if err := os.RemoveAll(c.dataPath()); err != nil {
			return err
		}
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	r := report{Ready: true, Nodes: map[string]int{}}
	for name := range n.Nodes() {
		r.Nodes[name] = n.PID(name)
	}
	err = errors.Join(c.writePyralis(n), c.writeReport(r))
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, n.Stop())
}

func (c command) dataPath() string    { return filepath.Join(c.dir, "pyralis-data") }
func (c command) pyralisPath() string { return filepath.Join(c.dir, "pyralis.yaml") }

// writePyralis writes a configuration with which "pyralis run -f" works on this network.
func (c command) writePyralis(n *fabricnet.Network) error {
	lines := []string{
		"# Pyralis on the test network in this folder.",
		"connector: fabric",
		"store: {type: sqlite, sqlite: {path: " + strconv.Quote(c.dataPath()) + "}}",
		"fabric:",
		"  profile: " + strconv.Quote(n.Profile()),
		"  mspID: " + n.User(1).MSPID,
		"  channels: [" + fabricnet.Channel + "]",
		"  wallet: " + strconv.Quote(n.Wallet()),
		"  identity: user1 # reads blocks, and signs queries that name nobody",
		"",
	}
	return os.WriteFile(c.pyralisPath(), []byte(strings.Join(lines, "\n")), 0o644)
}

// lockFile takes an exclusive lock, or says that it is held. The kernel frees it when the holder dies.
func lockFile(path string) (f *os.File, held bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, false, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, true, f.Close()
	}
	return nil, false, errors.Join(err, f.Close())
}
