package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// AcceptAll implements store.Transactions. The commands are handed in one after the other before any answer is waited for, so that
// they share groups, and keep their order.
func (s *Store) AcceptAll(ctx context.Context, f store.Fence, ns []*store.NewTx) []store.Acceptance {
	commands, jobs := make([]*acceptCmd, len(ns)), make([]*job, len(ns))
	answers := make([]store.Acceptance, len(ns))
	for i, n := range ns {
		c, err := newAccept(n)
		if err == nil {
			jobs[i], err = s.writer.hand(ctx, classAccept, &f, c)
		}
		commands[i], answers[i].Err = c, err
	}
	for i, n := range ns {
		err := answers[i].Err
		if err == nil {
			err = s.writer.answer(ctx, jobs[i])
		}
		answers[i].Accepted, answers[i].Err = s.accepted(ctx, n, commands[i], err)
	}
	return answers
}

// Keys implements store.Transactions.
func (s *Store) Keys(ctx context.Context, keys []string) (map[string]store.UsedKey, error) {
	used := map[string]store.UsedKey{}
	now := toMicros(s.opts.Now())
	err := s.read(ctx, readKeys, func(r row) error {
		if r.int(3) > now || r.flag(4) {
			u := store.UsedKey{Tx: r.text(0)}
			copy(u.BodyHash[:], r.blob(1))
			used[r.text(0)] = u
		}
		return nil
	}, s.texts(keys))
	if err != nil {
		return nil, fmt.Errorf("%d keys: %w", len(keys), err)
	}
	return used, nil
}
