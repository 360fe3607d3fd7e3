package sqlstore

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

// way is an index that transactions can be walked by in the order of acceptance, and what remains to be checked of each.
type way struct {
	from string   // FROM clause
	walk string   // the same for a walk over the index alone
	seq  string   // the column that is ordered
	lead string   // the column of the index before it, where the database must be led to the index by the order
	own  []clause // what the index answers
	rest []clause // what it does not
}

// search is a filter as SQL: the ways to answer it, the most promising first.
type search struct {
	ways      []way
	bounds    []clause // of what is ordered, on every way; its column goes before
	ascending bool
}

// newSearch plans a search of a share for one set of statuses of which an index knows, see statusSets.
func newSearch(d dialect, flt store.TxFilter, statuses []store.TxStatus, sh share) (*search, error) {
	s := &search{ascending: flt.Ascending, bounds: sh.bound()}
	if flt.After != 0 {
		op := " < ?"
		if flt.Ascending {
			op = " > ?"
		}
		s.bounds = append(s.bounds, clause{op, []any{flt.After}})
	}
	parts, err := s.parts(d, flt, statuses)
	if err != nil {
		return nil, err
	}
	rest := func(but int) (checks []clause) {
		for i, p := range parts {
			if i != but {
				checks = append(checks, p.check)
			}
		}
		return checks
	}
	for i, p := range parts {
		if p.way.from != "" && !sh.tail { // all of a tail is nothing to walk over
			p.way.rest = rest(i)
			s.ways = append(s.ways, p.way)
		}
	}
	if len(s.ways) == 0 {
		w := d.walking("", leader{})
		w.rest = rest(-1)
		s.ways = []way{w}
	}
	return s, nil
}

// part is one thing that a filter asks for.
type part struct {
	way   way    // that answers it; nothing if no index does
	check clause // that checks it on any other way
}

// parts takes a filter apart. What is about the order itself goes to the bounds.
func (s *search) parts(d dialect, flt store.TxFilter, statuses []store.TxStatus) (parts []part, err error) {
	for _, n := range slices.Sorted(maps.Keys(flt.Labels)) {
		own := []any{n, flt.Labels[n]}
		parts = append(parts, part{
			way{from: d.labelled(), walk: "tx_labels l", seq: "l.tx", own: []clause{{"l.name = ? AND l.value = ?", own}}},
			clause{"EXISTS (SELECT 1 FROM tx_labels x WHERE x.name = ? AND x.value = ? AND x.tx = tx.seq)", own},
		})
	}
	signers, matches := signersOf(flt)
	for _, signer := range signers {
		parts = append(parts, part{d.bySigner(signer), clause{"tx.signer = ?", []any{signer}}})
	}
	for _, m := range matches {
		c, err := d.match(m)
		switch {
		case err != nil:
			return nil, err
		case exactly(m, store.FieldID):
			c = clause{"tx.seq = " + txOf, []any{m[0].Text}}
			parts = append([]part{{d.walking("", leader{own: c}), c}}, parts...) // nothing is shorter
		case onlySeq(m):
			s.bounds = append(s.bounds, clause{" " + string(m[0].Op) + " ?", []any{m[0].Number}})
		default:
			parts = append(parts, part{check: c})
		}
	}
	if statuses == nil {
		return parts, nil
	}
	w, own, exact := d.statusWay(statuses)
	parts = append(parts, part{w, own})
	if !exact {
		parts = append(parts, part{check: clause{sql: "tx.status = '" + string(statuses[0]) + "'"}})
	}
	return parts, nil
}

// labelled joins the transactions of a label, with the label first: each database has a form of join whose order it does not change.
func (d dialect) labelled() string {
	if d == dialectPostgres {
		return "tx_labels l CROSS JOIN LATERAL (SELECT * FROM tx t WHERE t.seq = l.tx OFFSET 0) tx"
	}
	return "tx_labels l CROSS JOIN tx NOT INDEXED ON tx.seq = l.tx"
}

// leader is what the index of a way begins with.
type leader struct {
	column string
	own    clause
}

// led is "column = value" for a walk along an index that begins with column. PostgreSQL takes what is equal as evenly spread, and might
// look for it by walking over all transactions; a range, ordered by its column, only the index has.
func (d dialect) led(column, value string) leader {
	if d == dialectPostgres {
		return leader{column, clause{column + " >= ? AND " + column + " <= ?", []any{value, value}}}
	}
	return leader{"", clause{column + " = ?", []any{value}}}
}

// walking is the way along an index, "" for the table itself.
func (d dialect) walking(index string, by leader) way {
	w := way{from: "tx", walk: "tx", seq: "tx.seq", lead: by.column}
	if by.own.sql != "" {
		w.own = []clause{by.own}
	}
	switch {
	case d == dialectPostgres:
	case index == "":
		w.from = "tx NOT INDEXED"
	default:
		w.from = "tx INDEXED BY " + index
		w.walk = w.from
	}
	return w
}

// signersOf takes the signers that are asked for out of a filter, wherever they are named.
func signersOf(flt store.TxFilter) (signers []string, rest []store.TxMatch) {
	if flt.Signer != "" {
		signers = append(signers, flt.Signer)
	}
	for _, m := range flt.Match {
		if exactly(m, store.FieldSigner) {
			signers = append(signers, m[0].Text)
		} else {
			rest = append(rest, m)
		}
	}
	return signers, rest
}

// exactly reports whether a match is nothing but "field = text".
func exactly(m store.TxMatch, f store.TxField) bool {
	return len(m) == 1 && m[0].Field == f && m[0].Op == store.Equal && !m[0].Not && !m[0].Fold && !m[0].None
}

// onlySeq reports whether a match is a bound of the order itself.
func onlySeq(m store.TxMatch) bool {
	if len(m) != 1 || m[0].Field != store.FieldSeq || m[0].Not || m[0].None {
		return false
	}
	switch m[0].Op {
	case store.Equal, store.Above, store.AtLeast, store.Below, store.AtMost:
		return true
	default:
		return false
	}
}

// statusSets splits statuses into sets of which an index knows each; nil for any status.
func statusSets(statuses []store.TxStatus) [][]store.TxStatus {
	has := func(s store.TxStatus) bool { return slices.Contains(statuses, s) }
	if statuses == nil || has(store.Pending) && has(store.Suspended) && has(store.Succeeded) && has(store.Failed) {
		return [][]store.TxStatus{nil}
	}
	var sets [][]store.TxStatus
	switch {
	case has(store.Pending) && has(store.Suspended):
		sets = append(sets, []store.TxStatus{store.Pending, store.Suspended})
	case has(store.Pending):
		sets = append(sets, []store.TxStatus{store.Pending})
	case has(store.Suspended):
		sets = append(sets, []store.TxStatus{store.Suspended})
	}
	for _, s := range []store.TxStatus{store.Succeeded, store.Failed} {
		if has(s) {
			sets = append(sets, []store.TxStatus{s})
		}
	}
	return sets
}

// statusWay is the way along the index that knows a set, and the set as a clause. The indexes are partial, so their condition is part of
// what is asked, word by word. What is pending is found among all that is open: then it is not exact.
func (d dialect) statusWay(set []store.TxStatus) (w way, own clause, exact bool) {
	if set[0] == store.Pending {
		own = clause{sql: "tx." + openStatuses}
		return d.walking("tx_open", leader{own: own}), own, len(set) == 2
	}
	own = clause{sql: "tx.status = '" + string(set[0]) + "' AND tx.status <> 'Pending'"}
	by := leader{own: own}
	if d == dialectPostgres {
		by = leader{"tx.status", clause{sql: fmt.Sprintf("tx.status >= '%[1]s' AND tx.status <= '%[1]s' AND tx.status <> 'Pending'", set[0])}}
	}
	return d.walking("tx_status", by), own, true
}
