package api

import (
	"cmp"
	"slices"
	"strings"
)

// maxCompared bounds the comparison of names: its time grows with the product of the lengths.
const maxCompared = 64

// closest finds the name that the writer of an unknown one most likely meant: the one that takes the fewest edits. names is
// sorted and not empty.
func closest(unknown string, names []string) string {
	unknown = strings.ToLower(unknown[:min(len(unknown), maxCompared)])
	return slices.MinFunc(names, func(a, b string) int {
		return cmp.Compare(edits(unknown, strings.ToLower(a)), edits(unknown, strings.ToLower(b)))
	})
}

// edits is the number of bytes to insert, delete or replace to get from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, replace)
		}
	}
	return row[len(b)]
}
