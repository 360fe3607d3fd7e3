package sqlstore

import (
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/internal/store"
)

// freshTx is what the columns of tx hold, that are named here, in most transactions when they are accepted. SQLite copies each value that is
// bound, so the statement for such a row has these in its text, and twelve values are bound instead of thirty-two.
var freshTx = map[string]any{
	"version": int64(1), "status": string(store.Pending), "sub": string(store.SubReceived),
	"value": "", "fee": nil, "attempt": int64(1), "hash": "", "first_submit": int64(0), "last_submit": int64(0), "error": "", "policy_state": nil,
	"due": int64(0), "outcome": nil, "progressed": int64(0), "cancel_asked": int64(0), "labels": nil, "required": nil, "retry_of": "",
	"history_n": int64(0), "history_fold": int64(0),
}

// freshRows inserts the transactions whose rows are as freshTx says.
type freshRows struct {
	stmt   sqliteStmt
	given  []bool // by column: it is in the text
	values []any  // by column, those that are
	bound  []any  // reused for each row
}

// newFreshRows also returns the text of the statement, to be prepared.
func newFreshRows() (*freshRows, string) {
	insert, _, _ := strings.Cut(statements[sqlInsertTx].sql, "VALUES")
	f := &freshRows{}
	var values []string
	for _, column := range strings.FieldsFunc(insert[strings.IndexByte(insert, '(')+1:strings.IndexByte(insert, ')')], notInName) {
		value, given := freshTx[column]
		f.given, f.values = append(f.given, given), append(f.values, value)
		values = append(values, literal(value, given))
	}
	return f, insert + "VALUES (" + strings.Join(values, ", ") + ")"
}

func notInName(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }

func literal(value any, given bool) string {
	switch v := value.(type) {
	case string:
		return "'" + v + "'"
	case int64:
		return fmt.Sprint(v)
	}
	if given {
		return "NULL"
	}
	return "?"
}

// of returns what is to be bound for a row; false if the row does not say what the text says. The slice is used again.
func (f *freshRows) of(row []any) (bound []any, ok bool) {
	f.bound = f.bound[:0]
	for i, v := range row {
		switch {
		case !f.given[i]:
			f.bound = append(f.bound, v)
		case v != f.values[i]:
			return nil, false
		}
	}
	return f.bound, true
}
