package devledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// contractMark separates the contract from the id in the key of an asset. No name holds it. The first contract has none, so that
// its keys are ids. The key of a contract itself has no id.
const contractMark = 0

// stateKey is where the state has an asset of a contract.
func stateKey(contract, id string) string {
	if contract == assetsContract {
		return id
	}
	return contract + string(rune(contractMark)) + id
}

// idOf is the part of a key that users see.
func idOf(key string) string { return key[strings.IndexByte(key, contractMark)+1:] }

// contractKey is the key of the contract that a key belongs to, "" for the first one's.
func contractKey(key string) string { return key[:strings.IndexByte(key, contractMark)+1] }

// hasContract reports whether a contract is there. The caller holds mu.
func (c *chain) hasContract(name string) bool {
	_, deployed := c.assets[stateKey(name, "")]
	return name == assetsContract || deployed
}

// knows is hasContract for those who do not hold mu.
func (l *ledger) knows(contract string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.chain.hasContract(contract)
}

// PrepareDeploy implements ffcapi.Deployer. There is one code, "assets"; a deployment puts another instance of it on the ledger, with
// assets and events of its own, under the name that is the one parameter.
func (l *sequencedLedger) PrepareDeploy(ctx context.Context, req *ffcapi.DeployRequest) (*ffcapi.Prepared, error) {
	if err := l.enter(ctx, MethodPrepare, ""); err != nil {
		return nil, at(stagePrepare, err)
	}
	c, err := parseDeploy(req)
	if err == nil {
		err = checkSigner(req.From)
	}
	if err != nil {
		return nil, at(stagePrepare, err)
	}
	return l.prepare(c, req.Gas)
}

func parseDeploy(req *ffcapi.DeployRequest) (call, error) {
	c := call{op: opDeploy, from: req.From}
	var code string
	if err := json.Unmarshal(req.Contract, &code); err != nil || code != assetsContract {
		return c, invalid("contract", "unknown code: the dev ledger has %q", assetsContract)
	}
	var definition bytes.Buffer
	if len(req.Definition) > 0 {
		if err := json.Compact(&definition, req.Definition); err != nil {
			return c, invalid("definition", "it is not valid JSON")
		}
	}
	if len(req.Params) != 1 {
		return c, invalid("params", "a deployment takes 1 (name), not %d", len(req.Params))
	}
	var name string
	if err := json.Unmarshal(req.Params[0], &name); err != nil || req.Params[0][0] == 'n' {
		return c, invalid("params[0]", "name is not a string")
	}
	if err := checkName("params[0]", "name", name); err != nil {
		return c, err
	}
	if err := noToken(req.Value); err != nil {
		return c, err
	}
	c.id, c.arg = name+string(rune(contractMark)), definition.Bytes()
	return c, noFields("options", req.Options)
}

// deploy puts the contract itself on the ledger.
func (c call) deploy(st assetReader) (effect, error) {
	name := strings.TrimSuffix(c.id, string(rune(contractMark)))
	if _, exists := st.asset(c.id); exists || name == assetsContract {
		return effect{}, fmt.Errorf("contract %s already exists", name)
	}
	return effect{put: &asset{owner: c.from, value: c.arg}, result: location(name)}, nil
}

// location is where a deployed contract is, in the words of a receipt.
func location(contract string) json.RawMessage { return appendFields(nil, "address", contract) }

// deployed is the location of the contract that a transaction has put on the ledger; nil if it has not.
func deployed(t *txRecord) json.RawMessage {
	if t.status != statusOK || opOf(t.payload) != opDeploy {
		return nil
	}
	return location(contractOf(t.payload))
}
