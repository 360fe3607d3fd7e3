package sealed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// holder is the attempt that has the request of which this is stored; 0: it is the request itself.
func holder(stored json.RawMessage) int {
	var in standIn
	if json.Unmarshal(stored, &in) != nil {
		return 0
	}
	if again, err := json.Marshal(in); err != nil || !bytes.Equal(again, stored) {
		return 0 // a request with an option of that name
	}
	return in.Sealed
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
	request := u.Request
	if request == nil {
		var err error
		if request, err = s.held(ctx, u.Tx.ID, u.Tx.Attempt); err != nil {
			return err
		}
	}
	stored, payload, err := s.seal(u.Tx.ID, u.Tx.Attempt, request, u.Payload)
	if err != nil {
		return err
	}
	row := *u
	row.Payload = &payload
	if u.Request != nil {
		row.Request = stored
	}
	return s.Store.Update(ctx, f, &row) // what it fills in is in Tx, which is u's
}

// held is the request that came with an attempt, nil if none did. When the attempt is written again, the request must be, too: they are one piece.
// Nobody gives an attempt another request meanwhile: that would be another version of the transaction, which the update finds.
func (s *Store) held(ctx context.Context, id string, attempt int) (json.RawMessage, error) {
	raw, err := s.Store.Request(ctx, id)
	if err != nil || holder(raw) != attempt {
		return nil, err
	}
	if raw, err = s.Request(ctx, id); errors.Is(err, store.ErrWiped) {
		return nil, nil // it has ended meanwhile, which the update finds
	}
	return raw, err
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
	attempt := holder(raw)
	if attempt == 0 {
		return raw, nil
	}
	p, err := s.Store.Payload(ctx, id, attempt)
	if err != nil {
		return nil, err
	}
	if p.Sensitive == nil {
		return nil, fmt.Errorf("request of transaction %s: %w", id, store.ErrWiped)
	}
	plain, err := s.open(id, attempt, p.Sensitive)
	if err != nil {
		return nil, err
	}
	return plain.Request, nil
}

func (s *Store) open(id string, attempt int, piece []byte) (*secret, error) {
	plain, err := s.keys.open(piece, place(id, attempt))
	out := &secret{}
	if err == nil {
		err = json.Unmarshal(plain, out)
	}
	if err != nil {
		return nil, fmt.Errorf("transaction %s, attempt %d: %w: %w", id, attempt, store.ErrSealed, err)
	}
	return out, nil
}
