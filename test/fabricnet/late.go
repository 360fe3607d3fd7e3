package fabricnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// LatePeer returns the name of the late peer, empty when the network has none.
func (n *Network) LatePeer() string {
	if !n.o.LatePeer {
		return ""
	}
	return PeerNode(1, n.o.PeersPerOrg)
}

// members returns the peers that are on a channel. The late peer joins the first one only.
func (n *Network) members(channel string) []peer {
	st := n.current()
	return slices.DeleteFunc(n.l.peers(st.Ports), func(p peer) bool {
		return p.Node == n.LatePeer() && (!st.Joined || channel != Channel)
	})
}

// writeProfile writes the connection profile: without a late peer that has not joined, and with one that has before all others of its organisation,
// so that a client that takes the first peer meets it.
func (n *Network) writeProfile() error {
	st, hidden, first := n.current(), n.LatePeer(), ""
	if st.Joined {
		hidden, first = "", hidden
	}
	return n.l.writeProfile(n.o, st.Ports, hidden, first)
}

// JoinLatePeer joins the late peer to ch1 from a snapshot of peer0.org1, so that it lacks the blocks up to now, and writes the connection profile again
// with this peer as the first of its organisation. It returns the number of the last block that the peer lacks.
func (n *Network) JoinLatePeer(ctx context.Context) (last uint64, err error) {
	node := n.LatePeer()
	late, err := n.peer(node)
	switch {
	case err != nil:
		return 0, fmt.Errorf("fabricnet: no late peer: set Options.LatePeer, and start the network: %w", err)
	case n.current().Joined:
		return 0, fmt.Errorf("fabricnet: %s has joined already", node)
	}
	path, last, err := n.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := n.PeerOn(ctx, node, "channel", "joinbysnapshot", "--snapshotpath", path); err != nil {
		return 0, err
	}
	if err := n.eventually(ctx, node+" to load the snapshot", func() (bool, error) {
		out, err := n.PeerOn(ctx, node, "channel", "list")
		return slices.Contains(strings.Fields(out), Channel), err
	}); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, n.tail(late.Node))
	}
	n.mu.Lock()
	st := *n.st
	st.Joined = true
	n.st = &st
	n.mu.Unlock()
	return last, errors.Join(n.l.writeState(&st), n.writeProfile())
}

// snapshot has peer0.org1 write a snapshot of ch1 as it is now. It returns the folder, and the last block in it.
func (n *Network) snapshot(ctx context.Context) (string, uint64, error) {
	source, err := n.peer(NodePeer1)
	if err != nil {
		return "", 0, err
	}
	args := []string{"snapshot", "submitrequest", "-c", Channel, "--peerAddress", address(source.Ports.Peer), "--tlsRootCertFile", source.Org.TLSCA}
	if _, err := n.PeerOn(ctx, source.Node, args...); err != nil {
		return "", 0, err
	}
	done := filepath.Join(source.SnapshotDir, "completed", Channel)
	var last uint64
	err = n.eventually(ctx, "a snapshot in "+done, func() (bool, error) {
		entries, err := os.ReadDir(done)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		for _, e := range entries {
			block, err := strconv.ParseUint(e.Name(), 10, 64)
			if err != nil {
				return false, fmt.Errorf("fabricnet: snapshot: %w", err)
			}
			last = max(last, block)
		}
		return len(entries) > 0, err
	})
	return filepath.Join(done, strconv.FormatUint(last, 10)), last, err
}

// snapshotTimeout bounds each step of JoinLatePeer.
const snapshotTimeout = time.Minute

// eventually asks until the answer is yes.
func (n *Network) eventually(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("fabricnet: waiting for %s: %w", what, err)
		}
	}
}
