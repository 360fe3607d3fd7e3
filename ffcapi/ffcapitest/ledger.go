package ffcapitest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const noSuchLedger = "no-such-ledger"

var ledgerPromises = []promise{
	{name: "describes itself", check: func(b *bench) {
		first, err := b.Connector.Ledger(b.ctx, b.Ledger)
		require.NoError(b, err)
		require.NotEmpty(b, first.ID)
		require.Equal(b, b.Ledger, first.Name)
		require.Equal(b, b.features.Finality, first.Finality)
		require.NotEmpty(b, first.Head.Hash)
		second, err := b.Connector.Ledger(b.ctx, b.Ledger)
		require.NoError(b, err)
		require.Equal(b, first.ID, second.ID, "the identity changes")
		require.GreaterOrEqual(b, second.Head.Number, first.Head.Number)
	}},
	{name: "has no ledger that does not exist", check: func(b *bench) {
		_, err := b.Connector.Ledger(b.ctx, noSuchLedger)
		b.requireKind(err, ffcapi.NotFound)
		_, err = b.Connector.Block(b.ctx, noSuchLedger, 0)
		b.requireKind(err, ffcapi.NotFound)
		for blk, err := range b.Connector.Blocks(b.ctx, noSuchLedger, ffcapi.BlockRef{}) {
			require.Nil(b, blk)
			b.requireKind(err, ffcapi.NotFound)
		}
	}},
	{name: "has capabilities only if it says so", check: func(b *bench) {
		_, sequenced := b.Connector.(ffcapi.Sequencer)
		require.Equal(b, b.features.Sequenced, sequenced)
		_, fees := b.Connector.(ffcapi.FeeEstimator)
		require.Equal(b, b.features.Fees, fees)
		_, balances := b.Connector.(ffcapi.Balancer)
		require.Equal(b, b.features.Balances, balances)
		_, deploys := b.Connector.(ffcapi.Deployer)
		require.Equal(b, b.features.Deploys, deploys)
		_, finishes := b.Connector.(ffcapi.Finisher)
		require.Equal(b, b.features.Finishes, finishes)
	}},
	{name: "is the same after a restart", needs: func(f *Fixture) bool { return f.Reopen != nil }, check: func(b *bench) {
		before, err := b.Connector.Ledger(b.ctx, b.Ledger)
		require.NoError(b, err)
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		p := b.placed(hash)
		events := b.session(b.Connector, b.query(b.from(), p.BlockRef, 10))

		c := b.Reopen(b.T)
		after, err := c.Ledger(b.ctx, b.Ledger)
		require.NoError(b, err)
		require.Equal(b, before.ID, after.ID)
		blk, err := c.Block(b.ctx, b.Ledger, p.Number)
		require.NoError(b, err)
		require.Equal(b, p.Hash, blk.Hash)
		b.Connector = c
		require.Equal(b, events, b.session(c, b.query(b.from(), p.BlockRef, 10)))
		require.Equal(b, hash, b.resubmitted(sub))
	}},
}

var lookupPromises = []promise{
	{name: "a receipt tells what the block tells", check: func(b *bench) {
		hash := b.create(b.Signer(), b.id(0))
		p := b.placed(hash)
		require.True(b, p.success)
		blk, err := b.Connector.Block(b.ctx, b.Ledger, p.Number)
		require.NoError(b, err)
		require.Equal(b, blk.BlockRef, p.BlockRef)
		var found bool
		for _, tx := range blk.Transactions {
			if tx.Hash == hash {
				found = true
				require.Equal(b, p.index, tx.Index)
				require.Equal(b, !blk.Outcomes || p.success, tx.Success || !blk.Outcomes)
			}
		}
		require.True(b, found)
	}},
	{name: "protocol ids sort in chain order", check: func(b *bench) {
		var last string
		for i := range 3 {
			hash := b.create(b.Signer(), b.id(i))
			b.placed(hash)
			r, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: hash})
			require.NoError(b, err)
			require.Less(b, last, r.ProtocolID)
			last = r.ProtocolID
		}
	}},
	{name: "a receipt has the events that are asked for", check: func(b *bench) {
		hash := b.create(b.Signer(), b.id(0))
		b.placed(hash)
		r, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{
			Ledger: b.Ledger, Hash: hash, EventFilters: []json.RawMessage{b.Contract.Filter}, ExtractSigner: true, IncludeLogs: true,
		})
		require.NoError(b, err)
		require.Len(b, r.Events, 1)
		require.Equal(b, b.id(0), b.Contract.ID(r.Events[0]))
		require.True(b, r.Extra == nil || json.Valid(r.Extra))
	}},
	{name: "there is no receipt of an unknown transaction", check: func(b *bench) {
		for _, hash := range []string{"", "nonsense", "0x00000000000000000000000000000000000000000000000000000000000000ff"} {
			_, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: hash})
			b.requireKind(err, ffcapi.NotFound, ffcapi.InvalidInput)
		}
	}},
	{name: "a query answers with JSON or a final error", check: func(b *bench) {
		signer := b.Signer()
		_, err := b.Connector.Query(b.ctx, b.Contract.Read(signer, b.id(0)))
		b.requireFinal(err)
		b.placed(b.create(signer, b.id(0)))
		out, err := b.Connector.Query(b.ctx, b.Contract.Read(signer, b.id(0)))
		require.NoError(b, err)
		require.True(b, json.Valid(out))
		require.Contains(b, string(out), b.id(0))
	}},
	{name: "a query of an unknown method is refused", check: func(b *bench) {
		req := b.Contract.Read(b.Signer(), b.id(0))
		req.Method = json.RawMessage(`"noSuchMethod"`)
		_, err := b.Connector.Query(b.ctx, req)
		b.requireFinal(err)
	}},
}

// calls that carry a deadline, each with what makes it succeed otherwise.
func (b *bench) calls() map[string]func(ctx context.Context) error {
	signer := b.Signer()
	prepared := b.submission(b.Contract.Create(signer, b.id(0)))
	return map[string]func(ctx context.Context) error{
		"Ledger": func(ctx context.Context) error { _, err := b.Connector.Ledger(ctx, b.Ledger); return err },
		"Block": func(ctx context.Context) error {
			_, err := b.Connector.Block(ctx, b.Ledger, 0)
			return err
		},
		"Prepare": func(ctx context.Context) error {
			_, err := b.Connector.Prepare(ctx, b.Contract.Create(signer, b.id(1)))
			return err
		},
		"Submit": func(ctx context.Context) error { _, err := b.Connector.Submit(ctx, prepared); return err },
		"Query": func(ctx context.Context) error {
			_, err := b.Connector.Query(ctx, b.Contract.Read(signer, b.id(0)))
			return err
		},
		"Events": func(ctx context.Context) error {
			for _, err := range b.Connector.Events(ctx, b.query(ffcapi.Cursor{}, b.start, 1)) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

var contextPromises = []promise{
	{name: "a call whose context is done ends with Timeout", check: func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		for name, call := range b.calls() {
			err := call(ctx)
			require.Error(b, err, name)
			b.requireKind(err, ffcapi.Timeout)
		}
	}},
	{name: "Blocks ends soon after its context", check: func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		ended := make(chan error, 1)
		go func() {
			var last error
			for _, err := range b.Connector.Blocks(ctx, b.Ledger, b.head()) {
				last = err
			}
			ended <- last
		}()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.requireKind(err, ffcapi.Timeout, ffcapi.Unavailable)
			}
		case <-time.After(soon):
			require.Fail(b, "Blocks goes on")
		}
	}},
	{name: "a deadline ends Blocks", check: func(b *bench) {
		ctx, cancel := context.WithTimeout(b.ctx, 20*time.Millisecond)
		defer cancel()
		began := time.Now()
		for _, err := range b.Connector.Blocks(ctx, b.Ledger, b.head()) {
			if err != nil {
				b.requireKind(err, ffcapi.Timeout, ffcapi.Unavailable)
			}
		}
		require.Less(b, time.Since(began), soon)
		require.ErrorIs(b, ctx.Err(), context.DeadlineExceeded)
	}},
}
