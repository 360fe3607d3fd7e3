package sqlstore

import (
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/internal/store"
)

// clause is a piece of SQL with its arguments.
type clause struct {
	sql  string
	args []any
}

// all joins clauses that must all hold; "" for none.
func all(word string, clauses []clause) clause {
	if len(clauses) == 0 {
		return clause{}
	}
	var out clause
	parts := make([]string, len(clauses))
	for i, c := range clauses {
		parts[i] = c.sql
		out.args = append(out.args, c.args...)
	}
	out.sql = word + strings.Join(parts, " AND ")
	return out
}

// fieldKind is how a field is stored, and so how it is compared.
type fieldKind int

const (
	textField   fieldKind = iota // "" is none
	numberField                  // never none
	nonceField                   // NULL is none; those above 2⁶³-1 are negative
	timeField                    // 0 is none
	amountField                  // digits; "" is none
)

var fields = map[store.TxField]struct {
	column string
	kind   fieldKind
}{
	store.FieldSeq: {"tx.seq", numberField}, store.FieldID: {"tx.id", textField}, store.FieldCreated: {"tx.created", timeField},
	store.FieldUpdated: {"tx.updated", timeField}, store.FieldFirstSubmit: {"tx.first_submit", timeField},
	store.FieldLastSubmit: {"tx.last_submit", timeField}, store.FieldCancelAsked: {"tx.cancel_asked", timeField},
	store.FieldStatus: {"tx.status", textField}, store.FieldSub: {"tx.sub", textField}, store.FieldLedger: {"tx.ledger", textField},
	store.FieldSigner: {"tx.signer", textField}, store.FieldTo: {"tx.recipient", textField}, store.FieldNonce: {"tx.nonce", nonceField},
	store.FieldGas: {"tx.gas", amountField}, store.FieldValue: {"tx.value", amountField}, store.FieldHash: {"tx.hash", textField},
	store.FieldError: {"tx.error", textField},
}

// condition turns one comparison into SQL.
func (d dialect) condition(c store.TxCondition) (clause, error) {
	f, known := fields[c.Field]
	if !known {
		return clause{}, fmt.Errorf("field %q: %w", c.Field, store.ErrInvalid)
	}
	if err := name(string(c.Field), c.Text); err != nil {
		return clause{}, err
	}
	var out clause
	var err error
	switch {
	case c.None && c.Op == store.Equal:
		out = none(f.column, f.kind)
	case f.kind == textField:
		out, err = d.textCondition(f.column, c)
	default:
		out, err = numberCondition(f.column, f.kind, c)
	}
	if err == nil && c.Not {
		out.sql = "(" + out.sql + ") IS NOT TRUE" // also where there is nothing to compare
	}
	return out, err
}

// none holds where a transaction does not have the field.
func none(column string, kind fieldKind) clause {
	switch kind {
	case nonceField:
		return clause{sql: column + " IS NULL"}
	case timeField, numberField:
		return clause{sql: column + " = 0"}
	default:
		return clause{sql: column + " = ''"}
	}
}

func (d dialect) textCondition(column string, c store.TxCondition) (clause, error) {
	value, bytewise := "CAST(? AS TEXT)", ""
	if d == dialectPostgres {
		bytewise = ` COLLATE "C"` // the order of bytes, as SQLite has it
	}
	subject := column
	if c.Fold {
		subject, value = "lower("+column+bytewise+")", "lower("+value+bytewise+")"
	}
	switch c.Op {
	case store.Equal:
		return clause{subject + " = " + value, []any{c.Text}}, nil
	case store.Above, store.AtLeast, store.Below, store.AtMost:
		return clause{column + " <> '' AND " + subject + bytewise + " " + string(c.Op) + " " + value, []any{c.Text}}, nil
	case store.Contains:
		find := "instr"
		if d == dialectPostgres {
			find = "strpos"
		}
		return clause{find + "(" + subject + ", " + value + ") > 0", []any{c.Text}}, nil
	case store.BeginsWith:
		return clause{"substr(" + subject + ", 1, length(" + value + ")) = " + value, []any{c.Text, c.Text}}, nil
	case store.EndsWith:
		return clause{
			"length(" + subject + ") >= length(" + value + ") AND substr(" + subject + ", length(" + subject + ") - length(" + value + ") + 1) = " + value,
			[]any{c.Text, c.Text, c.Text},
		}, nil
	default:
		return clause{}, fmt.Errorf("operator %q: %w", c.Op, store.ErrInvalid)
	}
}

func numberCondition(column string, kind fieldKind, c store.TxCondition) (clause, error) {
	switch c.Op {
	case store.Equal, store.Above, store.AtLeast, store.Below, store.AtMost:
	default:
		return clause{}, fmt.Errorf("operator %q of %s: %w", c.Op, c.Field, store.ErrInvalid)
	}
	op, below := " "+string(c.Op)+" ", c.Op == store.Below || c.Op == store.AtMost
	switch kind {
	case amountField:
		// Neither has leading zeros, so the longer one is the larger.
		return clause{
			column + " <> '' AND (length(" + column + "), " + column + ")" + op + "(length(CAST(? AS TEXT)), CAST(? AS TEXT))", []any{c.Text, c.Text},
		}, nil
	case nonceField:
		switch {
		case below:
			return clause{column + " >= 0 AND " + column + op + "?", []any{c.Number}}, nil
		case c.Op != store.Equal:
			return clause{"(" + column + " < 0 OR " + column + op + "?)", []any{c.Number}}, nil
		}
	case timeField:
		return clause{column + " <> 0 AND " + column + op + "?", []any{c.Number}}, nil
	default:
	}
	return clause{column + op + "?", []any{c.Number}}, nil
}

// match turns conditions of which one must hold into SQL.
func (d dialect) match(m store.TxMatch) (clause, error) {
	var out clause
	parts := make([]string, len(m))
	for i, c := range m {
		one, err := d.condition(c)
		if err != nil {
			return clause{}, err
		}
		parts[i] = "(" + one.sql + ")"
		out.args = append(out.args, one.args...)
	}
	out.sql = "(" + strings.Join(parts, " OR ") + ")"
	return out, nil
}
