package apitypes

import (
	"encoding/json"
	"errors"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// FillNonce is the kind of a transaction that was made to use up a nonce of which nothing is known.
const FillNonce = "FillNonce"

// TransactionUpdate changes a transaction of which nothing has left. What is nil stays as it is.
type TransactionUpdate struct {
	To              *string
	Gas             *fftypes.FFBigInt
	Value           *fftypes.FFBigInt
	GasPrice        json.RawMessage   // any JSON, as the chain takes it
	Nonce           *fftypes.FFBigInt // always refused
	TransactionData *string           // always refused
}

// Signer is the state of a signer's nonces on a ledger.
type Signer struct {
	Ledger  string              `json:"ledger" doc:"Ledger of the chain."`
	Signer  string              `json:"signer" doc:"The signer."`
	Next    *fftypes.FFBigInt   `json:"next,omitempty" doc:"The nonce that the next transaction gets; absent if none was ever assigned here."`
	Pending *fftypes.FFBigInt   `json:"pending" doc:"The next nonce as the chain's node sees it, with what waits in its pool."`
	Latest  *fftypes.FFBigInt   `json:"latest" doc:"The next nonce as the chain sees it: all below are used."`
	Gaps    []*fftypes.FFBigInt `json:"gaps" doc:"Nonces that are not used on the chain, and that no open transaction holds: what comes after them waits for ever. The lowest 1000 at most."`
	Open    int                 `json:"open" doc:"Transactions of the signer that are not final."`
}

// Why an operation on a transaction is refused.
var (
	ErrFinished     = errors.New("it has ended")
	ErrMayBeOut     = errors.New("it may have been sent")
	ErrCancelling   = errors.New("it is being cancelled")
	ErrNotFailed    = errors.New("it has not failed")
	ErrNoNonces     = errors.New("this chain has no nonces")
	ErrNonceRefused = errors.New("the nonce cannot be used")
)

// ErrDeclared refuses to change what the configuration says.
var ErrDeclared = errors.New("it is declared in the configuration")
