package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// declaredStream is a stream in the form of POST /eventstreams, with its listeners.
type declaredStream struct {
	apitypes.EventStream
	Listeners []json.RawMessage `json:"listeners"`
}

// DeclaredStream reads a stream that is declared outside of a request: the body of POST /eventstreams, in which listeners is an array of
// bodies of POST /eventstreams/{streamId}/listeners. What the server sets is refused. Errors are *apitypes.Invalid, and name the field.
func DeclaredStream(raw json.RawMessage) (*apitypes.EventStream, []*apitypes.Listener, error) {
	var d declaredStream
	if err := declared("", raw, &d, shape{of: "an event stream"}); err != nil {
		return nil, nil, err
	}
	s := &d.EventStream
	err := onlyOutput("", output{"id", s.ID != nil}, output{"created", s.Created != nil}, output{"updated", s.Updated != nil},
		output{"managedBy", s.ManagedBy != ""}, output{"undeclared", s.Undeclared})
	if err != nil {
		return nil, nil, err
	}
	list := make([]*apitypes.Listener, 0, len(d.Listeners))
	for i, one := range d.Listeners {
		l, err := declaredListener(fmt.Sprintf("listeners[%d]", i), one)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, l)
	}
	return s, list, nil
}

func declaredListener(path string, raw json.RawMessage) (*apitypes.Listener, error) {
	l := &apitypes.Listener{}
	if err := declared(path, raw, l, shape{of: "a listener"}); err != nil {
		return nil, err
	}
	if l.Stream != nil {
		return nil, apitypes.Invalidf(path+".stream", "leave it out", "is the stream that the listener stands in")
	}
	return l, onlyOutput(path+".", output{"id", l.ID != nil}, output{"created", l.Created != nil}, output{"updated", l.Updated != nil},
		output{"signature", l.Signature != nil}, output{"managedBy", l.ManagedBy != ""}, output{"undeclared", l.Undeclared})
}

// output is a field that the server sets.
type output struct {
	name  string
	given bool
}

// onlyOutput refuses the first of the fields that is given.
func onlyOutput(path string, fields ...output) error {
	for _, f := range fields {
		if f.given {
			return apitypes.Invalidf(path+f.name, "leave it out", "is set by the server")
		}
	}
	return nil
}

// declared binds an object to dst.
func declared(path string, raw json.RawMessage, dst any, s shape) error {
	err := checkObject(raw)
	switch {
	case err == nil:
		return underPath(path, bind(raw, dst, s))
	case !json.Valid(raw) || raw[skipSpace(raw, 0)] != '{':
		return apitypes.Invalidf(path, "give "+s.of, "is %s", show(raw))
	case !utf8.Valid(raw):
		return apitypes.Invalidf(path, "write it in UTF-8", "has bytes that are none of UTF-8")
	default:
		return apitypes.Invalidf(path, fmt.Sprintf("nest %d levels at most", maxDepth), "is nested deeper")
	}
}

// underPath puts a path before the field that an error names.
func underPath(path string, err error) error {
	if err == nil {
		return nil
	}
	inv := &apitypes.Invalid{}
	var own *coded
	if !errors.As(err, &inv) {
		inv = &apitypes.Invalid{Problem: err.Error()}
	}
	if errors.As(err, &own) && own.code == msgs.UnknownField {
		name, quoted := strconv.Unquote(own.inserts[0])
		if quoted != nil {
			name = own.inserts[0]
		}
		inv = &apitypes.Invalid{Field: name, Problem: "is not a field of " + own.inserts[1], Fix: own.inserts[2]}
	}
	field := inv.Field
	if path != "" && field != "" {
		field = path + "." + field
	} else {
		field = path + field
	}
	return &apitypes.Invalid{Field: field, Problem: inv.Problem, Fix: inv.Fix}
}
