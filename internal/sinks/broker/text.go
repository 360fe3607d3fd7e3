package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// expression is what a text that is a jq expression begins with.
const expression = "="

// Text is a setting that is the same for all messages or comes out of each: what follows "=" is a jq expression over the event.
type Text struct {
	field   string
	fixed   string
	program program // nil: fixed
	path    path    // if program is nothing else
	check   func(text string) error
}

// program is a compiled expression.
type program interface {
	Value(ctx context.Context, event []byte) (out []byte, some bool, err error)
}

// NewText reads a setting. check, if there is one, refuses what cannot be a value of it, in words that follow the field; it is asked for the
// fixed text now, and for what comes out of an expression then. Errors are *apitypes.Invalid.
func NewText(compiler *expr.Compiler, field, source string, check func(text string) error) (*Text, error) {
	t := &Text{field: field, fixed: source, check: check}
	text, ok := strings.CutPrefix(source, expression)
	if !ok {
		if strings.HasPrefix(source, ".") {
			return nil, apitypes.Invalidf(field, `write "`+expression+source+`" for a jq expression over the event`, "begins with a dot")
		}
		if source != "" && check != nil {
			if err := check(source); err != nil {
				return nil, apitypes.Invalidf(field, `give a text that can be used, or a jq expression such as "=.blockNumber"`, "%s", err)
			}
		}
		return t, nil
	}
	compiled, err := compiler.Compile(text)
	if err != nil {
		return nil, apitypes.Invalidf(field, `give "=" and a jq expression, such as "=.data.id"`, "is no expression: %s", err)
	}
	t.program, t.path = compiled, pathOf(text)
	return t, nil
}

// Fixed is the text if it is the same for all messages. "" may be none.
func (t *Text) Fixed() (text string, ok bool) { return t.fixed, t.program == nil }

// Of is the text of a message made of some JSON. Numbers, true and false are taken as they are written. An error that is Permanent says that this
// event has none; any other says nothing about it.
func (t *Text) Of(ctx context.Context, event []byte) (string, error) {
	if t.program == nil {
		return t.fixed, nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if text, ok := t.path.of(event); ok {
		return t.checked(text)
	}
	out, some, err := t.program.Value(ctx, event)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case errors.Is(err, expr.ErrTime): // the machine may have been busy
		return "", fmt.Errorf("%s: %w", t.field, err)
	case err != nil:
		return "", t.bad(err.Error())
	case !some:
		return "", t.bad("the expression puts out nothing")
	}
	text := string(out)
	switch out[0] {
	case '"':
		if err := json.Unmarshal(out, &text); err != nil {
			return "", t.bad(err.Error())
		}
	case 'n', '{', '[':
		return "", t.bad("the expression gives " + map[byte]string{'n': "null", '{': "an object", '[': "a list"}[out[0]] + " for this event, and a text is needed")
	}
	return t.checked(text)
}

func (t *Text) checked(text string) (string, error) {
	if t.check != nil {
		if err := t.check(text); err != nil {
			return "", t.bad("what the expression gives for this event " + err.Error())
		}
	}
	return text, nil
}

func (t *Text) bad(problem string) error {
	return sink.Permanent(errors.New(t.field + ": " + problem))
}
