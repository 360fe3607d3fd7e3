package ffcapi

import (
	"context"
	"encoding/json"
)

// Sequencer is implemented by chains on which each signer's transactions carry consecutive nonces. The core assigns
// them; see [Submission].Nonce.
type Sequencer interface {
	// NextNonce returns the next nonce of a signer as the node sees it: latest counts what is on the chain, pending also
	// what waits in the node's pool.
	NextNonce(ctx context.Context, ledger, signer string) (pending, latest uint64, err error)

	// Cancel prepares a harmless transaction that uses a nonce up.
	Cancel(ctx context.Context, ledger, signer string, nonce uint64) (*Prepared, error)
}

// Finisher is implemented by chains on which Prepare may leave something to be done shortly before the first send.
type Finisher interface {
	// Finish does what Prepare has left, for a transaction of which nothing was sent, and sends nothing. What it refuses is
	// therefore known to have no effect, which is not so of what Submit refuses after a crash. Hash and Ledger stay as they
	// are; nil says that nothing was left. Errors are those of Prepare.
	Finish(ctx context.Context, sub *Submission) (*Prepared, error)
}

// FeeEstimator is implemented by chains on which a transaction offers a fee. The JSON is the chain's own and is passed
// back in [Submission].Fee.
type FeeEstimator interface {
	EstimateFee(ctx context.Context, ledger string) (json.RawMessage, error)
}

// Balancer is implemented by chains whose accounts hold a balance of the fee token.
type Balancer interface {
	// Balance returns a base-10 integer in the smallest unit. tag names a block ("latest" when empty).
	Balance(ctx context.Context, ledger, address, tag string) (string, error)
}

// Deployer is implemented by chains to which a contract can be deployed by a transaction.
type Deployer interface {
	// PrepareDeploy is Prepare for a deployment; the same rules hold.
	PrepareDeploy(ctx context.Context, req *DeployRequest) (*Prepared, error)
}

// DeployRequest asks for the deployment of a contract.
type DeployRequest struct {
	From, Value, Gas string
	Definition       json.RawMessage   // interface of the contract, in the chain's own form (e.g. an ABI)
	Contract         json.RawMessage   // code of the contract, in the chain's own form (e.g. a hex string)
	Params           []json.RawMessage // constructor parameters
	Errors           []json.RawMessage
	Options          json.RawMessage // chain specific; unknown fields are refused
}

// Identities is implemented by connectors that hold the keys of a known set of signers.
type Identities interface {
	// Identities lists what [Request].From may be, sorted.
	Identities(ctx context.Context) ([]string, error)
}

// Health is implemented by connectors that can tell more about their nodes than whether Ledger answers.
type Health interface {
	// Health returns nil when the chain can be used. details is shown by the readiness endpoint as it is.
	Health(ctx context.Context) (details json.RawMessage, err error)
}
