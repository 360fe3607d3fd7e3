package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// References resolves references to secrets.
type References interface {
	// IsReference says whether a text is a reference, and no secret by itself.
	IsReference(text string) bool
	// Check says whether a reference may be resolved. It reads nothing.
	Check(ref string) error
	// Resolve returns what a reference stands for.
	Resolve(ctx context.Context, ref string) (string, error)
}

// Value is a field of a configuration that may be a reference. "" is none.
type Value struct {
	Field  string // relative to the configuration, e.g. "sasl.password"
	Text   *string
	Secret bool // nobody may read it
}

// Settings reads and shows the configuration C of one type of sink. C is a struct of JSON fields; fields of a struct that it points to are read
// and changed one by one, too.
type Settings[C any] struct {
	Example  string // of a whole configuration, as a fix: "give {…}"
	Defaults func() C
	// Check refuses what cannot work, without asking anybody, and brings the rest into its one spelling. Errors are *apitypes.Invalid.
	Check func(c *C) error
	// Values are the fields that c has which may be secret or references.
	Values func(c *C) []Value
	// Same says whether what is sent with the secrets of old may be sent with the same ones as c says: same addresses, and no less care.
	Same       func(c, old *C) bool
	References References
}

// Validate is that of sink.Factory.
func (s *Settings[C]) Validate(raw json.RawMessage) (json.RawMessage, error) {
	c, err := s.read(raw, s.Defaults())
	if err != nil {
		return nil, err
	}
	for _, v := range s.Values(&c) {
		if err := s.checkValue(v); err != nil {
			return nil, err
		}
	}
	if err := s.Check(&c); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

func (s *Settings[C]) checkValue(v Value) error {
	if *v.Text == apitypes.Masked {
		return apitypes.Invalidf(v.Field, "give the value", "is the mask %s, which stands for nothing that is stored for this target", apitypes.Masked)
	}
	if s.References.IsReference(*v.Text) {
		if err := s.References.Check(*v.Text); err != nil {
			return apitypes.Invalidf(v.Field, "use a reference that is allowed", "is refused: %s", err)
		}
	}
	return nil
}

// Mask is that of sink.Confidential. References are shown, because they are no secrets.
func (s *Settings[C]) Mask(raw json.RawMessage) json.RawMessage {
	c, err := s.read(raw, s.Defaults())
	if err != nil {
		return nil // nothing is shown of what is not understood
	}
	s.mask(&c)
	shown, err := json.Marshal(c)
	if err != nil { // texts always encode
		return nil
	}
	return shown
}

func (s *Settings[C]) mask(c *C) {
	for _, v := range s.Values(c) {
		if v.Secret && *v.Text != "" && !s.References.IsReference(*v.Text) {
			*v.Text = apitypes.Masked
		}
	}
}

// Keep is that of sink.Confidential.
func (s *Settings[C]) Keep(raw, stored json.RawMessage) (json.RawMessage, error) {
	old, err := s.read(stored, s.Defaults())
	if err != nil {
		return nil, err
	}
	shown, err := s.read(s.Mask(stored), s.Defaults()) // a copy that shares nothing with old
	if err != nil {
		return nil, err
	}
	c, err := s.read(raw, shown)
	if err != nil {
		return nil, err
	}
	known := make(map[string]string)
	for _, v := range s.Values(&old) {
		known[v.Field] = *v.Text
	}
	same := s.Same(&c, &old)
	for _, v := range s.Values(&c) {
		value := known[v.Field]
		switch {
		case *v.Text != apitypes.Masked:
			continue
		case value == "":
			return nil, apitypes.Invalidf(v.Field, "give the value", "is the mask %s, and nothing is stored that it could stand for", apitypes.Masked)
		case !same && !s.References.IsReference(value):
			return nil, apitypes.Invalidf(v.Field, "give it again for the new target, or null to do without", "is stored for another target, and is not sent elsewhere")
		}
		*v.Text = value
	}
	return json.Marshal(c)
}

// Open reads what Validate returned.
func (s *Settings[C]) Open(stored json.RawMessage) (C, error) { return s.read(stored, s.Defaults()) }

// Reveal returns a copy of a configuration with the secrets that its references stand for now, and what makes texts safe to show. Errors are
// *apitypes.Invalid where a reference is at fault.
func (s *Settings[C]) Reveal(ctx context.Context, c *C) (*C, *Redactor, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	known, err := s.read(raw, s.Defaults())
	if err != nil {
		return nil, nil, err
	}
	r := new(Redactor)
	for _, v := range s.Values(&known) {
		hidden := v.Secret
		if s.References.IsReference(*v.Text) {
			hidden = true
			if *v.Text, err = s.References.Resolve(ctx, *v.Text); err != nil {
				return nil, nil, unresolved(ctx, v.Field, err)
			}
		}
		if hidden {
			r.hide(*v.Text)
		}
	}
	return &known, r, nil
}

// unresolved is the error of a reference: it names the field, as an *apitypes.Invalid if the reference is at fault, and not what it is read from.
func unresolved(ctx context.Context, field string, err error) error {
	var passing interface{ Temporary() bool }
	if ctx.Err() != nil || errors.As(err, &passing) && passing.Temporary() {
		return fmt.Errorf("%s: %w", field, err)
	}
	return &referenceError{apitypes.Invalidf(field, "use a reference that can be read, or give the value", "%s", err)}
}

// referenceError is shown in one line with what a delivery fails with otherwise.
type referenceError struct{ bad *apitypes.Invalid }

func (e *referenceError) Error() string { return e.bad.Field + ": " + e.bad.Problem }
func (e *referenceError) Unwrap() error { return e.bad }

func (s *Settings[C]) read(raw json.RawMessage, onto C) (C, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return onto, nil
	}
	err := decode("", s.Example, raw, &onto, s.Defaults())
	return onto, err
}
