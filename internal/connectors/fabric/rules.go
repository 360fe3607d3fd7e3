package fabric

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// maxRules bounds how many listeners are remembered as they were compiled, and maxRulesText how long the text of one of them is. At the head each
// block is a session of its own, with the listeners of the one before.
const (
	maxRules     = 4096
	maxRulesText = 4 << 10
)

// rules are listeners as they were compiled, by the text that the core stores of them.
type rules struct {
	mu    sync.Mutex
	known map[string]*compiled // guarded by mu; what is in it does not change
}

// compiled is a listener whose expressions have been compiled.
type compiled struct {
	filtered, invalid bool
	filters           []compiledFilter
}

type compiledFilter struct {
	filter
	event, function func(string) bool
}

// matcher makes a matcher of what Listener resolved.
func (rs *rules) matcher(channel string, listeners []*ffcapi.Listener) (*matcher, error) {
	m := newMatcher(channel)
	for i, l := range listeners {
		c, err := rs.compile(l.Resolved)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "listener %d: %w", i, err)
		}
		m.add(rule{i, c.filtered, c.invalid}, c.filters)
	}
	return m, nil
}

// compile compiles a listener, unless it is known.
func (rs *rules) compile(text json.RawMessage) (*compiled, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if c := rs.known[string(text)]; c != nil {
		return c, nil
	}
	var r resolved
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	filters, err := compileFilters(r.Filters)
	if err != nil {
		return nil, err
	}
	c := &compiled{r.Filtered, r.IncludeInvalid, filters}
	if len(text) > maxRulesText {
		return c, nil
	}
	if rs.known == nil || len(rs.known) >= maxRules {
		rs.known = map[string]*compiled{}
	}
	rs.known[string(text)] = c
	return c, nil
}

// compileFilters compiles filters that have been checked.
func compileFilters(filters []filter) ([]compiledFilter, error) {
	out := make([]compiledFilter, len(filters))
	for i, f := range filters {
		if _, ok := meaning[f.Type]; !ok && f.Type != "" {
			return nil, fmt.Errorf("there are no filters of type %q", f.Type)
		}
		event, err := nameMatcher(f.Event)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", f.Event, err)
		}
		function, err := nameMatcher(f.Function)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", f.Function, err)
		}
		out[i] = compiledFilter{f, event, function}
	}
	return out, nil
}
