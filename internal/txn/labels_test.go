package txn_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestLabelsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	sub := submission("a")
	five := 5
	sub.Labels, sub.Confirmations = map[string]string{"objectId": "invé 7", strings.Repeat("n", 64): strings.Repeat("v", 256)}, &five
	tx := r.submit(sub)
	require.Equal(t, sub.Labels, tx.Labels)
	require.Equal(t, 5, *tx.Required)
	got, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Equal(t, sub.Labels, got.Labels)
	require.Equal(t, 5, *got.Required)
	row, err := r.store.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 5, *row.Required)
}

func TestBadLabels(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint("n", i)] = "v"
	}
	const name, value = "use 1 to 64 of the characters A-Z, a-z, 0-9, _, . and -", "give 1 to 256 bytes of printable text"
	r := newRig(t, setup{})
	for text, labels := range map[string]map[string]string{
		"headers.labels has 17 labels: give at most 16":                   many,
		"headers.labels has an empty name: " + name:                       {"": "v"},
		"headers.labels has a name of 65 characters: " + name:             {strings.Repeat("n", 65): "v"},
		`headers.labels has the name "a b": ` + name:                      {"a b": "v"},
		`headers.labels has the name "é": ` + name:                        {"é": "v"},
		"headers.labels.n is empty: " + value:                             {"n": ""},
		"headers.labels.n has 257 bytes: " + value:                        {"n": strings.Repeat("v", 257)},
		`headers.labels.n is "a\nb": ` + value:                            {"n": "a\nb"},
		`headers.labels.n is "\xff": ` + value:                            {"n": "\xff"},
		`headers.labels.n is "a\u200bb": ` + value:                        {"n": "a\u200bb"},
		"headers.labels.a is empty: " + value:                             {"b": "", "a": "", "c": ""},
		"headers.labels has the name \"a\\x00\": " + name:                 {"a\x00": "v"},
		`headers.labels has the name "label.x=y&": ` + name:               {"label.x=y&": "v"},
		"headers.labels.n is \"\\x00\": " + value:                         {"n": "\x00"},
		`headers.labels.n is "` + strings.Repeat(`\t`, 2) + `": ` + value: {"n": "\t\t"},
	} {
		sub := submission("a")
		sub.Labels = labels
		_, _, err := r.Submit(t.Context(), sub)
		var invalid *apitypes.Invalid
		require.ErrorAs(t, err, &invalid)
		require.EqualError(t, invalid, text)
	}
	for _, n := range []int{-1, 10_001} {
		sub := submission("a")
		sub.Confirmations = &n
		_, _, err := r.Submit(t.Context(), sub)
		require.EqualError(t, err, fmt.Sprintf("headers.confirmations is %d: give a whole number from 0 to 10000", n))
	}
}

// Labels and confirmations are part of the request, however it came.
func TestOtherLabelsAreAnotherRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	three := 3
	with := func(change func(*apitypes.Submission)) *apitypes.Submission {
		s := submission("a")
		s.Raw = nil
		change(s)
		return s
	}
	labelled := with(func(s *apitypes.Submission) { s.Labels = map[string]string{"x": "1", "y": "2"} })
	r.submit(labelled)
	_, replay, err := r.Submit(t.Context(), labelled)
	require.NoError(t, err)
	require.True(t, replay)
	for _, other := range []*apitypes.Submission{
		with(func(*apitypes.Submission) {}),
		with(func(s *apitypes.Submission) { s.Labels = map[string]string{"x": "1"} }),
		with(func(s *apitypes.Submission) { s.Labels, s.Confirmations = labelled.Labels, &three }),
	} {
		_, _, err := r.Submit(t.Context(), other)
		require.ErrorIs(t, err, store.ErrKeyReused)
	}
}
