package expr

import (
	"github.com/itchyny/gojq"
)

// path counts the keys of a path. With grow, arrays are made as long as they say.
func (m *meter) path(v any, grow bool) error {
	list, ok := v.([]any)
	if !ok {
		return nil // the interpreter says so
	}
	for _, k := range list {
		if err := m.spend(1); err != nil {
			return err
		}
		if err := m.key(k, grow); err != nil {
			return err
		}
	}
	return nil
}

// look counts what lies on a path that is read: a string is looked into character by character.
func (m *meter) look(v, p any) error {
	if err := m.path(p, false); err != nil {
		return err
	}
	list, _ := p.([]any)
	for _, k := range list {
		if s, ok := v.(string); ok {
			return m.flat(s)
		}
		v = member(v, k)
	}
	return nil
}

// along counts the copies of what lies on a path that is assigned to.
func (m *meter) along(v, p any) error {
	list, ok := p.([]any)
	if !ok {
		return nil
	}
	if len(list) > maxDepth {
		return m.fail(errDepth)
	}
	for _, k := range list {
		if err := m.flat(v); err != nil {
			return err
		}
		if err := m.spend(4); err != nil { // it may make an object
			return err
		}
		if s, ok := k.(map[string]any); ok {
			v = slice(v, s)
			continue
		}
		if err := m.key(k, true); err != nil {
			return err
		}
		v = member(v, k)
	}
	return nil
}

// slice is the part of an array that .[a:b] finds, nil if none. One of its ends may be off by one, where it is given by a fraction.
func slice(v any, k map[string]any) any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	from, to := 0, len(list)
	if n, ok := gojq.ToInt(k["start"]); ok {
		from = place(n, len(list))
	}
	if n, ok := gojq.ToInt(k["end"]); ok {
		to = place(n, len(list))
	}
	return list[min(from, to):to]
}

// place is n in a list of some length, from whose end it counts if it is negative.
func place(n, length int) int {
	if n < 0 {
		n = n + length
	}
	return min(max(n, 0), length)
}

// member is what a key finds in a value, nil if nothing.
func member(v, k any) any {
	switch v := v.(type) {
	case map[string]any:
		if s, ok := k.(string); ok {
			return v[s]
		}
	case []any:
		if n, ok := gojq.ToInt(k); ok {
			if n < 0 {
				n += len(v)
			}
			if n >= 0 && n < len(v) {
				return v[n]
			}
		}
	}
	return nil
}

// reach counts a path that is assigned to among others, when what lies on it has been counted: it is walked along, and a part of an array, .[a:b],
// may be copied for each.
func (m *meter) reach(v, p any) error {
	list, ok := p.([]any)
	if !ok {
		return nil
	}
	if err := m.spend(len(list) / 2); err != nil {
		return err
	}
	for _, k := range list {
		s, ok := k.(map[string]any)
		if !ok {
			v = member(v, k)
			continue
		}
		if err := m.flat(v); err != nil {
			return err
		}
		v = slice(v, s)
	}
	return nil
}

// deletes counts a value that is walked through, and the paths that are deleted from it.
func (m *meter) deletes(v, p any) error {
	if err := each(func(m *meter, v any) error { return m.tree(v, 1) })(m, v, p); err != nil {
		return err
	}
	list, _ := p.([]any)
	for _, p := range list {
		if err := m.reach(v, p); err != nil {
			return err
		}
	}
	return nil
}
