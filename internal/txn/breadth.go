package txn

// inHand is about how many transactions the workers have at once. Each waits for the store in a goroutine of its own, whose stack is larger
// than all else that is known of it, and a group of the store takes far fewer.
const inHand = 512

// breadth is how many items the next batch may have: as many as there are for each signer that has something to do, but no worker goes
// without, so that a slow chain is sent to by all of them.
func (s *schedule) breadth() int {
	share := max(1, inHand/s.workers)
	signers := min(s.workers, s.busy+len(s.ring)+1) // the one that is being picked from is in neither
	return min(batchSize, max(share, min(inHand/signers, inHand-s.inHand)))
}
