package ffcapitest

import (
	"encoding/json"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// prepareDeploy is PrepareDeploy and what each answer of it must have.
func (b *bench) prepareDeploy(req *ffcapi.DeployRequest) *ffcapi.Prepared {
	b.Helper()
	p, err := b.deployer().PrepareDeploy(b.ctx, req)
	require.NoError(b, err)
	require.Equal(b, b.Ledger, p.Ledger)
	require.NotEmpty(b, p.Payload)
	return p
}

func (b *bench) deployer() ffcapi.Deployer {
	b.Helper()
	d, ok := b.Connector.(ffcapi.Deployer)
	require.True(b, ok, "the connector is no ffcapi.Deployer")
	return d
}

// deployment is what the core would send.
func (b *bench) deployment(req *ffcapi.DeployRequest) *ffcapi.Submission {
	b.Helper()
	return b.complete(&ffcapi.Submission{Prepared: b.prepareDeploy(req), From: req.From, Value: req.Value, Gas: req.Gas})
}

func (b *bench) receipt(hash string) *ffcapi.Receipt {
	b.Helper()
	b.placed(hash)
	r, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: hash})
	require.NoError(b, err)
	return r
}

// sayWhere checks that a block that has outcomes says what the receipt does.
func (b *bench) sayWhere(hash string, r *ffcapi.Receipt) {
	b.Helper()
	block, err := b.Connector.Block(b.ctx, b.Ledger, r.Block.Number)
	require.NoError(b, err)
	i := slices.IndexFunc(block.Transactions, func(tx ffcapi.TxOutcome) bool { return tx.Hash == hash })
	if require.GreaterOrEqual(b, i, 0); block.Outcomes {
		require.Equal(b, r.ContractLocation, block.Transactions[i].ContractLocation)
	}
}

var deployPromises = []promise{
	{name: "put a contract where the receipt says", check: func(b *bench) {
		signer := b.Signer()
		deployed := b.submit(b.deployment(b.Contract.Deploy(signer, b.id(0))))
		r := b.receipt(deployed)
		require.True(b, r.Success)
		b.sayWhere(deployed, r)
		require.True(b, json.Valid(r.ContractLocation), "%s", r.ContractLocation)
		hash := b.submit(b.submission(b.Contract.CreateAt(r.ContractLocation, signer, b.id(1))))
		p := b.placed(hash)
		require.True(b, p.success)
		require.Nil(b, b.receipt(hash).ContractLocation, "nothing was deployed")
		b.sayWhere(hash, b.receipt(hash))
		require.Empty(b, b.ids(b.session(b.Connector, b.query(b.from(), p.BlockRef, 10))), "events of another contract")
	}},
	{name: "have no effect before they are sent", check: func(b *bench) {
		first := b.deployment(b.Contract.Deploy(b.Signer(), b.id(0)))
		b.placed(b.create(b.Signer(), b.id(1)))
		second := b.deployment(b.Contract.Deploy(b.Signer(), b.id(0)))
		require.True(b, b.placed(b.submit(second)).success)
		require.NotEqual(b, first.From, second.From)
	}},
	{name: "sent twice happen once", check: func(b *bench) {
		sub := b.deployment(b.Contract.Deploy(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		require.Equal(b, hash, b.resubmitted(sub))
		p := b.placed(hash)
		require.Equal(b, hash, b.resubmitted(sub))
		require.Len(b, b.listed(hash, p.BlockRef), 1)
	}},
	{name: "that are wrong are refused, and the field is named", check: func(b *bench) {
		for field, spoil := range map[string]func(*ffcapi.DeployRequest){
			"from":     func(r *ffcapi.DeployRequest) { r.From = "" },
			"contract": func(r *ffcapi.DeployRequest) { r.Contract = nil },
			"options":  func(r *ffcapi.DeployRequest) { r.Options = json.RawMessage(`{"noSuchOption":1}`) },
		} {
			req := b.Contract.Deploy(b.Signer(), b.id(0))
			spoil(req)
			_, err := b.deployer().PrepareDeploy(b.ctx, req)
			require.Contains(b, b.errorOf(err, ffcapi.InvalidInput).Error(), field)
		}
	}},
}
