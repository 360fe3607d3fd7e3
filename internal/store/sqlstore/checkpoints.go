package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// NewEpoch implements store.Streams.
func (s *Store) NewEpoch(ctx context.Context, f store.Fence, stream string) (epoch int64, err error) {
	err = s.lone(ctx, &f, func(g *group) error {
		there, err := g.ask(sqlStreamEpoch, func(r row) { epoch = r.int(0) + 1 }, stream)
		if err == nil && !there {
			err = store.ErrNotFound
		}
		if err == nil {
			g.session.exec(sqlRaiseEpoch, 1, stream)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("new epoch of stream %s: %w", stream, err)
	}
	return epoch, nil
}

// ResetCheckpoints implements store.Streams.
func (s *Store) ResetCheckpoints(ctx context.Context, f store.Fence, ls []*store.Listener) error {
	specs := make([]string, len(ls))
	for i, l := range ls {
		var err error
		if specs[i], err = encodeListener(l); err == nil {
			err = names("name", l.Name)
		}
		if err != nil {
			return fmt.Errorf("reset checkpoint of listener %s: %w", l.ID, err)
		}
	}
	return s.lone(ctx, &f, func(g *group) error {
		streams := make(map[string]bool)
		for _, l := range ls { // before the first write, see loneCmd
			stream, err := g.checkListener(l)
			if err != nil {
				return fmt.Errorf("reset checkpoint of listener %s: %w", l.ID, err)
			}
			streams[stream] = true
		}
		for i, l := range ls {
			g.writeListener(l, specs[i])
			g.session.exec(sqlDeleteCheckpoint, anyRows, l.ID)
		}
		for stream := range streams {
			g.session.exec(sqlRaiseEpoch, 1, stream)
		}
		return nil
	})
}

// epochCheck is the part of a command that only the newest run of a stream may give.
type epochCheck struct {
	stream string
	epoch  int64

	found  bool
	newest int64
}

// A stream's id and a transaction's may be the same text.
func (c *epochCheck) scope() string { return "stream\x00" + c.stream }

func (c *epochCheck) load(g *group) {
	c.found = false
	g.session.query(sqlStreamEpoch, func(r row) error {
		c.found, c.newest = true, r.int(0)
		return nil
	}, c.stream)
}

// check is for plan.
func (c *epochCheck) check() error {
	if !c.found || c.newest != c.epoch {
		return fmt.Errorf("epoch %d, now %d: %w", c.epoch, c.newest, store.ErrFenced)
	}
	return nil
}

// checkpointsCmd writes the checkpoints of one stream.
type checkpointsCmd struct {
	epochCheck
	cps   []store.Checkpoint
	older []any // as stored, by checkpoint; nil: what is there stays
}

// WriteCheckpoints implements store.Streams.
func (s *Store) WriteCheckpoints(ctx context.Context, f store.Fence, stream string, epoch int64, cps []store.Checkpoint) error {
	c := &checkpointsCmd{epochCheck: epochCheck{stream: stream, epoch: epoch}, cps: cps, older: make([]any, len(cps))}
	var err error
	for i := range cps {
		if err = names("listener", cps[i].Listener, "block hash", cps[i].Block.Hash); err != nil {
			break
		}
		if cps[i].Older != nil {
			var text []byte
			if text, err = json.Marshal(cps[i].Older); err != nil {
				break
			}
			c.older[i] = string(text)
		}
	}
	if err == nil {
		err = s.writer.submit(ctx, classCheckpoint, &f, c)
	}
	if err != nil {
		return fmt.Errorf("write checkpoints of stream %s: %w", stream, err)
	}
	return nil
}

func (c *checkpointsCmd) plan(g *group) error {
	if err := c.check(); err != nil {
		return err
	}
	for i := range c.cps {
		cp := &c.cps[i]
		g.session.exec(sqlPutCheckpoint, anyRows, c.epoch, bits(cp.Cursor.Block), bits(cp.Cursor.Tx), bits(cp.Cursor.Log),
			bits(cp.Block.Number), cp.Block.Hash, c.older[i], orNow(cp.Updated, g), cp.Listener, c.stream)
	}
	return nil
}
