package fabricnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// startOnce starts the remembered network, or makes a new one when old is nil.
func (n *Network) startOnce(ctx context.Context, old *state) error {
	if err := n.l.keepLogs(); err != nil {
		return err
	}
	if old == nil {
		return n.create(ctx)
	}
	began := time.Now()
	if err := n.adopt(old, func() (reservations, error) { return reserveAll(portLockDir(), old.Ports) }); err != nil {
		return err
	}
	if err := n.launchAll(ctx); err != nil {
		return err
	}
	if err := n.WaitReady(ctx); err != nil {
		return err
	}
	n.o.Log("network ready again after %v", time.Since(began).Round(time.Millisecond))
	return nil
}

// create makes a new network in the directory, and writes its state down when it is ready.
func (n *Network) create(ctx context.Context) error {
	began := time.Now()
	if err := n.l.wipe(); err != nil {
		return err
	}
	p, held, err := choosePorts(portLockDir(), n.o)
	if err != nil {
		return err
	}
	st := &state{Version: stateVersion, Orgs: n.o.Orgs, PeersPerOrg: n.o.PeersPerOrg, Channels: n.o.channelNames(), LatePeer: n.o.LatePeer, Ports: p}
	pkg, id, err := packageChaincode(address(p.Chaincode))
	st.PackageID = id
	if e := n.adopt(st, func() (reservations, error) { return held, err }); e != nil {
		return e
	}
	if err := n.prepare(ctx, pkg); err != nil {
		return err
	}
	n.o.Log("keys, channel block and configuration written")
	if err := n.launchAll(ctx); err != nil {
		return err
	}
	n.o.Log("orderer, %d peer(s) and chaincode are up", len(n.l.peers(p)))
	if err := n.provision(ctx); err != nil {
		return err
	}
	n.o.Log("chaincode %s committed on %s", Chaincode, strings.Join(n.o.channelNames(), ", "))
	if err := n.WaitReady(ctx); err != nil {
		return err
	}
	if err := n.l.writeState(st); err != nil {
		return err
	}
	n.o.Log("network ready after %v", time.Since(began).Round(time.Millisecond))
	return nil
}

func (l layout) writeState(st *state) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("fabricnet: state: %w", err)
	}
	return writeFile(l.state(), append(b, '\n'), 0o644)
}

// adopt makes st the network that runs, with its ports reserved.
func (n *Network) adopt(st *state, reserve func() (reservations, error)) error {
	held, err := reserve()
	if err != nil {
		held.release()
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.st, n.reserved = st, held
	return nil
}

// prepare writes everything that the nodes need before they start.
func (n *Network) prepare(ctx context.Context, pkg []byte) error {
	p := n.current().Ports
	if err := n.l.writeConfig(n.o, p); err != nil {
		return err
	}
	if err := writeFile(n.l.chaincodePackage(), pkg, 0o644); err != nil {
		return err
	}
	config := n.l.config()
	if _, err := n.tool(ctx, nil, "cryptogen", "generate", "--config="+filepath.Join(config, "crypto-config.yaml"), "--output="+n.l.crypto()); err != nil {
		return err
	}
	env := []string{"FABRIC_CFG_PATH=" + config}
	for _, ch := range n.o.channelNames() {
		if _, err := n.tool(ctx, env, "configtxgen", "-profile", ch, "-channelID", ch, "-outputBlock", n.l.block(ch)); err != nil {
			return err
		}
	}
	return n.l.writeWallet(p)
}

// nodes returns the names of all nodes.
func (n *Network) nodes() []string {
	out := []string{NodeOrderer}
	for _, p := range n.l.peers(n.current().Ports) {
		out = append(out, p.Node)
	}
	return append(out, NodeChaincode)
}

func (n *Network) launchAll(ctx context.Context) error {
	if err := n.writeProfile(); err != nil {
		return err
	}
	if err := n.openProxies(); err != nil {
		return err
	}
	for _, name := range n.nodes() {
		if err := n.launch(name); err != nil {
			return err
		}
	}
	for _, name := range n.nodes() {
		if err := n.waitHealthy(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the process of a node.
func (n *Network) launch(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.started || n.stopping {
		return errors.New("fabricnet: the network is stopped")
	}
	if p := n.procs[name]; p != nil && p.alive() {
		return fmt.Errorf("fabricnet: node %s is running", name)
	}
	var cmd *exec.Cmd
	switch name {
	case NodeChaincode:
		cmd = exec.Command(n.bin.path("chaincode"))
		cmd.Env = append(environment(), "CHAINCODE_ID="+n.st.PackageID, "CHAINCODE_SERVER_ADDRESS="+address(n.st.Ports.Chaincode))
	case NodeOrderer:
		cmd = exec.Command(n.bin.path("orderer"))
		cmd.Env = append(environment(), "FABRIC_LOGGING_SPEC=WARN", "FABRIC_CFG_PATH="+filepath.Join(n.l.config(), name))
	default:
		cmd = exec.Command(n.bin.path("peer"), "node", "start")
		cmd.Env = append(environment(), "FABRIC_LOGGING_SPEC=WARN", "FABRIC_CFG_PATH="+filepath.Join(n.l.config(), name))
	}
	cmd.Dir = n.o.Dir
	p, err := startProcess(n.spawn, name, cmd, n.l.log(name))
	if err != nil {
		return err
	}
	n.procs[name] = p
	return nil
}

// healthTimeout is how long a node may take to answer after its start.
const healthTimeout = 30 * time.Second

// waitHealthy waits until the node answers; a node that ends meanwhile fails at once.
func (n *Network) waitHealthy(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	p, err := n.node(name)
	if err != nil {
		return err
	}
	for {
		err := n.health(ctx, name)
		if err == nil && p.alive() {
			return nil
		}
		if !p.alive() {
			return fmt.Errorf("fabricnet: %s ended: %w\n%s", name, p.outcome(), n.tail(name))
		}
		if e := retry.Sleep(ctx, 20*time.Millisecond); e != nil {
			return fmt.Errorf("fabricnet: %s does not answer: %w\n%s", name, errors.Join(err, e), n.tail(name))
		}
	}
}

// health asks a node whether it works. The operations endpoint alone is not enough: a peer opens it before its gRPC listener.
func (n *Network) health(ctx context.Context, name string) error {
	p := n.current().Ports
	switch name {
	case NodeChaincode:
		return dial(ctx, p.Chaincode)
	case NodeOrderer:
		return errors.Join(healthz(ctx, p.OrdererOperations), dial(ctx, p.OrdererAdmin), dial(ctx, p.Orderer))
	default:
		pr, err := n.peer(name)
		if err != nil {
			return err
		}
		return errors.Join(healthz(ctx, pr.Ports.PeerOperations), dial(ctx, pr.Ports.Peer))
	}
}

// dial checks that something listens.
func dial(ctx context.Context, port int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// healthz asks a node's operations endpoint.
func healthz(ctx context.Context, port int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(port)+"/healthz", nil)
	if err != nil {
		return err
	}
	req.Close = true // leave no idle connection behind
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", req.URL, res.Status)
	}
	return nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// environment is what every child gets: enough for a shell script, none of the CORE_ and ORDERER_ variables a user may have set.
func environment() []string {
	env := []string{}
	for _, key := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// tail returns the end of a node's log, for an error message.
func (n *Network) tail(name string) string {
	b, err := os.ReadFile(n.l.log(name))
	if err != nil {
		return err.Error()
	}
	return lastLines(b, 10)
}

// logTool appends the output of a command to the log "tools".
func (n *Network) logTool(what string, stdout, stderr []byte, outcome error) error {
	f, err := os.OpenFile(n.l.log("tools"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "--- %s %s: %v\n%s%s", time.Now().Format(time.RFC3339Nano), what, outcome, stdout, stderr)
	return errors.Join(err, f.Close())
}
