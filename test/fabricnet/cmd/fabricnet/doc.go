// Command fabricnet keeps a real Fabric network running in the background, for trying Pyralis against it.
//
//	fabricnet up [--orgs 1|2] [--fresh] [--dir .fabric]     start it, or say that it runs
//	fabricnet status                                        what runs
//	fabricnet down                                          stop everything
//
//	up ──starts──▶ supervise (detached, owns the network) ──▶ orderer, peers, chaincode
//	down ──SIGTERM, then SIGKILL──▶ supervise
//
// up leaves behind, in the directory: connection.yaml, wallet/, and pyralis.yaml for "pyralis run -f". A network that was taken down starts again on its
// old ledger, as the data of Pyralis beside it expects; --fresh discards both.
//
// Whether a network runs is told by a lock that the supervisor holds and the kernel frees, not by a recorded process id alone. When the supervisor dies
// in any way, its network dies with it (Linux). Failures: up prints why the network did not start and leaves nothing running; the supervisor's own log is
// supervisor.log.
package main
