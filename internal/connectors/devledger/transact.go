package devledger

import (
	"cmp"
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
	name, spec, c, err := l.parseRequest(req)
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
	return l.prepare(c, req.Gas)
}

// prepare executes a call and encodes it. gas is the limit that the caller gave, if any.
func (l *ledger) prepare(c call, gas string) (*ffcapi.Prepared, error) {
	l.mu.RLock()
	eff, err := c.run(l.chain)
	l.mu.RUnlock()
	if err != nil {
		return nil, at(stagePrepare, ffcapi.Errorf(ffcapi.Reverted, "%w", err))
	}
	p := &ffcapi.Prepared{Payload: encodePayload(c, l.cfg.Sequenced), Result: eff.result}
	switch {
	case l.cfg.Sequenced:
		if p.Gas, err = l.reserve(c, gas); err != nil {
			return nil, at(stagePrepare, err)
		}
	case l.cfg.HashAtPrepare:
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
	if err == nil && (l.knobs.takeLostAnswer() || l.dice.happens((*Faults).loseAnswers)) {
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
	t, most, err := l.readSubmission(sub)
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
	if err := l.admit(t, most); err != nil {
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

// readSubmission checks a submission on its own, without a look at the ledger. most is what it may cost.
func (l *ledger) readSubmission(sub *ffcapi.Submission) (t *poolTx, most uint64, err error) {
	c, err := decodePayload(sub.Prepared.Payload, l.cfg.Sequenced)
	if err != nil {
		return nil, 0, ffcapi.Errorf(ffcapi.InvalidInput, "payload: not made by this ledger's Prepare: %w", err)
	}
	if c.from != sub.From {
		return nil, 0, invalid("from", "%q has not signed the payload, %q has", sub.From, c.from)
	}
	if !l.cfg.Sequenced {
		t = newPoolTx(sub.Prepared.Payload, c, terms{})
		t.hash = hashTx(t.payload, c.from, nil)
		return t, 0, nil
	}
	if sub.Nonce == nil {
		return nil, 0, invalid("nonce", "it is missing: this ledger numbers the transactions of a signer")
	}
	offer, err := readTerms(sub)
	if err != nil {
		return nil, 0, err
	}
	t = newPoolTx(sign(sub.Prepared.Payload, offer), c, offer)
	t.nonce, t.hash = *sub.Nonce, hashTx(t.payload, c.from, sub.Nonce)
	return t, cost(cmp.Or(offer.gas, c.gas()), offer.price), nil
}

// admit takes a transaction into the pool that may cost so much at most, or says why not.
func (l *ledger) admit(t *poolTx, most uint64) error {
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
	if l.pool.has(t.hash) {
		return refuse(ffcapi.KnownTransaction, ffcapi.SentYes, "it waits for a block")
	}
	latest := l.chain.nonces[t.from]
	if l.cfg.Sequenced {
		if err := l.admissible(t, most, latest); err != nil {
			return refuse(err.Kind, ffcapi.SentNo, "%w", err)
		}
	}
	if key, waits := l.pool.rival(t); waits {
		old, err := l.pool.get(key)
		if err != nil {
			return refuse(ffcapi.Unavailable, ffcapi.SentNo, "%w", err)
		}
		if old.taken || !t.outbids(old) {
			return refuse(ffcapi.Underpriced, ffcapi.SentNo, "transaction %s waits with nonce %d and offers %d for a unit of gas: offer more",
				old.hash.text(), t.nonce, old.price)
		}
		l.pool.replace(old, t)
		return nil
	}
	if l.pool.full(len(t.payload)) {
		return refuse(ffcapi.RateLimited, ffcapi.SentNo, "the pool is full: %d transactions wait", len(l.pool.places))
	}
	if !l.dice.happens((*Faults).drop) {
		l.pool.add(t, latest)
	}
	return nil
}

// admissible applies the rules of nonces and fees. latest is the signer's next nonce on the chain. The caller holds mu.
func (l *ledger) admissible(t *poolTx, most, latest uint64) *ffcapi.Error {
	next := l.pool.pending(t.from, latest)
	price := l.gasPrice.Load()
	switch have := l.chain.funds(t.from); {
	case t.nonce < latest:
		return ffcapi.Errorf(ffcapi.NonceTooLow, "nonce %d of %s is used: the next one is %d", t.nonce, t.from, latest)
	case t.price < price:
		return ffcapi.Errorf(ffcapi.Underpriced, "%d is offered for a unit of gas: it costs %d", t.price, price)
	case t.nonce > next && t.nonce-next > l.cfg.FutureNonces:
		return ffcapi.Errorf(ffcapi.Unavailable, "nonce %d of %s leaves a gap: the next one is %d", t.nonce, t.from, next)
	case most > have:
		return tooPoor(t.from, most, have)
	default:
		return nil
	}
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
	name, spec, c, err := l.parseRequest(req)
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
		return list(l.chain.assets, req.To), nil
	default:
		a, ok := l.chain.asset(c.id)
		if !ok {
			return nil, ffcapi.Errorf(ffcapi.NotFound, "asset %s not found", idOf(c.id))
		}
		return a.json(c.id), nil
	}
}
