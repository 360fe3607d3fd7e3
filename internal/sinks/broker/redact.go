package broker

import (
	"errors"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Redactor takes secrets out of texts. The zero value and nil know none.
type Redactor struct{ secrets []string }

// hide notes what must not be shown. Very short texts would be found everywhere, and are no secrets.
func (r *Redactor) hide(text string) {
	const shortest = 4
	if len(text) >= shortest && !slices.Contains(r.secrets, text) {
		r.secrets = append(r.secrets, text)
	}
}

// Text is a text without the secrets.
func (r *Redactor) Text(text string) string {
	if r == nil {
		return text
	}
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, apitypes.Masked)
	}
	return text
}

// Error is an error without the secrets, which means to the engine what err does.
func (r *Redactor) Error(err error) error {
	if err == nil || r.Text(err.Error()) == err.Error() {
		return err
	}
	var later *sink.RetryAfter
	if errors.As(err, &later) {
		return &sink.RetryAfter{After: later.After, Err: errors.New(r.Text(later.Err.Error()))}
	}
	shown := errors.New(r.Text(err.Error()))
	switch {
	case sink.IsPermanent(err):
		return sink.Permanent(shown)
	case sink.IsRefused(err):
		return sink.Refused(shown)
	}
	return shown
}
