package txn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// filter checks a filter and turns it into the store's.
func (m *Manager) filter(ctx context.Context, f apitypes.TransactionFilter) (store.TxFilter, error) {
	out := store.TxFilter{Limit: f.Limit, Skip: f.Skip, Ascending: f.Ascending, Signer: f.Signer, Labels: f.Labels}
	switch {
	case f.Limit < 0:
		return out, apitypes.Invalidf("limit", "must be 1 or more", "is %d", f.Limit)
	case f.Skip < 0:
		return out, apitypes.Invalidf("skip", "must be 0 or more", "is %d", f.Skip)
	case f.Limit == 0:
		out.Limit = defaultPage
	}
	if err := checkEachLabel("label", f.Labels); err != nil {
		return out, err
	}
	var err error
	if out.Statuses, err = statuses(f); err != nil {
		return out, err
	}
	if out.Match, err = matches(f.Match); err != nil {
		return out, err
	}
	if f.After == "" {
		return out, nil
	}
	last, err := m.opts.Store.Transaction(ctx, f.After)
	if errors.Is(err, store.ErrNotFound) {
		last, err = m.opts.Store.Ended(ctx, f.After) // removed since the page before
	}
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("after: %w", err)
	}
	if err == nil {
		out.After = last.Seq
	}
	return out, err
}

func matches(groups [][]apitypes.Condition) (out []store.TxMatch, err error) {
	for _, group := range groups {
		match := make(store.TxMatch, len(group))
		for i, c := range group {
			if match[i], err = condition(c); err != nil {
				return nil, err
			}
		}
		if len(match) > 0 {
			out = append(out, match)
		}
	}
	return out, nil
}

// statuses is the set that all of a filter's ways to name statuses have in common; nil for any.
func statuses(f apitypes.TransactionFilter) ([]store.TxStatus, error) {
	var sets [][]store.TxStatus
	if f.Pending {
		sets = append(sets, []store.TxStatus{store.Pending, store.Suspended})
	}
	if len(f.Statuses) > 0 {
		set := make([]store.TxStatus, len(f.Statuses))
		for i, s := range f.Statuses {
			var err error
			if set[i], err = parseStatus(s); err != nil {
				return nil, err
			}
		}
		sets = append(sets, set)
	}
	if len(f.Progress) > 0 {
		var set []store.TxStatus
		for _, p := range f.Progress {
			in, err := parseProgress(p)
			if err != nil {
				return nil, err
			}
			set = append(set, in...)
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return nil, nil
	}
	common := []store.TxStatus{}
	for _, s := range []store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed} {
		if !slices.ContainsFunc(sets, func(set []store.TxStatus) bool { return !slices.Contains(set, s) }) {
			common = append(common, s)
		}
	}
	return common, nil
}

func parseStatus(s string) (store.TxStatus, error) {
	all := []store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed}
	for _, status := range all {
		if strings.EqualFold(s, string(status)) {
			return status, nil
		}
	}
	return "", apitypes.Invalidf("status", "must be Pending, Suspended, Succeeded or Failed", "is %q", s)
}

func parseProgress(p string) ([]store.TxStatus, error) {
	switch {
	case strings.EqualFold(p, apitypes.InProgress):
		return []store.TxStatus{store.Pending, store.Suspended}, nil
	case strings.EqualFold(p, apitypes.Completed):
		return []store.TxStatus{store.Succeeded}, nil
	case strings.EqualFold(p, apitypes.NotDone):
		return []store.TxStatus{store.Failed}, nil
	}
	return nil, apitypes.Invalidf("progress", "must be InProgress, Completed or Failed", "is %q", p)
}

// condition checks one comparison.
func condition(c apitypes.Condition) (out store.TxCondition, err error) {
	name := strings.ToLower(c.Field)
	if !slices.Contains(apitypes.TransactionFields(), name) {
		return out, apitypes.Invalidf(c.Field, "use "+strings.Join(apitypes.TransactionFields(), ", "), "is no field to filter by")
	}
	out = store.TxCondition{Field: store.TxField(name), Op: store.Operator(c.Op), Not: c.Not, Fold: c.Fold, None: c.None}
	if c.None {
		if out.Op != store.Equal {
			return out, apitypes.Invalidf(name, "compare it by =", "is compared with nothing by %s", c.Op)
		}
		return out, nil
	}
	switch out.Field {
	case store.FieldSeq, store.FieldNonce:
		out.Number, err = wholeNumber(name, c.Value)
	case store.FieldGas, store.FieldValue:
		out.Text, err = amountText(name, c.Value)
	case store.FieldCreated, store.FieldUpdated, store.FieldFirstSubmit, store.FieldLastSubmit, store.FieldCancelAsked:
		out.Number, err = pointInTime(name, c.Value)
	default:
		return textCondition(out, c)
	}
	if err != nil {
		return out, err
	}
	switch out.Op {
	case store.Equal, store.Above, store.AtLeast, store.Below, store.AtMost:
	default:
		return out, apitypes.Invalidf(name, "compare it by =, >, >=, < or <=", "is no text, and compared by %s", c.Op)
	}
	if c.Fold {
		return out, apitypes.Invalidf(name, "leave the modifier : out", "is no text")
	}
	return out, nil
}

func textCondition(out store.TxCondition, c apitypes.Condition) (store.TxCondition, error) {
	out.Text = c.Value
	switch out.Op {
	case store.Equal, store.Above, store.AtLeast, store.Below, store.AtMost:
		return out, nil
	case store.Contains, store.BeginsWith, store.EndsWith:
		if c.Value == "" {
			return out, apitypes.Invalidf(string(out.Field), "give the text behind "+c.Op, "is compared with nothing")
		}
		return out, nil
	default:
		return out, apitypes.Invalidf(string(out.Field), "compare it by =, >, >=, <, <=, @, ^ or $", "is compared by %q", c.Op)
	}
}

func wholeNumber(field, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, apitypes.Invalidf(field, fmt.Sprintf("give a whole number from 0 to %d", int64(math.MaxInt64)), "is %q", value)
	}
	return n, nil
}

// amountText brings an amount into the form in which it is stored.
func amountText(field, value string) (string, error) {
	const longest = 128 // of a number in a request
	if len(value) <= longest {
		if n, ok := new(big.Int).SetString(value, 0); ok && n.Sign() >= 0 {
			return n.String(), nil
		}
	}
	return "", apitypes.Invalidf(field, "give a whole number", "is %q", value)
}

func pointInTime(field, value string) (int64, error) {
	t, err := fftypes.ParseTimeString(value)
	if err != nil {
		return 0, apitypes.Invalidf(field, "give a time such as 2026-01-31T12:00:00Z, or a Unix time", "is %q", value)
	}
	return time.Time(*t).UnixMicro(), nil
}
