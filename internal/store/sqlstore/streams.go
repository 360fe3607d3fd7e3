package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// streamSpec is what is kept of a stream beside the columns that are searched.
type streamSpec struct {
	Suspended         bool              `json:"suspended,omitempty"`
	SuspendedReason   string            `json:"suspendedReason,omitempty"`
	Type              string            `json:"type,omitempty"`
	ErrorHandling     string            `json:"errorHandling,omitempty"`
	BatchSize         int               `json:"batchSize,omitempty"`
	BatchTimeout      time.Duration     `json:"batchTimeout,omitempty"`
	RetryTimeout      time.Duration     `json:"retryTimeout,omitempty"`
	BlockedRetryDelay time.Duration     `json:"blockedRetryDelay,omitempty"`
	Confirmations     *int              `json:"confirmations,omitempty"`
	Sink              json.RawMessage   `json:"sink,omitempty"`
	DeadLetter        *store.SinkConfig `json:"deadLetter,omitempty"`
	Declared          bool              `json:"declared,omitempty"`
	Undeclared        bool              `json:"undeclared,omitempty"`
}

func encodeStream(st *store.Stream) (string, error) {
	return jsonText(streamSpec{
		Suspended: st.Suspended, SuspendedReason: st.SuspendedReason, Type: st.Type, ErrorHandling: st.ErrorHandling, BatchSize: st.BatchSize, BatchTimeout: st.BatchTimeout,
		RetryTimeout: st.RetryTimeout, BlockedRetryDelay: st.BlockedRetryDelay, Confirmations: st.Confirmations, Sink: st.Sink,
		DeadLetter: st.DeadLetter, Declared: st.Declared, Undeclared: st.Undeclared,
	})
}

// scanStream reads a row of streamColumns.
func scanStream(r row) (*store.Stream, error) {
	st := &store.Stream{Seq: r.int(0), ID: r.text(1), Name: r.text(2), Created: r.time(3), Updated: r.time(4), Epoch: r.int(5)}
	var spec streamSpec
	if err := json.Unmarshal([]byte(r.text(6)), &spec); err != nil {
		return nil, fmt.Errorf("decode stream %s: %w", st.ID, err)
	}
	st.Suspended, st.SuspendedReason = spec.Suspended, spec.SuspendedReason
	st.Type, st.ErrorHandling, st.BatchSize = spec.Type, spec.ErrorHandling, spec.BatchSize
	st.BatchTimeout, st.RetryTimeout, st.BlockedRetryDelay = spec.BatchTimeout, spec.RetryTimeout, spec.BlockedRetryDelay
	st.Confirmations, st.Sink, st.DeadLetter = spec.Confirmations, spec.Sink, spec.DeadLetter
	st.Declared, st.Undeclared = spec.Declared, spec.Undeclared
	return st, nil
}

// listenerSpec is what is kept of a listener beside the columns that are searched.
type listenerSpec struct {
	Type      string            `json:"type,omitempty"`
	FromBlock string            `json:"fromBlock,omitempty"`
	ToBlock   *uint64           `json:"toBlock,omitempty"`
	Filters   []json.RawMessage `json:"filters,omitempty"`
	Options   json.RawMessage   `json:"options,omitempty"`
	Where     string            `json:"where,omitempty"`
	Transform string            `json:"transform,omitempty"`
	Ledger    string            `json:"ledger,omitempty"`
	Key       string            `json:"key,omitempty"`
	Signature string            `json:"signature,omitempty"`
	Start     ffcapi.Cursor     `json:"start"`
	Resolved  json.RawMessage   `json:"resolved,omitempty"`

	DeclaredFrom string `json:"declaredFrom,omitempty"`
	Undeclared   bool   `json:"undeclared,omitempty"`
}

func encodeListener(l *store.Listener) (string, error) {
	r := &l.Resolved
	return jsonText(listenerSpec{
		Type: l.Type, FromBlock: l.FromBlock, ToBlock: l.ToBlock, Filters: l.Filters, Options: l.Options, Where: l.Where, Transform: l.Transform, Ledger: r.Ledger, Key: r.Key,
		Signature: r.Signature, Start: r.Start, Resolved: r.Resolved,
		DeclaredFrom: l.DeclaredFrom, Undeclared: l.Undeclared,
	})
}

// scanListener reads a row of listenerColumns.
func scanListener(r row) (*store.Listener, error) {
	l := &store.Listener{Seq: r.int(0), ID: r.text(1), StreamID: r.text(2), Name: r.text(3), Created: r.time(4), Updated: r.time(5)}
	var spec listenerSpec
	if err := json.Unmarshal([]byte(r.text(6)), &spec); err != nil {
		return nil, fmt.Errorf("decode listener %s: %w", l.ID, err)
	}
	l.Type, l.FromBlock, l.ToBlock, l.Filters, l.Options = spec.Type, spec.FromBlock, spec.ToBlock, spec.Filters, spec.Options
	l.DeclaredFrom, l.Undeclared = spec.DeclaredFrom, spec.Undeclared
	l.Where, l.Transform = spec.Where, spec.Transform
	l.Resolved = ffcapi.Listener{
		Ledger: spec.Ledger, Key: spec.Key, Signature: spec.Signature, Start: spec.Start, Resolved: spec.Resolved,
	}
	return l, nil
}

// Stream implements store.Streams.
func (s *Store) Stream(ctx context.Context, idOrName string) (*store.Stream, error) {
	var found *store.Stream
	err := s.read(ctx, readStream, func(r row) error {
		if found != nil && found.ID == idOrName {
			return nil // the other one is only called so
		}
		st, err := scanStream(r)
		found = st
		return err
	}, idOrName, idOrName)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", idOrName, err)
	}
	if found == nil {
		return nil, notFound("stream", idOrName)
	}
	return found, nil
}

// Streams implements store.Streams.
func (s *Store) Streams(ctx context.Context, after int64, limit int) ([]*store.Stream, error) {
	var all []*store.Stream
	err := s.read(ctx, readStreams, func(r row) error {
		st, err := scanStream(r)
		all = append(all, st)
		return err
	}, after, limitOf(limit))
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return all, nil
}

// Listener implements store.Streams.
func (s *Store) Listener(ctx context.Context, id string) (*store.Listener, error) {
	all, err := s.listeners(ctx, readListener, id)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", id, err)
	}
	if len(all) == 0 {
		return nil, notFound("listener", id)
	}
	return all[0], nil
}

// Listeners implements store.Streams.
func (s *Store) Listeners(ctx context.Context, stream string, after int64, limit int) ([]*store.Listener, error) {
	var all []*store.Listener
	var err error
	if stream == "" {
		all, err = s.listeners(ctx, readListeners, after, limitOf(limit))
	} else {
		all, err = s.listeners(ctx, readStreamListeners, stream, after, limitOf(limit))
	}
	if err != nil {
		return nil, fmt.Errorf("list listeners: %w", err)
	}
	return all, nil
}

func (s *Store) listeners(ctx context.Context, id readID, args ...any) ([]*store.Listener, error) {
	var all []*store.Listener
	err := s.read(ctx, id, func(r row) error {
		l, err := scanListener(r)
		all = append(all, l)
		return err
	}, args...)
	return all, err
}

// Checkpoints implements store.Streams.
func (s *Store) Checkpoints(ctx context.Context, stream string) ([]store.Checkpoint, error) {
	var all []store.Checkpoint
	err := s.read(ctx, readCheckpoints, func(r row) error {
		cp := store.Checkpoint{
			Listener: r.text(0),
			Cursor:   ffcapi.Cursor{Block: *r.number(1), Tx: *r.number(2), Log: *r.number(3)},
			Block:    ffcapi.BlockRef{Number: *r.number(4), Hash: r.text(5)},
			Updated:  r.time(7),
		}
		if older := r.text(6); older != "" {
			if err := json.Unmarshal([]byte(older), &cp.Older); err != nil {
				return fmt.Errorf("blocks of listener %s: %w", cp.Listener, err)
			}
		}
		all = append(all, cp)
		return nil
	}, stream)
	if err != nil {
		return nil, fmt.Errorf("checkpoints of stream %s: %w", stream, err)
	}
	return all, nil
}

// Positions implements store.Streams.
func (s *Store) Positions(ctx context.Context, streams []string) ([]store.Position, error) {
	var all []store.Position
	err := s.read(ctx, readPositions, func(r row) error {
		// Of the rest, which may be much, nothing is needed.
		var spec struct {
			Type   string        `json:"type"`
			Ledger string        `json:"ledger"`
			Start  ffcapi.Cursor `json:"start"`

			ToBlock *uint64 `json:"toBlock"`
		}
		if err := json.Unmarshal([]byte(r.text(1)), &spec); err != nil {
			return fmt.Errorf("decode a listener of stream %s: %w", r.text(0), err)
		}
		p := store.Position{Stream: r.text(0), Type: spec.Type, Ledger: spec.Ledger, Cursor: spec.Start, ToBlock: spec.ToBlock}
		if block := r.number(2); block != nil {
			p.Cursor = ffcapi.Cursor{Block: *block, Tx: *r.number(3), Log: *r.number(4)}
		}
		all = append(all, p)
		return nil
	}, s.texts(streams))
	if err != nil {
		return nil, fmt.Errorf("positions of %d streams: %w", len(streams), err)
	}
	return all, nil
}
