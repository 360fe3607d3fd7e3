package txn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The limits of labels and confirmations.
const (
	maxLabels        = 16
	maxLabelName     = 64
	maxLabelValue    = 256
	maxConfirmations = 10_000
)

const labelLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

// checkHeaders checks what the headers say about a transaction.
func checkHeaders(sub *apitypes.Submission) error {
	if err := checkLabels(sub.Labels); err != nil {
		return err
	}
	return checkConfirmations(sub.Confirmations)
}

// checkLabels checks headers.labels. Of several faults it always reports the same one.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return apitypes.Invalidf("headers.labels", fmt.Sprintf("give at most %d", maxLabels), "has %d labels", len(labels))
	}
	return checkEachLabel("headers.labels", labels)
}

// checkEachLabel checks names and values, which are in field.
func checkEachLabel(field string, labels map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if err := checkLabelName(field, name); err != nil {
			return err
		}
		if err := checkLabelValue(field+"."+name, labels[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkLabelName(field, name string) error {
	const fix = "use 1 to 64 of the characters A-Z, a-z, 0-9, _, . and -"
	switch {
	case name == "":
		return apitypes.Invalidf(field, fix, "has an empty name")
	case len(name) > maxLabelName:
		return apitypes.Invalidf(field, fix, "has a name of %d characters", len(name))
	case strings.Trim(name, labelLetters) != "":
		return apitypes.Invalidf(field, fix, "has the name %q", name)
	}
	return nil
}

func checkLabelValue(field, value string) error {
	const fix = "give 1 to 256 bytes of printable text"
	switch {
	case value == "":
		return apitypes.Invalidf(field, fix, "is empty")
	case len(value) > maxLabelValue:
		return apitypes.Invalidf(field, fix, "has %d bytes", len(value))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return apitypes.Invalidf(field, fix, "is %q", value)
	}
	return nil
}

func checkConfirmations(n *int) error {
	if n != nil && (*n < 0 || *n > maxConfirmations) {
		return apitypes.Invalidf("headers.confirmations", fmt.Sprintf("give a whole number from 0 to %d", maxConfirmations), "is %d", *n)
	}
	return nil
}
