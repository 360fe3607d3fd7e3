package config

import (
	"cmp"
	"slices"
	"strings"
)

// closest finds the name that a writer of the unknown one most likely meant: the fewest edits, where a name with the same last
// step (separated by sep) counts as near, and nearer if it also begins with the same, since people forget or misplace sections.
func closest(unknown string, names []string, sep string) string {
	score := func(name string) int {
		d := distance(strings.ToLower(unknown), strings.ToLower(name))
		if last(unknown, sep) == last(name, sep) {
			d /= 2
			if first(unknown, sep) == first(name, sep) {
				d /= 2
			}
		}
		return d
	}
	slices.Sort(names)
	return slices.MinFunc(names, func(a, b string) int { return cmp.Compare(score(a), score(b)) })
}

func last(name, sep string) string {
	return strings.ToLower(name[strings.LastIndex(name, sep)+1:])
}

func first(name, sep string) string {
	step, _, _ := strings.Cut(strings.ToLower(name), sep)
	return step
}

// distance is the Levenshtein distance of two strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, substitute)
		}
	}
	return row[len(b)]
}
