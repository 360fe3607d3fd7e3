// Package closest finds the name that the writer of an unknown one most likely meant.
package closest

import (
	"cmp"
	"slices"
	"strings"
)

// maxCompared bounds, in bytes, what is compared of an unknown name: the time grows with the product of the lengths.
const maxCompared = 128

// To returns the name that takes the fewest edits, the first of the alphabet among equals. A name with the same last step, where sep separates steps,
// counts as near, and as nearer if it also begins with the same: people forget or misplace sections. Case does not count. names must not be empty;
// they stay as they are.
func To(unknown string, names []string, sep string) string {
	unknown = strings.ToLower(unknown)
	score := func(name string) int {
		name = strings.ToLower(name)
		d := edits(unknown[:min(len(unknown), maxCompared)], name)
		if last(unknown, sep) == last(name, sep) {
			d /= 2
			if first(unknown, sep) == first(name, sep) {
				d /= 2
			}
		}
		return d
	}
	return slices.MinFunc(slices.Sorted(slices.Values(names)), func(a, b string) int { return cmp.Compare(score(a), score(b)) })
}

func last(name, sep string) string { return name[strings.LastIndex(name, sep)+1:] }

func first(name, sep string) string {
	step, _, _ := strings.Cut(name, sep)
	return step
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
