package stream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// DeadLetters lists up to limit dead letters of a stream, in the order in which they were set aside, without their events. A selection that names
// nothing selects all.
func (m *Manager) DeadLetters(ctx context.Context, idOrName string, sel *apitypes.DeadLetterSelection, limit int) ([]*apitypes.DeadLetter, error) {
	_, flt, err := m.selected(ctx, idOrName, sel)
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = defaultPage
	}
	letters, err := m.opts.Store.ListDeadLetters(ctx, flt, limit)
	if err != nil {
		return nil, err
	}
	list := make([]*apitypes.DeadLetter, len(letters))
	for i, l := range letters {
		list[i] = letterBody(l)
	}
	return list, nil
}

// DeadLetter returns a dead letter with its event.
func (m *Manager) DeadLetter(ctx context.Context, idOrName, id string) (*apitypes.DeadLetter, error) {
	_, l, err := m.letter(ctx, idOrName, id)
	if err != nil {
		return nil, err
	}
	return letterBody(l), nil
}

// ReplayDeadLetter has a dead letter delivered after all: when the stream runs, and has a receiver. It returns when that is sure to happen, or
// has happened meanwhile.
func (m *Manager) ReplayDeadLetter(ctx context.Context, idOrName, id string) (*apitypes.DeadLetter, error) {
	s, l, err := m.letter(ctx, idOrName, id)
	if err != nil {
		return nil, err
	}
	n, err := m.replay(ctx, s, one(l))
	if err != nil {
		return nil, err
	}
	if l.ReplayAsked.IsZero() {
		if n == 0 {
			return nil, fmt.Errorf("dead letter %s: %w", id, store.ErrNotFound)
		}
		l.ReplayAsked = m.opts.Now()
	}
	return letterBody(l), nil
}

// ReplayDeadLetters is ReplayDeadLetter of many, and returns how many they are. What to replay must be named, or All set.
func (m *Manager) ReplayDeadLetters(ctx context.Context, idOrName string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error) {
	s, flt, err := m.chosen(ctx, idOrName, sel)
	if err != nil {
		return nil, err
	}
	n, err := m.replay(ctx, s, flt)
	return &apitypes.DeadLetterCount{Count: n}, err
}

// DeleteDeadLetter deletes a dead letter: its event is not delivered any more.
func (m *Manager) DeleteDeadLetter(ctx context.Context, idOrName, id string) error {
	_, l, err := m.letter(ctx, idOrName, id)
	if err != nil {
		return err
	}
	_, err = m.opts.Store.DeleteDeadLetters(ctx, m.opts.Fence(), one(l))
	return err
}

// DeleteDeadLetters is DeleteDeadLetter of many, and returns how many they were. What to delete must be named, or All set.
func (m *Manager) DeleteDeadLetters(ctx context.Context, idOrName string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error) {
	_, flt, err := m.chosen(ctx, idOrName, sel)
	if err != nil {
		return nil, err
	}
	n, err := m.opts.Store.DeleteDeadLetters(ctx, m.opts.Fence(), flt)
	return &apitypes.DeadLetterCount{Count: n}, err
}

// replay stores the wish and tells the run of it. One that begins later finds it in the store.
func (m *Manager) replay(ctx context.Context, s *stream, flt store.LetterFilter) (int64, error) {
	n, err := m.opts.Store.AskReplay(ctx, m.opts.Fence(), flt)
	signal(s.replay) // some may have been asked for before an error
	return n, err
}

func (m *Manager) letter(ctx context.Context, idOrName, id string) (*stream, *store.DeadLetter, error) {
	s, err := m.find(idOrName)
	if err != nil {
		return nil, nil, err
	}
	l, err := m.opts.Store.DeadLetter(ctx, s.id, strings.ToLower(id))
	return s, l, err
}

// one selects a dead letter by its place.
func one(l *store.DeadLetter) store.LetterFilter {
	return store.LetterFilter{Stream: l.Stream, After: l.Seq - 1, Before: l.Seq + 1}
}

// chosen is selected, but for a selection that names nothing: what changes all must say so.
func (m *Manager) chosen(ctx context.Context, idOrName string, sel *apitypes.DeadLetterSelection) (*stream, store.LetterFilter, error) {
	rest := *sel
	rest.All = false
	none := rest == (apitypes.DeadLetterSelection{})
	switch {
	case none && !sel.All:
		return nil, store.LetterFilter{}, apitypes.Invalidf("all", "name some by after, before, listener, kind, since or until, or set it to true for all dead letters of the stream", "is not set")
	case !none && sel.All:
		return nil, store.LetterFilter{}, apitypes.Invalidf("all", "leave it out, or what else is named", "is set, and yet not all are selected")
	}
	return m.selected(ctx, idOrName, sel)
}

// selected checks a selection and finds its stream.
func (m *Manager) selected(ctx context.Context, idOrName string, sel *apitypes.DeadLetterSelection) (*stream, store.LetterFilter, error) {
	var none store.LetterFilter
	s, err := m.find(idOrName)
	if err != nil {
		return nil, none, err
	}
	flt := store.LetterFilter{Stream: s.id, Since: moment(sel.Since), Until: moment(sel.Until)}
	if flt.After, err = sequence("after", sel.After); err != nil {
		return nil, none, err
	}
	if flt.Before, err = sequence("before", sel.Before); err != nil {
		return nil, none, err
	}
	switch kind := strings.ToLower(sel.Kind); kind {
	case "", store.LetterPermanent, store.LetterRefused, store.LetterExpression:
		flt.Kind = kind
	default:
		return nil, none, apitypes.Invalidf("kind", fmt.Sprintf("must be one of %s, %s, %s", store.LetterPermanent, store.LetterRefused, store.LetterExpression), "is %q", sel.Kind)
	}
	if flt.Listener, err = m.listenerCalled(ctx, s.id, sel.Listener); err != nil {
		return nil, none, err
	}
	return s, flt, nil
}

// sequence reads the place of a dead letter.
func sequence(field, given string) (int64, error) {
	if given == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(given, 10, 64)
	if err != nil || n < 1 {
		return 0, apitypes.Invalidf(field, "give the sequence of a dead letter, a whole number from 1 on", "is %q", given)
	}
	return n, nil
}

// listenerCalled turns the name of a listener into its id. What is no name is taken for an id, since dead letters outlive their listeners.
func (m *Manager) listenerCalled(ctx context.Context, stream, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	all, err := m.storedListeners(ctx, stream)
	if err != nil {
		return "", err
	}
	for _, l := range all {
		if l.Name == idOrName {
			return l.ID, nil
		}
	}
	if id, err := parseID(idOrName); err == nil {
		return id.String(), nil
	}
	return "", apitypes.Invalidf("listener", "give the name of a listener of the stream or, of one that is deleted, its id", "is %q", idOrName)
}

func moment(t *fftypes.FFTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}

// letterBody is a dead letter as the API shows it.
func letterBody(l *store.DeadLetter) *apitypes.DeadLetter {
	return &apitypes.DeadLetter{
		ID: l.ID, Sequence: strconv.FormatInt(l.Seq, 10), StreamID: l.Stream, ListenerID: l.Listener, ListenerName: l.ListenerName, EventID: l.Event,
		BlockNumber: strconv.FormatUint(l.Block, 10), Kind: l.Kind, Error: l.Error, Attempts: l.Attempts,
		FirstFailed: fftime(l.FirstFailed), LastFailed: fftime(l.LastFailed), ReplayRequested: fftime(l.ReplayAsked), Event: l.Payload,
	}
}
