package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// declaredStream is a stream in the form of POST /eventstreams, with its listeners.
type declaredStream struct {
	apitypes.EventStream
	Listeners []json.RawMessage `json:"listeners"`
}

// DeclaredStream reads a stream that is declared outside of a request: the body of POST /eventstreams, in which listeners is an array of
// bodies of POST /eventstreams/{streamId}/listeners. Aliases are resolved. Errors are *apitypes.Invalid, and name the field.
func DeclaredStream(raw json.RawMessage) (*apitypes.EventStream, []*apitypes.Listener, error) {
	var d declaredStream
	if err := declared("", raw, &d, shape{of: "an event stream"}); err != nil {
		return nil, nil, err
	}
	if err := resolveStream(&d.EventStream); err != nil {
		return nil, nil, err
	}
	s := &d.EventStream
	if err := onlyOutput("", s.ID != nil, s.Created != nil, s.Updated != nil, s.ManagedBy != "" || s.Undeclared); err != nil {
		return nil, nil, err
	}
	list := make([]*apitypes.Listener, 0, len(d.Listeners))
	for i, one := range d.Listeners {
		path := fmt.Sprintf("listeners[%d]", i)
		l := &apitypes.Listener{}
		err := declared(path, one, l, shape{of: "a listener"})
		if err == nil {
			lower(l.Type)
			err = underPath(path, resolveListener(l))
		}
		if err == nil {
			err = onlyOutput(path+".", l.ID != nil, l.Created != nil, l.Updated != nil, l.ManagedBy != "" || l.Undeclared)
		}
		if err == nil && (l.Stream != nil || l.Signature != nil) {
			err = apitypes.Invalidf(path, "leave stream and signature out", "names its stream, or a signature")
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, l)
	}
	return s, list, nil
}

// onlyOutput refuses what the server sets.
func onlyOutput(path string, id, created, updated, managed bool) error {
	for name, given := range map[string]bool{"id": id, "created": created, "updated": updated, "managedBy": managed} {
		if given {
			return apitypes.Invalidf(path+name, "leave it out", "is set by the server")
		}
	}
	return nil
}

// declared binds an object to dst.
func declared(path string, raw json.RawMessage, dst any, s shape) error {
	if err := checkObject(raw); err != nil {
		return apitypes.Invalidf(path, "give "+s.of, "is %s", show(raw))
	}
	return underPath(path, bind(raw, dst, s))
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
