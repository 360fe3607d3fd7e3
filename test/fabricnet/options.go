package fabricnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Names fixed for every network.
const (
	Channel   = "ch1"    // the channel that is always there
	Chaincode = "assets" // the chaincode on every channel
)

// Names of the nodes, for StopNode, KillNode, StartNode and Nodes. NodePeer2 exists with two organisations only; PeerNode names all peers.
const (
	NodeOrderer   = "orderer"
	NodePeer1     = "peer0.org1"
	NodePeer2     = "peer0.org2"
	NodeChaincode = "chaincode"
)

// PeerNode names a peer: organisations count from 1, their peers from 0.
func PeerNode(organisation, peer int) string { return fmt.Sprintf("peer%d.org%d", peer, organisation) }

// Options describe a network. Only Dir is needed.
type Options struct {
	// Dir holds everything of this network; created when missing. It belongs to one Network at a time.
	Dir string
	// Orgs is the number of organisations with a peer, 1 (default) or 2. With two, both must endorse.
	Orgs int
	// PeersPerOrg is how many peers each organisation has, 1 (default) or 2. Any of them endorses for it.
	PeersPerOrg int
	// LatePeer gives organisation 1 one more peer, its last, which runs but is on no channel until JoinLatePeer.
	LatePeer bool
	// Proxy puts a proxy in front of each peer, to which the connection profile leads: Cut, Silence, Delay and Heal are then of use.
	// The peers reach one another and the orderer without it.
	Proxy bool
	// BatchTimeout is how long the orderer waits for a block to fill, default 200 ms.
	BatchTimeout time.Duration
	// MaxMessageCount is how many transactions fill a block, default 500.
	MaxMessageCount int
	// Limits are how many calls each peer takes at once.
	Limits Limits
	// Channels are more channels beside ch1, with the same members and the same chaincode.
	Channels []ChannelOptions
	// Fresh discards a network that Dir already holds, ledgers included.
	Fresh bool
	// CacheDir holds the binaries; default is pyralis-fabricnet in the user's cache directory.
	CacheDir string
	// SourceDir is the folder with this package's sources, found by itself in a checkout.
	SourceDir string
	// Log receives one line per step; nil discards them.
	Log func(format string, args ...any)
}

// Limits are how many calls of a service a peer takes at once. What is above is refused. 0 is what Fabric's own configuration has.
type Limits struct {
	Gateway  int // 500
	Endorser int // 2500; also of other peers' gateways
	Deliver  int // 2500
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Gateway, 500)
	setDefault(&l.Endorser, 2500)
	setDefault(&l.Deliver, 2500)
	return l
}

// ChannelOptions describe a channel.
type ChannelOptions struct {
	// Name is as Fabric allows it: lower case letters, digits, dots and dashes, a letter first.
	Name string
	// BatchTimeout is how long the orderer waits for a block to fill, default 200 ms.
	BatchTimeout time.Duration
	// MaxMessageCount is how many transactions fill a block, default 500.
	MaxMessageCount int
}

// channelName is Fabric's rule for the names of channels, but for the length.
var channelName = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,248}$`)

// channels returns all channels, with their defaults.
func (o Options) channels() []ChannelOptions {
	out := append([]ChannelOptions{{Channel, o.BatchTimeout, o.MaxMessageCount}}, o.Channels...)
	for i := range out {
		setDefault(&out[i].BatchTimeout, 200*time.Millisecond)
		setDefault(&out[i].MaxMessageCount, 500)
	}
	return out
}

// channelNames returns the names of all channels.
func (o Options) channelNames() []string {
	out := []string{Channel}
	for _, c := range o.Channels {
		out = append(out, c.Name)
	}
	return out
}

func (o Options) checkChannels() error {
	seen := map[string]bool{}
	for _, c := range o.channels() {
		switch {
		case !channelName.MatchString(c.Name):
			return fmt.Errorf("fabricnet: %q cannot be the name of a channel", c.Name)
		case seen[c.Name]:
			return fmt.Errorf("fabricnet: channel %s is there twice", c.Name)
		case c.BatchTimeout < 0:
			return fmt.Errorf("fabricnet: channel %s: BatchTimeout is %v, want more than 0", c.Name, c.BatchTimeout)
		case c.MaxMessageCount < 0:
			return fmt.Errorf("fabricnet: channel %s: MaxMessageCount is %d, want more than 0", c.Name, c.MaxMessageCount)
		}
		seen[c.Name] = true
	}
	return nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("fabricnet: Dir is empty")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("fabricnet: Dir %s: %w", o.Dir, err)
	}
	o.Dir = dir
	setDefault(&o.Orgs, 1)
	setDefault(&o.PeersPerOrg, 1)
	switch {
	case o.Orgs != 1 && o.Orgs != 2:
		return o, fmt.Errorf("fabricnet: Orgs is %d, want 1 or 2", o.Orgs)
	case o.PeersPerOrg != 1 && o.PeersPerOrg != 2:
		return o, fmt.Errorf("fabricnet: PeersPerOrg is %d, want 1 or 2", o.PeersPerOrg)
	}
	if err := o.checkChannels(); err != nil {
		return o, err
	}
	if o.Limits.Gateway < 0 || o.Limits.Endorser < 0 || o.Limits.Deliver < 0 {
		return o, fmt.Errorf("fabricnet: Limits are %+v, want none below 0", o.Limits)
	}
	o.Limits = o.Limits.withDefaults()
	if o.CacheDir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return o, fmt.Errorf("fabricnet: no cache directory (set CacheDir): %w", err)
		}
		o.CacheDir = filepath.Join(cache, "pyralis-fabricnet")
	}
	if o.SourceDir == "" {
		if o.SourceDir, err = findSource(); err != nil {
			return o, err
		}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
