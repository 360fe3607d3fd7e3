package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Where the writer fills in what is known only in its transaction, see txColumns and attemptColumns.
const (
	txSeq, txCreated, txUpdated, txSubSince, txNonce = 0, 4, 5, 8, 13
	attemptSeq, attemptNonce                         = 0, 7
	keySeq                                           = 2 // in sqlClaimKey
	labelTx                                          = 2 // in sqlInsertLabel
)

// acceptCmd stores a new transaction. Everything that needs no database is done before it is handed to the writer.
type acceptCmd struct {
	n      *store.NewTx
	tx     store.Tx
	signer signerID
	counts bool // the transaction has a nonce

	keyRow, txRow, bodyRow []any
	attemptRow             []any // nil: what the other two rows say is all that there is to say of the attempt
	payloadRow             []any // nil: the body has it

	labelRows [][]any

	replay bool // a transaction has the key, with the same body
	held   bool // an open transaction has the nonce that is to be filled
}

// Accept implements store.Transactions.
func (s *Store) Accept(ctx context.Context, f store.Fence, n *store.NewTx) (*store.Accepted, error) {
	c, err := newAccept(n)
	if err == nil {
		err = s.writer.submit(ctx, classAccept, &f, c)
	}
	return s.accepted(ctx, n, c, err)
}

// accepted is the answer to a command of acceptance.
func (s *Store) accepted(ctx context.Context, n *store.NewTx, c *acceptCmd, err error) (*store.Accepted, error) {
	if err != nil {
		return nil, fmt.Errorf("accept transaction %s: %w", n.Tx.ID, err)
	}
	if c.replay {
		tx, err := s.Transaction(ctx, c.tx.ID)
		if errors.Is(err, store.ErrNotFound) {
			tx, err = s.Ended(ctx, c.tx.ID)
		}
		if err != nil {
			return nil, err
		}
		return &store.Accepted{Tx: tx, Replay: true}, nil
	}
	tx := c.tx // a copy: the caller may keep it for long, and the command holds all the rows
	return &store.Accepted{Tx: &tx}, nil
}

func newAccept(n *store.NewTx) (*acceptCmd, error) {
	c := &acceptCmd{n: n, tx: n.Tx}
	a := n.Attempt
	prepareAccept(&c.tx, &a)
	if c.tx.ID == "" {
		return nil, fmt.Errorf("id is empty: %w", store.ErrInvalid)
	}
	if err := checkTx(&c.tx); err != nil {
		return nil, err
	}
	if err := checkAttempt(&a); err != nil {
		return nil, err
	}
	if err := checkPayload(&n.Payload); err != nil {
		return nil, err
	}
	c.counts = n.Sequenced || n.Tx.Nonce != nil
	c.signer = signerID{c.tx.Ledger, c.tx.From}
	c.tx.Shard = shardOf(&c.tx, c.counts)

	var err error
	if c.txRow, err = txRow(&c.tx); err != nil {
		return nil, err
	}
	if !derivable(&c.tx, &a) {
		if c.attemptRow, err = attemptRow(0, &a); err != nil {
			return nil, err
		}
	}
	var history any
	if len(n.History) > 0 {
		if history, err = encodeHistory(n.History); err != nil {
			return nil, err
		}
	}
	if c.bodyRow, err = bodyRow(n, &a, history); err != nil {
		return nil, err
	}
	if !inBody(&n.Payload) {
		c.payloadRow = payloadRow(0, a.Number, &n.Payload)
	}
	c.labelRows = labelRows(c.tx.Labels)
	c.keyRow = []any{c.tx.ID, n.BodyHash[:], nil, toMicros(n.KeyExpires)}
	return c, nil
}

// prepareAccept fills in what the store decides; its own copies of the slices go back to the caller.
func prepareAccept(tx *store.Tx, a *store.Attempt) {
	tx.Version, tx.Status, tx.Attempt = 1, store.Pending, 1
	if tx.Sub == "" {
		tx.Sub = store.SubReceived
	}
	tx.Hash, tx.Outcome = a.Hash, nil
	tx.FirstSubmit, tx.LastSubmit = time.Time{}, time.Time{}
	tx.Fee, tx.PolicyState = bytes.Clone(tx.Fee), bytes.Clone(tx.PolicyState)

	a.Tx, a.Number, a.Nonce, a.Outcome = tx.ID, 1, tx.Nonce, nil
	if a.Ledger == "" {
		a.Ledger = tx.Ledger
	}
	if a.From == "" {
		a.From = tx.From
	}
	if a.State == "" {
		a.State = store.AttemptPrepared
	}
}

// shardOf spreads transactions so that all of a signer's are in one shard where their order matters.
func shardOf(tx *store.Tx, counts bool) int {
	h := fnv.New32a()
	if counts {
		_, _ = h.Write([]byte(tx.Ledger)) // a hash never fails
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(tx.From))
	} else {
		_, _ = h.Write([]byte(tx.ID))
	}
	return int(h.Sum32() % store.Shards)
}

func (c *acceptCmd) scope() string { return "" }

func (c *acceptCmd) load(g *group) {
	c.replay, c.held = false, false
	g.wantKey(c)
	if c.counts {
		g.wantSigner(c.signer)
	}
	if c.fills() {
		g.session.query(sqlHolder, func(row) error {
			c.held = true
			return nil
		}, c.signer.ledger, c.signer.signer, bits(*c.n.Tx.Nonce))
	}
}

func (c *acceptCmd) fills() bool { return c.n.Fill && c.n.Tx.Nonce != nil }

func (c *acceptCmd) plan(g *group) error {
	k := g.keys[c.tx.ID]
	if k.taken {
		if k.hash != c.n.BodyHash {
			return store.ErrKeyReused
		}
		c.replay = true
		return nil
	}
	if c.counts {
		nonce, err := c.number(g)
		if err != nil {
			return err
		}
		c.tx.Nonce = &nonce
		c.txRow[txNonce] = bits(nonce)
		if c.attemptRow != nil {
			c.attemptRow[attemptNonce] = bits(nonce)
		}
	}
	g.takeKey(k, c)

	now := fromMicros(g.now)
	c.tx.Seq, c.tx.Created, c.tx.Updated, c.tx.SubSince = k.seq, now, now, now
	c.txRow[txSeq], c.txRow[txCreated], c.txRow[txUpdated], c.txRow[txSubSince] = c.tx.Seq, g.now, g.now, g.now
	c.bodyRow[0] = c.tx.Seq
	p := &g.rows
	p.tx = append(p.tx, c.txRow)
	p.bodies = append(p.bodies, c.bodyRow)
	if c.attemptRow != nil {
		c.attemptRow[attemptSeq] = c.tx.Seq
		p.attempts = append(p.attempts, c.attemptRow)
	}
	if c.payloadRow != nil {
		c.payloadRow[0] = c.tx.Seq
		p.payloads = append(p.payloads, c.payloadRow)
	}
	for _, r := range c.labelRows {
		r[labelTx] = c.tx.Seq
	}
	p.labels = append(p.labels, c.labelRows...)
	g.setHead(c.tx.ID, txHead{seq: c.tx.Seq, version: c.tx.Version, status: c.tx.Status, nonce: c.txRow[txNonce]})
	return nil
}

// number assigns the next nonce of the signer.
func (c *acceptCmd) number(g *group) (uint64, error) {
	s := g.signers[c.signer]
	if c.fills() {
		given := *c.n.Tx.Nonce
		// What was given back, and was then assigned once more, is no gap: to one that is stored, or by this group.
		if !s.known || given >= min(s.next, s.before) || c.held {
			return 0, fmt.Errorf("nonce %d of %s is no gap: %w", given, c.tx.From, store.ErrConflict)
		}
		return given, nil
	}
	next, anchored := s.next, s.known
	if c.n.NodeNext != nil {
		next, anchored = max(next, *c.n.NodeNext), true
	}
	if given := c.n.Tx.Nonce; given != nil {
		switch {
		case !anchored:
			next = *given
		case *given < next:
			return 0, fmt.Errorf("nonce %d of %s is taken, the next one is %d: %w", *given, c.tx.From, next, store.ErrConflict)
		case *given > next:
			return 0, fmt.Errorf("nonce %d of %s leaves a gap, the next one is %d: %w", *given, c.tx.From, next, store.ErrConflict)
		}
	}
	if next+1 == 0 {
		return 0, fmt.Errorf("%s has no nonces left: %w", c.tx.From, store.ErrConflict)
	}
	s.known, s.next, s.dirty = true, next+1, true
	return next, nil
}
