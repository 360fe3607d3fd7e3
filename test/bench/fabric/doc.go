// Command fabric measures Pyralis in front of a real Fabric network, and beside it a bare client: fabric-gateway and nothing else.
//
//	fabric fill           -network DIR -n 30000 -c 200     puts transactions with an event each on the ledger
//	fabric replay         -network DIR -n 30000            bare: reads all blocks from 0 and decodes their events
//	fabric replay-pyralis -url URL -pid PID -n 30000       the same events from a stream over WebSocket, each decoded
//	fabric submit         -network DIR -n 3000 -c 200      bare: endorse, submit, wait for the commit, one after the other in each client
//	fabric submit-pyralis -url URL -pid PID -n 3000 -c 200 the same transactions over REST, each client waits for the reply that one is final
//
// DIR is a directory of test/fabricnet. One JSON line per run on standard output. Any failure ends the run: there is no figure then.
package main
