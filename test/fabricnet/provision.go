package fabricnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// provision installs the chaincode, joins the nodes to the channels and defines the chaincode on them.
func (n *Network) provision(ctx context.Context) error {
	err := each(n.l.peers(n.current().Ports), func(p peer) error {
		_, err := n.PeerOn(ctx, p.Node, "lifecycle", "chaincode", "install", n.l.chaincodePackage())
		return err
	})
	if err != nil {
		return err
	}
	return each(n.o.channelNames(), func(ch string) error { return n.provisionChannel(ctx, ch) })
}

func (n *Network) provisionChannel(ctx context.Context, channel string) error {
	block := n.l.block(channel)
	out, err := n.tool(ctx, nil, "osnadmin", "channel", "join", "--channelID", channel, "--config-block", block, "-o", address(n.current().Ports.OrdererAdmin))
	if err != nil {
		return err
	}
	if !strings.Contains(out, "Status: 201") { // the command exits with 0 also when the orderer refuses
		return fmt.Errorf("fabricnet: the orderer did not join %s:\n%s", channel, out)
	}
	err = each(n.members(channel), func(p peer) error {
		_, err := n.PeerOn(ctx, p.Node, "channel", "join", "-b", block)
		return err
	})
	if err != nil {
		return err
	}
	definition := append(n.ordererFlags(), "--channelID", channel, "--name", Chaincode, "--version", "1", "--sequence", "1")
	for _, g := range n.l.orgs(n.current().Ports) {
		args := append([]string{"lifecycle", "chaincode", "approveformyorg", "--package-id", n.current().PackageID}, definition...)
		if err := n.insist(ctx, g.Number, "unchanged content", args...); err != nil {
			return err
		}
	}
	args := append([]string{"lifecycle", "chaincode", "commit"}, definition...)
	return n.insist(ctx, 1, "new definition must be sequence 2", append(args, n.peerFlags()...)...)
}

// ordererFlags tell the peer command where to send transactions.
func (n *Network) ordererFlags() []string {
	return []string{"-o", address(n.current().Ports.Orderer), "--tls", "--cafile", n.l.ordererTLSCA()}
}

// peerFlags tell the peer command to have a transaction endorsed by all organisations, by the first peer of each.
func (n *Network) peerFlags() []string {
	var out []string
	for _, g := range n.l.orgs(n.current().Ports) {
		out = append(out, "--peerAddresses", address(g.Peers[0].Ports.Peer), "--tlsRootCertFiles", g.TLSCA)
	}
	return out
}

// insist repeats a peer command until it succeeds: for about a second after a start the orderer has no leader, and a peer does not yet have the last
// block. done is what Fabric says when an earlier try had its effect although it looked like a failure.
func (n *Network) insist(ctx context.Context, organisation int, done string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := n.Peer(ctx, organisation, args...)
		if err == nil || strings.Contains(err.Error(), done) {
			return nil
		}
		if e := retry.Sleep(ctx, 100*time.Millisecond); e != nil {
			return errors.Join(err, e)
		}
	}
}

// Peer runs Fabric's peer command as the administrator of organisation 1 or 2, against its first peer, and returns the standard output.
func (n *Network) Peer(ctx context.Context, organisation int, args ...string) (string, error) {
	if _, err := n.org(organisation); err != nil {
		return "", err
	}
	return n.PeerOn(ctx, PeerNode(organisation, 0), args...)
}

// PeerOn runs Fabric's peer command against one peer, as the administrator of its organisation.
func (n *Network) PeerOn(ctx context.Context, node string, args ...string) (string, error) {
	p, err := n.peer(node)
	if err != nil {
		return "", err
	}
	env := []string{"FABRIC_CFG_PATH=" + n.l.path("config", p.Node), "CORE_PEER_MSPCONFIGPATH=" + p.Org.AdminMSPDir, "FABRIC_LOGGING_SPEC=WARN"}
	return n.tool(ctx, env, "peer", args...)
}

// Invoke submits a transaction with the peer command, endorsed by all organisations, and returns when it is committed.
func (n *Network) Invoke(ctx context.Context, function string, args ...string) error {
	call, err := json.Marshal(map[string][]string{"Args": append([]string{function}, args...)})
	if err != nil {
		return fmt.Errorf("fabricnet: invoke %s: %w", function, err)
	}
	if _, err := n.org(1); err != nil {
		return err
	}
	flags := append([]string{"chaincode", "invoke", "-C", Channel, "-n", Chaincode, "-c", string(call), "--waitForEvent"}, n.ordererFlags()...)
	_, err = n.Peer(ctx, 1, append(flags, n.peerFlags()...)...)
	return err
}

// Query evaluates a function with the peer command on the first peer of organisation 1 or 2, and returns its result.
func (n *Network) Query(ctx context.Context, organisation int, function string, args ...string) (string, error) {
	call, err := json.Marshal(map[string][]string{"Args": append([]string{function}, args...)})
	if err != nil {
		return "", fmt.Errorf("fabricnet: query %s: %w", function, err)
	}
	out, err := n.Peer(ctx, organisation, "chaincode", "query", "-C", Channel, "-n", Chaincode, "-c", string(call))
	return strings.TrimSuffix(out, "\n"), err
}

// readyTimeout is how long a network whose nodes all answer may take to pass transactions.
const readyTimeout = 60 * time.Second

// WaitReady returns when a transaction, endorsed by all organisations, was committed through every peer on every channel. It changes no state and sets no event.
func (n *Network) WaitReady(ctx context.Context) error {
	type target struct {
		Address    string `json:"address"`
		ServerName string `json:"serverName"`
		TLSCA      string `json:"tlsCA"`
		MSPID      string `json:"mspID"`
		Cert       string `json:"cert"`
		Key        string `json:"key"`
	}
	if _, err := n.org(1); err != nil {
		return err
	}
	return each(n.o.channelNames(), func(ch string) error {
		var targets []target
		for _, p := range n.members(ch) {
			g := p.Org
			targets = append(targets, target{address(p.Ports.Peer), p.Host, g.TLSCA, g.MSPID, g.User.Cert, g.User.Key})
		}
		b, err := json.Marshal(targets)
		if err != nil {
			return fmt.Errorf("fabricnet: probe: %w", err)
		}
		_, err = n.tool(ctx, nil, "probe", "-channel", ch, "-chaincode", Chaincode, "-targets", string(b), "-timeout", readyTimeout.String())
		return err
	})
}

// org returns organisation 1 or 2 of a started network.
func (n *Network) org(number int) (*org, error) {
	st := n.current()
	if st == nil {
		return nil, errors.New("fabricnet: the network was never started")
	}
	if number < 1 || number > st.Orgs {
		return nil, fmt.Errorf("fabricnet: no organisation %d", number)
	}
	return n.l.org(number, st.Ports.Orgs[number-1]), nil
}

// peer returns a peer of a started network by its name.
func (n *Network) peer(node string) (peer, error) {
	st := n.current()
	if st == nil {
		return peer{}, errors.New("fabricnet: the network was never started")
	}
	for _, p := range n.l.peers(st.Ports) {
		if p.Node == node {
			return p, nil
		}
	}
	return peer{}, fmt.Errorf("fabricnet: no peer %q", node)
}

// toolTimeout ends a command that hangs.
const toolTimeout = 90 * time.Second

// tool runs one of the binaries to its end and returns its standard output. The whole output goes to the log "tools".
func (n *Network) tool(ctx context.Context, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.binary(name), args...)
	cmd.Dir, cmd.Env = n.o.Dir, append(environment(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	what := strings.Join(append([]string{name}, args[:min(3, len(args))]...), " ")
	if e := n.logTool(what, stdout.Bytes(), stderr.Bytes(), err); err == nil {
		err = e
	}
	if err != nil {
		return "", fmt.Errorf("fabricnet: %s: %w\n%s", what, err, lastLines(append(stdout.Bytes(), stderr.Bytes()...), 10))
	}
	return stdout.String(), nil
}

// each runs f for all items at the same time.
func each[T any](items []T, f func(T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() { errs[i] = f(item) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
