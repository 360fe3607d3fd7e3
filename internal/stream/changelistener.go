package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// A position in the log of status changes is a cursor like any other: its block is the sequence of the next row to deliver.

func positionAfter(seq int64) ffcapi.Cursor { return ffcapi.BlockStart(uint64(seq) + 1) }

// lastBefore is the newest row that a position has behind it, 0 if none.
func lastBefore(at ffcapi.Cursor) int64 {
	return int64(min(max(at.Block, 1)-1, math.MaxInt64))
}

const (
	labelPrefix = "label."
	// maxSignature bounds the text that tells people what a listener matches.
	maxSignature = 200
)

// parseChangeFilters reads the filters of a listener of type transactions, and says in a word what they match. The key is the
// same for filters that match the same.
func parseChangeFilters(raw []json.RawMessage) (fs changeFilters, key, signature string, err error) {
	const fix = `give objects like {"status":"Succeeded","signer":"alice","label.objectType":"invoice"}`
	var texts []string
	for i, one := range raw {
		field := fmt.Sprintf("filters[%d]", i)
		var members map[string]*string
		if err := json.Unmarshal(one, &members); err != nil || members == nil || slices.Contains(slices.Collect(maps.Values(members)), nil) {
			return nil, "", "", apitypes.Invalidf(field, fix+", whose values are strings", "is %s", one)
		}
		f, text, err := newChangeFilter(field, members)
		if err != nil {
			return nil, "", "", err
		}
		if len(members) == 0 {
			return nil, "", "", apitypes.Invalidf(field, "name a status, subStatus, signer, ledger or label, or leave filters out to get all", "is empty")
		}
		fs, texts = append(fs, *f), append(texts, text)
	}
	slices.Sort(texts)
	key = apitypes.ListenerTransactions + " " + strings.Join(slices.Compact(texts), " | ")
	key = strings.TrimSpace(key)
	if signature = key; len(signature) > maxSignature {
		signature = strings.ToValidUTF8(signature[:maxSignature], "") + "…"
	}
	return fs, key, signature, nil
}

func newChangeFilter(field string, members map[string]*string) (*changeFilter, string, error) {
	f := &changeFilter{}
	var parts []string
	for name, given := range members {
		value := *given
		switch label, isLabel := strings.CutPrefix(name, labelPrefix); {
		case isLabel && label != "":
			f.labels = append(f.labels, labelFilter{label, value})
		case name == "status":
			i := slices.IndexFunc(txStatuses, func(s store.TxStatus) bool { return strings.EqualFold(string(s), value) })
			if i < 0 {
				return nil, "", apitypes.Invalidf(field+".status", "must be one of "+joined(txStatuses), "is %q", value)
			}
			f.status = txStatuses[i]
			value = string(f.status)
		case name == "subStatus":
			i := slices.IndexFunc(txSubStatuses, func(s store.SubStatus) bool { return strings.EqualFold(string(s), value) })
			if i < 0 {
				return nil, "", apitypes.Invalidf(field+".subStatus", "must be one of "+joined(txSubStatuses), "is %q", value)
			}
			f.sub = txSubStatuses[i]
			value = string(f.sub)
		case name == "signer":
			f.signer = &value
		case name == "ledger":
			f.ledger = &value
		default:
			return nil, "", apitypes.Invalidf(field+"."+name, "filter by status, subStatus, signer, ledger or label.<name>", "is not known")
		}
		parts = append(parts, name+"="+strconv.Quote(value))
	}
	slices.Sort(parts)
	return f, strings.Join(parts, " & "), nil
}

var ( //nolint:gochecknoglobals // constants
	txStatuses    = []store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed}
	txSubStatuses = []store.SubStatus{
		store.SubReceived, store.SubPrepared, store.SubSubmitting, store.SubTracking, store.SubStale, store.SubUnknownOutcome,
		store.SubConfirmed, store.SubFailed, store.SubCancelled,
	}
)

func joined[T ~string](list []T) string {
	text := make([]string, len(list))
	for i, s := range list {
		text[i] = string(s)
	}
	return strings.Join(text, ", ")
}

// resolveChanges checks a listener of type transactions and says where it starts.
func (m *Manager) resolveChanges(ctx context.Context, l *store.Listener, from string) error {
	if isSet(l.Options) {
		return apitypes.Invalidf("options", "leave it out", "has no meaning for a listener of type %q", l.Type)
	}
	_, key, signature, err := parseChangeFilters(l.Filters)
	if err != nil {
		return err
	}
	l.Resolved = ffcapi.Listener{Key: key, Signature: signature}
	ctx, cancel := call(ctx)
	defer cancel()
	l.Resolved.Start, err = m.changesFrom(ctx, from)
	return err
}

// changesFrom turns fromBlock into a position. A number is that of the last change the client has: it must still be in the log, because
// otherwise nobody could tell whether something after it is gone.
func (m *Manager) changesFrom(ctx context.Context, from string) (ffcapi.Cursor, error) {
	head, err := m.opts.Changes.StatusHead(ctx)
	if err != nil {
		return ffcapi.Cursor{}, fmt.Errorf("reading the log of status changes: %w", err)
	}
	if strings.EqualFold(from, apitypes.FromBlockLatest) {
		return positionAfter(head), nil
	}
	oldest, err := oldestChange(ctx, m.opts.Changes)
	if err != nil {
		return ffcapi.Cursor{}, err
	}
	if from == "0" || strings.EqualFold(from, apitypes.FromBlockEarliest) {
		return positionAfter(max(oldest, 1) - 1), nil
	}
	seq, err := strconv.ParseInt(from, 10, 64)
	if err != nil || seq < 0 {
		return ffcapi.Cursor{}, apitypes.Invalidf("fromBlock", `give "earliest", "latest" or the sequence of a status change to go on after it`, "is %q", from)
	}
	rows, err := m.opts.Changes.Status(ctx, seq-1, 1)
	switch {
	case err != nil:
		return ffcapi.Cursor{}, fmt.Errorf("reading the log of status changes: %w", err)
	case len(rows) == 0 || rows[0].Seq != seq:
		return ffcapi.Cursor{}, apitypes.Invalidf("fromBlock", fmt.Sprintf(`give "earliest", "latest" or the sequence of a status change between %d and %d`, oldest, head),
			"is %d, which is not in the log of status changes", seq)
	}
	return positionAfter(seq), nil
}

// Consumed returns the highest sequence up to which the listeners of type transactions, those of suspended streams included, do without the
// log of status changes: it may be trimmed so far. It is one less than the lowest durable position: the row that a position has just passed
// stays, and with it the proof that nothing behind it is missing. math.MaxInt64 says that there are no such listeners, 0 also
// that it cannot be told now.
func (m *Manager) Consumed() int64 {
	ctx, cancel := context.WithTimeout(m.group.Context(), callTimeout)
	defer cancel()
	low, some, err := m.lowestChange(ctx)
	switch {
	case err != nil:
		m.opts.Log.WithError(err).Warn("What the listeners of type transactions still need cannot be told; the log of status changes is not trimmed")
		return 0
	case !some:
		return math.MaxInt64
	}
	return max(low-1, 0)
}

// lowestChange returns the newest row that all listeners of type transactions have behind them. some is false if there are no such listeners.
func (m *Manager) lowestChange(ctx context.Context) (low int64, some bool, err error) {
	all, err := m.storedListeners(ctx, "")
	if err != nil {
		return 0, false, err
	}
	at := make(map[string]ffcapi.Cursor)
	streams := make(map[string]bool)
	for _, l := range all {
		if l.Type == apitypes.ListenerTransactions {
			at[l.ID], streams[l.StreamID] = l.Resolved.Start, true
		}
	}
	for id := range streams {
		cps, err := m.opts.Store.Checkpoints(ctx, id)
		if err != nil {
			return 0, false, fmt.Errorf("checkpoints of stream %s: %w", id, err)
		}
		for _, cp := range cps {
			if _, ok := at[cp.Listener]; ok {
				at[cp.Listener] = cp.Cursor
			}
		}
	}
	low = math.MaxInt64
	for _, c := range at {
		low = min(low, lastBefore(c))
	}
	return low, len(at) > 0, nil
}
