package fabric

import (
	"bytes"
	"encoding/json"
	"strings"
)

// method is a function of a chaincode, as a name or as FireFly's interface format (FFI) describes it. The rest of a description is documentation.
type method struct {
	Name   string   `json:"name"`
	Params []*param `json:"params"` // nil: they are not described
}

// param is a described parameter.
type param struct {
	Name string `json:"name"`
}

func readMethod(raw json.RawMessage) (*method, error) {
	m := &method{}
	if json.Unmarshal(raw, &m.Name) != nil {
		if err := json.Unmarshal(raw, m); err != nil {
			m.Name = ""
		}
	}
	if m.Name == "" {
		return nil, invalid("method", `it must be the name of a function, or an object with a "name", and optionally its "params" as a list of objects with a "name"`)
	}
	return m, nil
}

// order returns the arguments of a call in the order of the described parameters. They are given in that order, or as one object that has the
// parameters' names; of a method with one parameter, an object is that parameter, since a chaincode may well take one that looks like it.
func (m *method) order(given []json.RawMessage) ([]json.RawMessage, error) {
	if m.Params == nil || len(given) == len(m.Params) {
		return given, nil
	}
	named := map[string]json.RawMessage{}
	if len(given) != 1 || !isObject(given[0]) || json.Unmarshal(given[0], &named) != nil {
		return nil, invalid("params", "%s takes %d (%s), %d are given", m.Name, len(m.Params), m.names(), len(given))
	}
	out := make([]json.RawMessage, 0, len(m.Params))
	for _, p := range m.Params {
		value, ok := named[p.name()]
		if !ok {
			return nil, invalid("params", "%s takes %s: %q is missing", m.Name, m.names(), p.name())
		}
		out = append(out, value)
		delete(named, p.name())
	}
	for name := range named {
		return nil, invalid("params", "%s takes %s: there is no %q", m.Name, m.names(), name)
	}
	return out, nil
}

func (m *method) names() string {
	names := make([]string, len(m.Params))
	for i, p := range m.Params {
		names[i] = p.name()
	}
	return strings.Join(names, ", ")
}

func (p *param) name() string {
	if p == nil {
		return ""
	}
	return p.Name
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && raw[0] == '{'
}
