package stream

import (
	"context"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

func (f *fakeStore) Positions(_ context.Context, streams []string) ([]store.Position, error) {
	leave, err := f.enter("Positions")
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []store.Position
	for _, l := range f.listeners {
		if !slices.Contains(streams, l.StreamID) {
			continue
		}
		p := store.Position{Stream: l.StreamID, Type: l.Type, Ledger: l.Resolved.Ledger, Cursor: l.Resolved.Start, ToBlock: l.ToBlock}
		if cp, ok := f.cps[l.ID]; ok {
			p.Cursor = cp.Cursor
		}
		all = append(all, p)
	}
	return all, nil
}

func (f *fakeStore) CountDeadLetters(_ context.Context, streams []string) (map[string]store.LetterCount, error) {
	leave, err := f.enter("CountDeadLetters")
	if err != nil {
		return nil, err
	}
	defer leave()
	counts := make(map[string]store.LetterCount)
	for _, l := range f.letters {
		if slices.Contains(streams, l.Stream) {
			n := counts[l.Stream]
			if n.All++; !l.ReplayAsked.IsZero() {
				n.Replays++
			}
			counts[l.Stream] = n
		}
	}
	return counts, nil
}
