package stream

import (
	"context"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// isReplay says that an event is a dead letter that is delivered after all.
func isReplay(e *sink.Event) bool { return strings.Contains(e.Listener.Replay, "/") }

// letterOf names the dead letter of an event.
func letterOf(listener, replay, event string) string {
	base, _, _ := strings.Cut(replay, "/")
	return listener + " " + base + " " + event
}

// ackOne notes an event as acknowledged. The caller holds mu.
func (w *world) ackOne(t *rapid.T, e *sink.Event) {
	if isReplay(e) {
		w.through[letterOf(e.Listener.ID, e.Listener.Replay, e.ID)] = true
		return
	}
	w.byID(t, e.Listener.ID).acked[e.ID] = true
}

// dropped is called by the store for a dead letter that is deleted because it got through.
func (w *world) dropped(l *store.DeadLetter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if letter := letterOf(l.Listener, l.Replay, l.Event); !w.through[letter] && w.broken == "" {
		w.broken = "the dead letter " + letter + " is deleted, and never got through"
	}
}

// replay asks for all dead letters.
func (w *world) replay(t *rapid.T) {
	_, err := w.m.ReplayDeadLetters(context.Background(), "s", &apitypes.DeadLetterSelection{All: true})
	require.NoError(t, err)
}

// refuse finishes one of the open batches with a refusal that may not last: its events may be passed over to find out whether others are taken.
func (w *world) refuse(t *rapid.T) {
	w.settle(t)
	w.mu.Lock()
	for _, d := range w.open {
		for i := range d.Events {
			w.suspected[d.Events[i].Listener.ID+" "+d.Events[i].ID] = true
		}
	}
	w.mu.Unlock()
	w.answer(t, errNack)
}
