package fftm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The bounds of Pyralis that FFTM does not have.
const (
	maxBatchSize = 10000
	maxDuration  = fftypes.FFDuration(7 * 24 * time.Hour)
	minPause     = fftypes.FFDuration(time.Millisecond)
)

// record is a stream that is being brought into bounds.
type record struct{ apitypes.MovedStream }

func (r *record) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *record) bound(field string, d **fftypes.FFDuration, least fftypes.FFDuration) {
	if was := *d; was != nil && (*was < least || *was > maxDuration) {
		*d = ptr(min(max(*was, least), maxDuration))
		r.note("%s was %s, and is %s", field, time.Duration(*was), time.Duration(**d))
	}
}

func ptr[T any](v T) *T { return &v }

// newStream decodes a stream as FFTM writes it, and brings it into the bounds of Pyralis.
func newStream(raw []byte) (*apitypes.MovedStream, error) {
	s := &record{}
	if err := json.Unmarshal(raw, &s.EventStream); err != nil {
		return nil, fmt.Errorf("decode an event stream: %w", err)
	}
	if s.ID == nil || s.Name == nil {
		return nil, fmt.Errorf("an event stream has no id or no name: %.200s", raw)
	}
	kind := apitypes.StreamWebSocket
	if s.Type != nil && *s.Type != "" {
		kind = strings.ToLower(*s.Type)
	}
	s.Type = &kind
	if kind == apitypes.StreamWebSocket { // the settings of what the stream was before may be there still
		s.Webhook = nil
	} else {
		s.WebSocket = nil
	}
	if e := s.ErrorHandling; e != nil && *e != apitypes.ErrorHandlingBlock && *e != apitypes.ErrorHandlingSkip {
		s.note("errorHandling was %q, which FFTM takes for block", *e)
		s.ErrorHandling = ptr(apitypes.ErrorHandlingBlock)
	}
	if n := s.BatchSize; n != nil && (*n == 0 || *n > maxBatchSize) {
		s.BatchSize = ptr(min(max(*n, 1), maxBatchSize))
		s.note("batchSize was %d, and is %d", *n, *s.BatchSize)
	}
	s.bound("batchTimeout", &s.BatchTimeout, 0)
	s.bound("retryTimeout", &s.RetryTimeout, 0)
	s.bound("blockedRetryDelay", &s.BlockedRetryDelay, minPause)
	return &s.MovedStream, nil
}

// newListener decodes a listener as FFTM writes it.
func newListener(raw []byte) (*apitypes.MovedListener, error) {
	l := &apitypes.MovedListener{}
	if err := json.Unmarshal(raw, &l.Listener); err != nil {
		return nil, fmt.Errorf("decode a listener: %w", err)
	}
	if l.ID == nil || l.Stream == nil {
		return nil, fmt.Errorf("a listener has no id or no stream: %.200s", raw)
	}
	if l.Name == nil || *l.Name == "" { // FFTM calls it after its signature, and Pyralis does, too
		l.Name = l.Signature
	}
	return l, nil
}

// position reads a checkpoint of a listener. It is nil if there is none.
func position(raw json.RawMessage) (*apitypes.ListenerCheckpoint, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		return nil, nil //nolint:nilnil // there is none
	}
	var cp map[string]json.RawMessage
	if err := json.Unmarshal(raw, &cp); err != nil {
		return nil, fmt.Errorf("%.200s is no object", raw)
	}
	if cp["block"] == nil {
		return nil, fmt.Errorf("%.200s names no block", raw)
	}
	var at [3]uint64
	for i, name := range []string{"block", "transactionIndex", "logIndex"} {
		n, err := number(cp[name])
		if err != nil {
			return nil, fmt.Errorf("%s of %.200s: %w", name, raw, err)
		}
		if n < 0 {
			break // before the first of its kind, whatever follows: -1 for a block is the beginning of the chain, for a transaction that of the block
		}
		at[i] = uint64(n)
	}
	return &apitypes.ListenerCheckpoint{Block: at[0], TransactionIndex: at[1], LogIndex: at[2]}, nil
}

// number reads a part of a checkpoint.
func number(raw json.RawMessage) (int64, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// Options say where listeners go on.
type Options struct {
	Back      uint64 // blocks that positions are set back by; 0 takes them as they are
	LatestNow bool   // a listener from latest on without a position begins at the latest block of now; else it stays, because what came since would be lost
}

// unplaced is what to say of a listener without a position.
type unplaced struct{ why, remedy string }

// place sets where a listener goes on: at its checkpoint, set back, or without one at its fromBlock. It stays where it is if its checkpoint cannot be
// read, or if it has none and its fromBlock is not where it began.
func (o Options) place(l *apitypes.MovedListener, checkpoint json.RawMessage, without unplaced) {
	at, err := position(checkpoint)
	latest := l.FromBlock == nil || *l.FromBlock == "" || strings.EqualFold(string(*l.FromBlock), apitypes.FromBlockLatest)
	switch {
	case err != nil:
		l.Stays = "its checkpoint is not understood: " + err.Error()
	case at != nil && o.Back > 0:
		l.Position = &apitypes.ListenerCheckpoint{Block: at.Block - min(o.Back, at.Block)}
	case at != nil:
		l.Position = at
	case !latest:
		l.Notes = append(l.Notes, without.why+": it begins at fromBlock, and what it delivered since comes again")
	case o.LatestNow:
		l.Notes = append(l.Notes, without.why+": it begins at the latest block of now, and what came before is not delivered")
	default:
		l.Stays = without.why + ", and what came since it was made would be lost: " + without.remedy + ", or accept the loss with --latest-now"
	}
}

// oldestFirst sorts by creation, as Pyralis lists them.
func oldestFirst(streams []*apitypes.MovedStream) {
	slices.SortStableFunc(streams, func(a, b *apitypes.MovedStream) int {
		return cmp.Or(created(a.Created).Compare(created(b.Created)), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	for _, s := range streams {
		slices.SortStableFunc(s.Listeners, func(a, b *apitypes.MovedListener) int {
			return cmp.Or(created(a.Created).Compare(created(b.Created)), cmp.Compare(a.ID.String(), b.ID.String()))
		})
	}
}

func created(t *fftypes.FFTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}
