package txn

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// queued is a schedule in which each of so many signers has a thousand transactions in line.
func queued(t *testing.T, workers, signers int) *schedule {
	t.Helper()
	s, _ := opened(true, workers)
	for signer := range signers {
		for n := range uint64(1000) {
			s.accept(t, fmt.Sprint(signer), n)
		}
	}
	s.crowd = crowd{size: 1 << 30}
	return s
}

// TestWorkersHaveAFewTransactionsInHand: each that a worker has costs a stack.
func TestWorkersHaveAFewTransactionsInHand(t *testing.T) {
	t.Parallel()
	s := queued(t, 64, 100)
	var batches [][]*item
	for batch := s.next(); batch != nil; batch = s.next() {
		require.Len(t, batch, inHand/64, "as many for each")
		batches = append(batches, batch)
	}
	require.Len(t, batches, 64)
	require.Equal(t, inHand, s.inHand)
	for _, batch := range batches {
		s.done(batch, all(batch, verdict{}))
	}
	require.Zero(t, s.inHand)
}

// TestFewSignersHaveWideBatches: what one signer has in hand goes to the store together.
func TestFewSignersHaveWideBatches(t *testing.T) {
	t.Parallel()
	s := queued(t, 64, 1)
	require.Len(t, s.next(), batchSize)
	s = queued(t, 64, 8)
	for range 8 {
		require.Len(t, s.next(), inHand/8)
	}
}

// TestSignersThatComeLaterAreNotKeptWaiting: who came first has many in hand, and a slow chain holds them.
func TestSignersThatComeLaterAreNotKeptWaiting(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 64)
	for signer := range 64 {
		for n := range uint64(batchSize) {
			s.accept(t, fmt.Sprint(signer), n)
		}
		require.GreaterOrEqual(t, len(s.next()), inHand/64)
	}
	require.LessOrEqual(t, s.inHand, 2*inHand)
}

// TestAWaveThatIsLookedAtAgainHasTheSameBound: what is due at once may be all that is pending.
func TestAWaveThatIsLookedAtAgainHasTheSameBound(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 64)
	for signer := range 64 {
		for n := range batchSize {
			s.load(laneKey{signer: fmt.Sprint(signer)}, &item{id: fmt.Sprint(signer, "/", n), unsent: true, slot: noTimer})
		}
	}
	for batch := s.next(); batch != nil; batch = s.next() {
		require.NotEmpty(t, batch)
	}
	require.LessOrEqual(t, s.inHand, inHand)
}

// TestManyWorkersHaveOneEach also when there are more of them than may be in hand.
func TestManyWorkersHaveOneEach(t *testing.T) {
	t.Parallel()
	s := queued(t, 2*inHand, 3)
	require.NotEmpty(t, s.next())
	s.inHand = 10 * inHand
	require.Len(t, s.next(), 1)
}
