package sealed

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Store is a store that keeps what is secret encrypted.
type Store struct {
	store.Store
	keys *Keys
}

// New puts encryption before a store.
func New(s store.Store, keys *Keys) *Store { return &Store{Store: s, keys: keys} }

// secret is what is encrypted of an attempt.
type secret struct {
	Request  json.RawMessage `json:"request,omitempty"` // where it came with this attempt
	Prepared []byte          `json:"prepared"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// standIn is stored in place of a request that is secret. It is no request: every request names its signer.
type standIn struct {
	Sealed int `json:"sealed"` // the attempt that has it
}

// place names an attempt.
func place(tx string, attempt int) string { return strconv.Itoa(attempt) + " " + tx }

// seal makes what is stored of an attempt.
func (s *Store) seal(tx string, attempt int, request json.RawMessage, p *store.Payload) (stored json.RawMessage, sealed store.Payload, err error) {
	plain, err := json.Marshal(secret{Request: request, Prepared: p.Prepared, Result: p.Result})
	if err == nil {
		sealed.Sensitive, err = s.keys.seal(plain, place(tx, attempt))
	}
	if err != nil {
		return nil, sealed, fmt.Errorf("transaction %s: %w: %w", tx, store.ErrNoKey, err)
	}
	if request != nil {
		stored, err = json.Marshal(standIn{Sealed: attempt})
	}
	return stored, sealed, err
}

// Accept implements store.Transactions.
func (s *Store) Accept(ctx context.Context, f store.Fence, n *store.NewTx) (*store.Accepted, error) {
	n, err := s.sealNew(n)
	if err != nil {
		return nil, err
	}
	return s.Store.Accept(ctx, f, n)
}

// AcceptAll implements store.Transactions.
func (s *Store) AcceptAll(ctx context.Context, f store.Fence, ns []*store.NewTx) []store.Acceptance {
	answers := make([]store.Acceptance, len(ns))
	var rows []*store.NewTx
	var at []int // where the answers of rows go
	for i, n := range ns {
		row, err := s.sealNew(n)
		if err != nil {
			answers[i].Err = err
			continue
		}
		rows, at = append(rows, row), append(at, i)
	}
	for i, a := range s.Store.AcceptAll(ctx, f, rows) {
		answers[at[i]] = a
	}
	return answers
}

// sealNew returns n, or what is stored in its place; the caller keeps n as it is.
func (s *Store) sealNew(n *store.NewTx) (*store.NewTx, error) {
	if !n.Payload.Secret {
		return n, nil
	}
	row := *n
	var err error
	row.Request, row.Payload, err = s.seal(n.Tx.ID, 1, n.Request, &n.Payload)
	return &row, err
}

// Update implements store.Transactions.
func (s *Store) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	if u.Payload == nil || !u.Payload.Secret {
		return s.Store.Update(ctx, f, u)
	}
	request, payload, err := s.seal(u.Tx.ID, u.Tx.Attempt, u.Request, u.Payload)
	if err != nil {
		return err
	}
	row := *u
	row.Request, row.Payload = request, &payload
	return s.Store.Update(ctx, f, &row) // what it fills in is in Tx, which is u's
}

// Payload implements store.Transactions.
func (s *Store) Payload(ctx context.Context, id string, attempt int) (*store.Payload, error) {
	p, err := s.Store.Payload(ctx, id, attempt)
	if err != nil || p.Sensitive == nil {
		return p, err
	}
	plain, err := s.open(id, attempt, p.Sensitive)
	if err != nil {
		return nil, err
	}
	return &store.Payload{Prepared: plain.Prepared, Result: plain.Result, Secret: true}, nil
}

// Request implements store.Transactions. store.ErrWiped: it was secret, and the transaction has ended.
func (s *Store) Request(ctx context.Context, id string) (json.RawMessage, error) {
	raw, err := s.Store.Request(ctx, id)
	if err != nil {
		return nil, err
	}
	var in standIn
	if err := json.Unmarshal(raw, &in); err != nil || in.Sealed == 0 {
		return raw, nil //nolint:nilerr // whatever it is, it is not ours
	}
	p, err := s.Store.Payload(ctx, id, in.Sealed)
	if err != nil {
		return nil, err
	}
	if p.Sensitive == nil {
		return nil, fmt.Errorf("request of transaction %s: %w", id, store.ErrWiped)
	}
	plain, err := s.open(id, in.Sealed, p.Sensitive)
	if err != nil {
		return nil, err
	}
	return plain.Request, nil
}

func (s *Store) open(id string, attempt int, piece []byte) (*secret, error) {
	plain, err := s.keys.open(piece, place(id, attempt))
	if err != nil {
		return nil, fmt.Errorf("transaction %s, attempt %d: %w", id, attempt, err)
	}
	out := &secret{}
	if err := json.Unmarshal(plain, out); err != nil {
		return nil, fmt.Errorf("transaction %s, attempt %d: %w", id, attempt, err)
	}
	return out, nil
}
