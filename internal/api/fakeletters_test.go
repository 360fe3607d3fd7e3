package api

import (
	"context"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func (f *fakeStreams) DeadLetters(_ context.Context, stream string, sel *apitypes.DeadLetterSelection, limit int) ([]*apitypes.DeadLetter, error) {
	return nil, f.call("DeadLetters", stream, sel, limit)
}

func (f *fakeStreams) DeadLetter(_ context.Context, stream, id string) (*apitypes.DeadLetter, error) {
	return &apitypes.DeadLetter{ID: id}, f.call("DeadLetter", stream, id)
}

func (f *fakeStreams) ReplayDeadLetter(_ context.Context, stream, id string) (*apitypes.DeadLetter, error) {
	return &apitypes.DeadLetter{ID: id}, f.call("ReplayDeadLetter", stream, id)
}

func (f *fakeStreams) ReplayDeadLetters(_ context.Context, stream string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error) {
	return &apitypes.DeadLetterCount{Count: 3}, f.call("ReplayDeadLetters", stream, sel)
}

func (f *fakeStreams) DeleteDeadLetter(_ context.Context, stream, id string) error {
	return f.call("DeleteDeadLetter", stream, id)
}

func (f *fakeStreams) DeleteDeadLetters(_ context.Context, stream string, sel *apitypes.DeadLetterSelection) (*apitypes.DeadLetterCount, error) {
	return &apitypes.DeadLetterCount{Count: 4}, f.call("DeleteDeadLetters", stream, sel)
}
