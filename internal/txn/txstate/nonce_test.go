package txstate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// tooLow is a transaction whose nonce a node has refused as used, and the chain is to be asked whether it is.
func tooLow(t *testing.T, kind string) txstate.State {
	t.Helper()
	s := accepted(true, "h1", 0, "")
	s.Tx.Kind = kind
	s, e := txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch})
	require.Equal(t, txstate.Send, e.Do)
	s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}, Now: epoch})
	s, e = txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Reconcile}, Now: epoch})
	require.Equal(t, txstate.AskNonce, e.Do)
	return s
}

// TestWhatFillsAGapThatIsFilled: another transaction has used its nonce, so there is nothing left to do, and no other nonce to use up.
func TestWhatFillsAGapThatIsFilled(t *testing.T) {
	t.Parallel()
	s := tooLow(t, apitypes.FillNonce)
	s, e := txstate.Step(s, txstate.Latest{Next: *s.Tx.Nonce + 1})
	require.True(t, e.Ask)
	s, e = txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch})
	require.Equal(t, txstate.Nothing, e.Do)
	require.Equal(t, store.Failed, s.Tx.Status)
	require.Contains(t, s.Tx.Error, "was used by another transaction")
}

// TestNonceThatIsUsedByItsOwnTransaction: while the chain was asked, a block has shown that it was this one that used the nonce.
func TestNonceThatIsUsedByItsOwnTransaction(t *testing.T) {
	t.Parallel()
	s := tooLow(t, apitypes.SendTransaction)
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: inBlock(5), Now: epoch})
	next, e := txstate.Step(s, txstate.Latest{Next: *s.Tx.Nonce + 1})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
}
