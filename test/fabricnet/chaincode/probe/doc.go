// Command probe waits until a network really accepts transactions: it submits one through the gateway of each given peer and waits for the commit.
//
//	probe ──submit ping()──▶ gateway of peer 1, peer 2, … ──▶ endorsed by all organisations ──▶ ordered ──▶ committed
//
// A query that answers proves little: after a start a peer still has to meet the other organisations by gossip, and the orderer to elect a leader.
// The transaction calls ping(), which touches no state and sets no event, so the ledger's content is not disturbed, and no load can conflict with it. Every failure is retried until the
// deadline; then the last error of the peer that failed is printed and the exit code is 1.
package main
