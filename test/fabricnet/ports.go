package fabricnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Candidates lie below the range from which Linux takes the local ports of outgoing connections (32768 and up): a port of a node that is down for
// a while is not taken by somebody's connection.
const (
	firstPort = 12000
	lastPort  = 32000
)

// ports are all listeners of a network, all on 127.0.0.1.
type ports struct {
	Orderer           int           `json:"orderer"`
	OrdererAdmin      int           `json:"ordererAdmin"`
	OrdererOperations int           `json:"ordererOperations"`
	Chaincode         int           `json:"chaincode"`
	Orgs              [][]peerPorts `json:"orgs"`
}

type peerPorts struct {
	Peer           int `json:"peer"`
	PeerChaincode  int `json:"peerChaincode"`
	PeerOperations int `json:"peerOperations"`
	Proxy          int `json:"proxy"` // in front of Peer, where the network has proxies
}

// fields returns the places of all ports.
func (p *ports) fields() []*int {
	out := []*int{&p.Orderer, &p.OrdererAdmin, &p.OrdererOperations, &p.Chaincode}
	for _, peers := range p.Orgs {
		for i := range peers {
			out = append(out, &peers[i].Peer, &peers[i].PeerChaincode, &peers[i].PeerOperations, &peers[i].Proxy)
		}
	}
	return out
}

// noPorts has room for the ports of a network, all 0.
func noPorts(o Options) *ports {
	p := &ports{Orgs: make([][]peerPorts, o.Orgs)}
	for i := range p.Orgs {
		p.Orgs[i] = make([]peerPorts, o.PeersPerOrg)
	}
	if o.LatePeer {
		p.Orgs[0] = append(p.Orgs[0], peerPorts{})
	}
	return p
}

// reservations hold one lock file per port, so that other networks leave the port alone also while its node is down.
type reservations []*fileLock

func (r reservations) release() {
	for _, l := range r {
		l.release()
	}
}

// portLockDir is shared by all networks of a user on this machine.
func portLockDir() string {
	return filepath.Join(os.TempDir(), "pyralis-fabricnet-ports-"+strconv.Itoa(os.Getuid()))
}

// choosePorts reserves free ports for a new network.
func choosePorts(lockDir string, o Options) (*ports, reservations, error) {
	p := noPorts(o)
	var held reservations
	for _, field := range p.fields() {
		for try := 0; *field == 0; try++ {
			port := firstPort + rand.IntN(lastPort-firstPort)
			lock, err := reserve(lockDir, port)
			switch {
			case err == nil:
				held, *field = append(held, lock), port
			case !errors.Is(err, errPortTaken) || try == 100:
				held.release()
				return nil, nil, err
			}
		}
	}
	return p, held, nil
}

// reserveAll reserves the given ports again.
func reserveAll(lockDir string, p *ports) (reservations, error) {
	var held reservations
	for _, field := range p.fields() {
		lock, err := reserve(lockDir, *field)
		if err != nil {
			held.release()
			return nil, fmt.Errorf("the network in this directory needs its old ports (or start it fresh): %w", err)
		}
		held = append(held, lock)
	}
	return held, nil
}

// errPortTaken says that a port cannot be used now.
var errPortTaken = errors.New("port is taken")

func reserve(lockDir string, port int) (*fileLock, error) {
	if err := os.MkdirAll(lockDir, 0o755); err != nil {
		return nil, fmt.Errorf("fabricnet: ports: %w", err)
	}
	lock, err := tryLock(filepath.Join(lockDir, strconv.Itoa(port)))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("fabricnet: port %d: %w by another network", port, errPortTaken)
	}
	if err != nil {
		return nil, fmt.Errorf("fabricnet: ports: %w", err)
	}
	ln, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		err = ln.Close()
	}
	if err != nil {
		lock.release()
		return nil, fmt.Errorf("fabricnet: port %d: %w: %w", port, errPortTaken, err)
	}
	return lock, nil
}
