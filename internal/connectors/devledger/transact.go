package devledger

import (
	"context"
	"encoding/json"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

// Prepare implements ffcapi.Connector. It executes the call on the newest block, so that what the contract refuses now is refused
// here; what waits in the pool is not looked at.
func (l *ledger) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	if err := l.enter(ctx, MethodPrepare, ""); err != nil {
		return nil, at(stagePrepare, err)
	}
	name, spec, c, err := parseRequest(req)
	if err == nil {
		err = checkSigner(req.From)
	}
	if err == nil && spec.query {
		err = invalid("method", "%s only reads: send it as a query", name)
	}
	if err == nil && req.BlockNumber != "" {
		err = invalid("blockNumber", "it is for queries")
	}
	if err != nil {
		return nil, at(stagePrepare, err)
	}
	l.mu.RLock()
	eff, err := c.run(l.chain)
	l.mu.RUnlock()
	if err != nil {
		return nil, at(stagePrepare, ffcapi.Errorf(ffcapi.Reverted, "%w", err))
	}
	p := &ffcapi.Prepared{Payload: encodePayload(c, l.cfg.Sequenced), Result: eff.result}
	if !l.cfg.Sequenced {
		p.Hash = hashTx(p.Payload, c.from, nil).text()
	}
	return p, nil
}

// at adds the stage to an error of the connector.
func at(stage string, err error) error {
	e := *ffcapi.AsError(err)
	e.Stage = stage
	return &e
}

// Submit implements ffcapi.Connector.
func (l *ledger) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	hash, err := l.submit(ctx, sub)
	if err == nil && l.knobs.takeLostAnswer() {
		err = &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe, Message: "the answer was lost"}
	}
	if err != nil {
		return nil, at(stageSubmit, err)
	}
	return &ffcapi.Submitted{Hash: hash}, nil
}

func (l *ledger) submit(ctx context.Context, sub *ffcapi.Submission) (string, error) {
	if err := l.enter(ctx, MethodSubmit, sub.Prepared.Ledger); err != nil {
		return "", unsent(err)
	}
	t, err := l.readSubmission(sub)
	if err != nil {
		return "", unsent(err)
	}
	if retry.Sleep(ctx, l.cfg.SendDelay) != nil {
		return "", unsent(ended(ctx))
	}
	select {
	case <-l.stopping:
		return "", unsent(ffcapi.Errorf(ffcapi.Unavailable, "the dev ledger is stopping"))
	default:
	}
	if err := l.admit(t); err != nil {
		return "", err
	}
	l.wake()
	return t.hash.text(), nil
}

// unsent marks an error that came before anything could have left, unless a knob has said otherwise.
func unsent(err error) error {
	e := *ffcapi.AsError(err)
	if e.Sent == "" {
		e.Sent = ffcapi.SentNo
	}
	return &e
}

// readSubmission checks a submission on its own, without a look at the ledger.
func (l *ledger) readSubmission(sub *ffcapi.Submission) (*poolTx, error) {
	c, err := decodePayload(sub.Prepared.Payload, l.cfg.Sequenced)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "payload: not made by this ledger's Prepare: %w", err)
	}
	if c.from != sub.From {
		return nil, invalid("from", "%q has not signed the payload, %q has", sub.From, c.from)
	}
	t := &poolTx{payload: sub.Prepared.Payload, call: c}
	if !l.cfg.Sequenced {
		t.hash = hashTx(t.payload, c.from, nil)
		return t, nil
	}
	if sub.Nonce == nil {
		return nil, invalid("nonce", "it is missing: this ledger numbers the transactions of a signer")
	}
	t.nonce = *sub.Nonce
	t.hash = hashTx(t.payload, c.from, sub.Nonce)
	return t, nil
}

// admit takes a transaction into the pool, or says why not.
func (l *ledger) admit(t *poolTx) error {
	refuse := func(kind ffcapi.Kind, sent ffcapi.Sent, format string, args ...any) error {
		e := ffcapi.Errorf(kind, format, args...)
		e.Sent, e.Hash = sent, t.hash.text()
		return e
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if pos, ok := l.chain.txs[keyOf(t.hash)]; ok {
		return refuse(ffcapi.KnownTransaction, ffcapi.SentYes, "it is in block %d", pos.block())
	}
	if l.pool.byHash[t.hash] != nil {
		return refuse(ffcapi.KnownTransaction, ffcapi.SentYes, "it waits for a block")
	}
	latest := l.chain.nonces[t.call.from]
	if l.cfg.Sequenced && t.nonce < latest {
		return refuse(ffcapi.NonceTooLow, ffcapi.SentNo, "nonce %d of %s is used: the next one is %d", t.nonce, t.call.from, latest)
	}
	if old := l.pool.sameNonce(t); old != nil {
		// There is no fee to outbid with: a transaction that cancels goes before one that does not, and else the first stays.
		if old.taken || old.call.op == opNoop || t.call.op != opNoop {
			return refuse(ffcapi.Underpriced, ffcapi.SentNo, "transaction %s waits with nonce %d: only a cancellation replaces it", old.hash.text(), t.nonce)
		}
		l.pool.replace(old, t)
		return nil
	}
	if l.pool.full(len(t.payload)) {
		return refuse(ffcapi.RateLimited, ffcapi.SentNo, "the pool is full: %d transactions wait", len(l.pool.byHash))
	}
	l.pool.add(t, latest)
	return nil
}

// Query implements ffcapi.Connector. A method that changes the ledger is executed without its effect.
func (l *ledger) Query(ctx context.Context, req *ffcapi.Request) (json.RawMessage, error) {
	out, err := l.query(ctx, req)
	if err != nil {
		return nil, at(stageQuery, err)
	}
	return out, nil
}

func (l *ledger) query(ctx context.Context, req *ffcapi.Request) (json.RawMessage, error) {
	if err := l.enter(ctx, MethodQuery, ""); err != nil {
		return nil, err
	}
	name, spec, c, err := parseRequest(req)
	if err != nil {
		return nil, err
	}
	if req.BlockNumber != "" && req.BlockNumber != fromLatest {
		return nil, ffcapi.Errorf(ffcapi.Unsupported, "blockNumber: the dev ledger keeps the newest state only: leave it out")
	}
	if !spec.query {
		if err := checkSigner(req.From); err != nil {
			return nil, err
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case !spec.query:
		eff, err := c.run(l.chain)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.Reverted, "%w", err)
		}
		if eff.result == nil {
			return json.RawMessage("null"), nil
		}
		return eff.result, nil
	case name == "list":
		return list(l.chain.assets), nil
	default:
		a, ok := l.chain.asset(c.id)
		if !ok {
			return nil, ffcapi.Errorf(ffcapi.NotFound, "asset %s not found", c.id)
		}
		return a.json(c.id), nil
	}
}
