package fabricnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pyralis-io/pyralis/test/fabricnet/proxy"
)

// Network is one Fabric network. Its methods are safe for concurrent use.
type Network struct {
	o Options
	l layout

	mu       sync.Mutex // guards what follows; held while a process is forked, never while waiting for one
	started  bool       // Start was called and Stop has not finished
	stopping bool       // Stop is under way: nothing is launched any more
	bin      binaries
	st       *state                  // ports and package id, once chosen
	procs    map[string]*process     // running or finished, by node name
	proxies  map[string]*proxy.Proxy // by the name of the peer behind
	spawn    *spawner
	dirLock  *fileLock
	reserved reservations
}

// state is what a directory remembers of its network, written once the network was ready for the first time.
type state struct {
	Version     int      `json:"version"`
	Orgs        int      `json:"orgs"`
	PeersPerOrg int      `json:"peersPerOrg"`
	Channels    []string `json:"channels"`
	LatePeer    bool     `json:"latePeer"`
	Joined      bool     `json:"joined"` // the late peer is on the channel
	PackageID   string   `json:"packageID"`
	Ports       *ports   `json:"ports"`
}

const stateVersion = 4

// New checks the options. It starts nothing and writes nothing.
func New(o Options) (*Network, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Network{o: o, l: layout{o.Dir}, procs: map[string]*process{}, proxies: map[string]*proxy.Proxy{}}, nil
}

// Start brings the network up and returns when it accepts transactions: about 2 s, plus a minute for the very first build of the binaries.
// It tries twice. On an error everything is stopped again. The ctx covers the start only, not the life of the network.
func (n *Network) Start(ctx context.Context) error {
	if err := n.claim(); err != nil {
		return err
	}
	err := n.startTwice(ctx)
	if err != nil {
		return errors.Join(err, n.Stop())
	}
	return nil
}

// claim takes the directory for this Network.
func (n *Network) claim() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return errors.New("fabricnet: already started")
	}
	if err := os.MkdirAll(n.o.Dir, 0o755); err != nil {
		return fmt.Errorf("fabricnet: %w", err)
	}
	lock, err := tryLock(n.l.lock())
	if errors.Is(err, errLocked) {
		return fmt.Errorf("fabricnet: the network in %s is running: %w", n.o.Dir, err)
	}
	if err != nil {
		return fmt.Errorf("fabricnet: %w", err)
	}
	n.started, n.dirLock, n.spawn = true, lock, newSpawner()
	return nil
}

func (n *Network) startTwice(ctx context.Context) error {
	bin, err := build(ctx, n.o)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.bin = bin
	n.mu.Unlock()
	old, err := n.remembered()
	if err != nil {
		return err
	}
	err = n.startOnce(ctx, old)
	if err == nil || ctx.Err() != nil {
		return err
	}
	n.o.Log("start failed, trying once more: %v", err)
	if e := n.endAll(); e != nil {
		return errors.Join(err, e)
	}
	if e := n.startOnce(ctx, old); e != nil {
		return fmt.Errorf("%w\n(the first try failed too: %w)", e, err)
	}
	return nil
}

// remembered returns the network that the directory holds, nil if there is none to go on with.
func (n *Network) remembered() (*state, error) {
	if n.o.Fresh {
		return nil, nil
	}
	b, err := os.ReadFile(n.l.state())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fabricnet: %w", err)
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("fabricnet: %s: %w", n.l.state(), err)
	}
	switch {
	case st.Version != stateVersion || st.Ports == nil || len(st.Ports.Orgs) != st.Orgs:
		return nil, fmt.Errorf("fabricnet: %s is not of this version; start fresh", n.l.state())
	case st.Orgs != n.o.Orgs:
		return nil, fmt.Errorf("fabricnet: %s holds a network of %d organisations, not %d; start fresh", n.o.Dir, st.Orgs, n.o.Orgs)
	case st.PeersPerOrg != n.o.PeersPerOrg:
		return nil, fmt.Errorf("fabricnet: %s holds a network with %d peers per organisation, not %d; start fresh", n.o.Dir, st.PeersPerOrg, n.o.PeersPerOrg)
	case st.LatePeer != n.o.LatePeer:
		return nil, fmt.Errorf("fabricnet: %s holds a network with LatePeer %t, not %t; start fresh", n.o.Dir, st.LatePeer, n.o.LatePeer)
	case !slices.Equal(st.Channels, n.o.channelNames()):
		return nil, fmt.Errorf("fabricnet: %s holds a network with the channels %v, not %v; start fresh", n.o.Dir, st.Channels, n.o.channelNames())
	}
	return st, nil
}

// stopGrace is how long a node may take to end by itself.
const stopGrace = 5 * time.Second

// Stop ends all processes and returns when they are gone. It can be called at any time and more than once, also while Start runs (which then fails).
func (n *Network) Stop() error {
	n.mu.Lock()
	running := n.started
	n.stopping = running
	n.mu.Unlock()
	if !running {
		return nil
	}
	err := n.endAll()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.started { // another Stop was faster
		return err
	}
	n.spawn.close()
	n.dirLock.release()
	n.started, n.stopping, n.spawn, n.dirLock = false, false, nil, nil
	return err
}

// endAll ends all processes at the same time and gives the ports back.
func (n *Network) endAll() error {
	n.mu.Lock()
	procs := slices.Collect(maps.Values(n.procs))
	n.mu.Unlock()
	errs := make([]error, len(procs))
	var wg sync.WaitGroup
	for i, p := range procs {
		wg.Go(func() { errs[i] = p.stop(stopGrace) })
	}
	wg.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.procs)
	err := errors.Join(errs...)
	for _, p := range n.proxies {
		err = errors.Join(err, p.Close())
	}
	clear(n.proxies)
	n.reserved.release()
	n.reserved = nil
	return err
}

// StopNode ends one node with SIGTERM; nothing happens when it is down.
func (n *Network) StopNode(name string) error { return n.endNode(name, stopGrace) }

// KillNode ends one node with SIGKILL; nothing happens when it is down.
func (n *Network) KillNode(name string) error { return n.endNode(name, 0) }

func (n *Network) endNode(name string, grace time.Duration) error {
	p, err := n.node(name)
	if err != nil {
		return err
	}
	return p.stop(grace)
}

// StartNode starts a node again on its data and waits until it answers. It does not wait until transactions pass again: see WaitReady.
func (n *Network) StartNode(ctx context.Context, name string) error {
	p, err := n.node(name)
	if err != nil {
		return err
	}
	if p.alive() {
		return fmt.Errorf("fabricnet: node %s is running", name)
	}
	if err := n.launch(name); err != nil {
		return err
	}
	return n.waitHealthy(ctx, name)
}

// node returns the process of a node, running or not.
func (n *Network) node(name string) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.procs[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("fabricnet: no node %q in a running network", name)
}

// Nodes returns the nodes and whether each one runs. It is empty while the network is down.
func (n *Network) Nodes() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]bool, len(n.procs))
	for name, p := range n.procs {
		out[name] = p.alive()
	}
	return out
}

// PID returns the process id of a node, 0 when it does not run.
func (n *Network) PID(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.procs[name]; p != nil && p.alive() {
		return p.pid
	}
	return 0
}

// Signal sends a signal to a node, e.g. SIGSTOP for a peer that hangs.
func (n *Network) Signal(name string, sig syscall.Signal) error {
	p, err := n.node(name)
	if err != nil {
		return err
	}
	return p.signal(sig)
}

// Profile returns the path of the connection profile.
func (n *Network) Profile() string { return n.l.profile() }

// Wallet returns the folder with one folder per identity (cert.pem, key.pem, mspid): user1, and user2 of a second organisation.
func (n *Network) Wallet() string { return n.l.wallet() }

// User returns User1 of organisation 1 or 2.
func (n *Network) User(organisation int) User { return n.l.org(organisation, nil).User }

// Logs returns the folder with the nodes' logs; those of the run before lie beside it in logs.prev.
func (n *Network) Logs() string { return n.l.logs() }

// Dir returns the absolute path of the network's directory.
func (n *Network) Dir() string { return n.o.Dir }

// binary returns the path of one of the built programs.
func (n *Network) binary(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bin.path(name)
}

// current returns the state of the network that runs or ran last, nil before the first start.
func (n *Network) current() *state {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.st
}
