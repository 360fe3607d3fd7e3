package txn

import (
	"context"
	"encoding/json"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// order is what a connector is asked to prepare: a call, or the deployment of a contract.
type order struct {
	*ffcapi.Request                       // of a deployment: what it has in common with a call
	deploy          *ffcapi.DeployRequest // nil: it is a call
	fee             json.RawMessage       // what it is to offer, see withPrice; nil: as the policy engine says
}

// newOrder makes the order of a command.
func newOrder(kind string, req *ffcapi.Request, definition, contract json.RawMessage) order {
	o := order{Request: req}
	if kind == apitypes.DeployContract {
		o.deploy = &ffcapi.DeployRequest{
			From: req.From, Value: req.Value, Gas: req.Gas, Params: req.Params, Errors: req.Errors, Options: req.Options,
			Definition: definition, Contract: contract,
		}
	}
	return o
}

// prepared has the connector prepare an order.
func (m *Manager) prepared(ctx context.Context, o order) (p *ffcapi.Prepared, err error) {
	defer survive.Panic(&err, m.panicked)
	switch {
	case o.deploy == nil:
		p, err = m.opts.Connector.Prepare(ctx, o.Request)
	case m.deployer == nil:
		return nil, errNoDeployer()
	default:
		p, err = m.deployer.PrepareDeploy(ctx, o.deploy)
	}
	if err == nil && p == nil {
		err = ffcapi.Errorf(ffcapi.Internal, "the connector prepared nothing")
	}
	return p, err
}

func errNoDeployer() error {
	return ffcapi.Errorf(ffcapi.Unsupported, "headers.type: contracts cannot be deployed through this chain's connector")
}

// checkKind refuses what is no transaction, and deployments that cannot be.
func (m *Manager) checkKind(sub *apitypes.Submission) error {
	switch sub.Type {
	case apitypes.SendTransaction, "":
		return nil
	case apitypes.DeployContract:
		return m.checkDeployment(sub)
	default:
		return apitypes.Invalidf("headers.type", `must be "SendTransaction" or "DeployContract"`, "is %q", sub.Type)
	}
}

// checkDeployment is about what a deployment cannot have, or must.
func (m *Manager) checkDeployment(sub *apitypes.Submission) error {
	switch {
	case m.deployer == nil:
		return errNoDeployer()
	case len(sub.Contract) == 0:
		return apitypes.Invalidf("contract", "give the code of the contract", "is missing")
	case len(sub.Method) > 0:
		return apitypes.Invalidf("method", "leave it out: params are those of the constructor", "is given with DeployContract")
	case sub.To != "":
		return apitypes.Invalidf("to", "leave it out: the chain says in the receipt where the contract is", "is given with DeployContract")
	}
	return nil
}
