package devledger

import (
	"encoding/json"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// maxPeriodTable bounds the table of a matcher. Sets of listeners with a longer period are matched event by event.
const maxPeriodTable = 1 << 14

// matcher tells which listeners of a query an event is for. What it returns is shared between events and never changed.
type matcher struct {
	assets map[string]*[eventCount][]int // by contract and event
	filter [][]filter                    // by listener
	period int                           // made-up events i and i+period match the same listeners; 0: no table
	table  [][]int                       // by i%period
	synth  bool                          // some listener wants made-up events
	// density is the share of the made-up events that match at all, as far as it is known.
	density float64
}

func newMatcher(listeners []*ffcapi.Listener) (*matcher, error) {
	m := &matcher{filter: make([][]filter, len(listeners)), period: 1, assets: map[string]*[eventCount][]int{}}
	for i, l := range listeners {
		var r resolved
		if err := json.Unmarshal(l.Resolved, &r); err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "listener %s: not made by this connector: %w", l.Signature, err)
		}
		m.filter[i] = r.Filters
		for _, f := range r.Filters {
			if f.Contract != "" {
				m.assets[f.Contract] = nil
				continue
			}
			if f.Mod < 1 {
				return nil, ffcapi.Errorf(ffcapi.Internal, "listener %s: not made by this connector: mod %d", l.Signature, f.Mod)
			}
			m.synth = true
			if m.period > 0 {
				if m.period = lcm(m.period, f.Mod); m.period > maxPeriodTable {
					m.period = 0
				}
			}
		}
	}
	for contract := range m.assets {
		m.assets[contract] = &[eventCount][]int{}
		for e := noEvent + 1; e < eventCount; e++ {
			m.assets[contract][e] = m.match(nil, func(f filter) bool { return f.matchesAsset(contract, e) })
		}
	}
	m.table = make([][]int, m.period)
	for i := range m.table {
		if m.table[i] = m.match(nil, func(f filter) bool { return f.matchesSynthetic(i) }); len(m.table[i]) > 0 {
			m.density += 1 / float64(m.period)
		}
	}
	return m, nil
}

// match appends the indexes of the listeners that have a filter that wants the event.
func (m *matcher) match(out []int, wants func(filter) bool) []int {
	for i, filters := range m.filter {
		for _, f := range filters {
			if wants(f) {
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// wanted returns the listeners of an event of a contract.
func (m *matcher) wanted(contract string, e event) []int {
	if by := m.assets[contract]; by != nil {
		return by[e]
	}
	return nil
}

// made returns the listeners of made-up event i.
func (m *matcher) made(i int) []int {
	if m.period > 0 {
		return m.table[i%m.period]
	}
	return m.match(nil, func(f filter) bool { return f.matchesSynthetic(i) })
}

func lcm(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
