package sqlstore

import (
	"maps"
	"slices"
)

// labelRows are the rows of sqlInsertLabel, in one order always, without the number of the transaction.
func labelRows(labels map[string]string) [][]any {
	if len(labels) == 0 {
		return nil
	}
	rows := make([][]any, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		rows = append(rows, []any{name, labels[name], nil})
	}
	return rows
}
