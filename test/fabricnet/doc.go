// Package fabricnet builds and runs a real Hyperledger Fabric network without Docker, for tests and for trying things out.
//
//	New(Options) ─▶ Start ─▶ build (cached) ─▶ crypto, channel block, configuration
//	                          │
//	     one locked OS thread ├─▶ orderer            (etcdraft, one node)
//	     is the parent of all ├─▶ peer0.org1, peer1.org1, peer0.org2, peer1.org2  (each organisation has one or two)
//	                          ├─▶ chaincode          (as a service, one process for all peers)
//	                          ├─▶ proxies in this process, before the peers, when asked for: to cut, silence and slow down
//	                          │
//	                          └─▶ join channel, install, approve, commit ─▶ probe: a submit through every peer commits ─▶ ready
//
// The binaries are compiled from the pinned modules in tools and chaincode, once per version, into a cache directory that all networks share.
// Everything else lives in Options.Dir: keys, configuration, ledgers, logs, connection.yaml and a wallet. A directory that holds a finished network
// is started again on its old ledgers and ports.
//
// What a test can break: each node is stopped, killed, signalled and started by its name; a proxy cuts, silences and delays what clients say to a peer;
// a late peer joins from a snapshot and lacks the blocks before; a peer serves, or the wallet holds, a certificate that is of no use.
//
// Invariants:
//   - All listeners are on 127.0.0.1. Ports are reserved for the life of a Network, so networks on one machine never meet.
//   - Stop returns only when every process is gone; it is idempotent and legal before Start. On Linux the kernel kills the processes when the program
//     that owns the Network dies, however it dies.
//   - Ready means: a transaction endorsed by all organisations was committed through the gateway of every peer.
//
// Failure handling: Start tries once more when a network does not come up (a port or a file lock of an earlier process can be released late); the logs of
// the failed try stay beside the new ones. An error names the step and carries the end of the log that explains it. A node that dies later is logged and
// shown by Nodes; it is started again only by StartNode.
package fabricnet
