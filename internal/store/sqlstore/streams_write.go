package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// loneCmd is a command that asks as it goes. It must have queued no write when it returns an error.
type loneCmd struct{ do func(g *group) error }

func (*loneCmd) scope() string         { return "" }
func (*loneCmd) load(*group)           {}
func (c *loneCmd) plan(g *group) error { return c.do(g) }
func (*loneCmd) alone()                {}

// ask carries a query out at once and reports whether it had a row.
func (g *group) ask(id stmtID, each func(r row), args ...any) (bool, error) {
	found := false
	g.session.query(id, func(r row) error {
		found = true
		if each != nil {
			each(r)
		}
		return nil
	}, args...)
	return found, g.session.flush()
}

// free reports ErrConflict when a query finds a row of another id.
func (g *group) free(query stmtID, id string, args ...any) error {
	var other string
	_, err := g.ask(query, func(r row) {
		if r.text(0) != id {
			other = r.text(0)
		}
	}, args...)
	if err == nil && other != "" {
		err = fmt.Errorf("name is taken by %s: %w", other, store.ErrConflict)
	}
	return err
}

func (s *Store) lone(ctx context.Context, f *store.Fence, do func(g *group) error) error {
	return s.writer.submit(ctx, classOther, f, &loneCmd{do: do})
}

// orNow is the time a caller gave, or the writer's.
func orNow(t time.Time, g *group) int64 {
	if t.IsZero() {
		return g.now
	}
	return toMicros(t)
}

// InsertStream implements store.Streams.
func (s *Store) InsertStream(ctx context.Context, st *store.Stream) error {
	spec, err := encodeStream(st)
	if err == nil {
		err = names("id", st.ID, "name", st.Name)
	}
	var seq int64
	if err == nil {
		err = s.lone(ctx, nil, func(g *group) error {
			there, err := g.ask(sqlStreamNamed, nil, st.ID, st.Name)
			if err == nil && there {
				err = store.ErrConflict
			}
			if err != nil {
				return err
			}
			_, err = g.ask(sqlInsertStream, func(r row) { seq = r.int(0) },
				st.ID, st.Name, orNow(st.Created, g), orNow(st.Updated, g), int64(0), spec)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("insert stream %s: %w", st.ID, err)
	}
	st.Seq, st.Epoch = seq, 0
	return nil
}

// UpdateStream implements store.Streams.
func (s *Store) UpdateStream(ctx context.Context, st *store.Stream) error {
	spec, err := encodeStream(st)
	if err == nil {
		err = names("name", st.Name)
	}
	if err == nil {
		err = s.lone(ctx, nil, func(g *group) error {
			if err := g.mustExist(sqlStreamEpoch, st.ID); err != nil {
				return err
			}
			if err := g.free(sqlStreamNamed, st.ID, st.ID, st.Name); err != nil {
				return err
			}
			g.session.exec(sqlUpdateStream, 1, st.Name, orNow(st.Updated, g), spec, st.ID)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("update stream %s: %w", st.ID, err)
	}
	return nil
}

// mustExist is ErrNotFound when a query by id has no row.
func (g *group) mustExist(query stmtID, id string) error {
	there, err := g.ask(query, nil, id)
	if err == nil && !there {
		err = store.ErrNotFound
	}
	return err
}

// DeleteStream implements store.Streams. Its dead letters, which may be many, go first: until it is gone itself, it can be deleted again.
func (s *Store) DeleteStream(ctx context.Context, id string) error {
	if _, err := s.deleteLetters(ctx, nil, store.LetterFilter{Stream: id}); err != nil {
		return fmt.Errorf("delete stream %s: dead letters: %w", id, err)
	}
	err := s.lone(ctx, nil, func(g *group) error {
		if err := g.mustExist(sqlStreamEpoch, id); err != nil {
			return err
		}
		g.session.exec(sqlDeleteStreamCheckpoints, anyRows, id)
		g.session.exec(sqlDeleteStreamListeners, anyRows, id)
		g.session.exec(sqlDeleteStreamLetters, anyRows, id)
		g.session.exec(sqlDeleteStream, 1, id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete stream %s: %w", id, err)
	}
	return nil
}

// InsertListener implements store.Streams.
func (s *Store) InsertListener(ctx context.Context, l *store.Listener) error {
	spec, err := encodeListener(l)
	if err == nil {
		err = names("id", l.ID, "name", l.Name)
	}
	var seq int64
	if err == nil {
		err = s.lone(ctx, nil, func(g *group) error {
			if err := g.mustExist(sqlStreamOf, l.StreamID); err != nil {
				return fmt.Errorf("stream %s: %w", l.StreamID, err)
			}
			there, err := g.ask(sqlListenerNamed, nil, l.ID, l.StreamID, l.Name)
			if err == nil && there {
				err = store.ErrConflict
			}
			if err != nil {
				return err
			}
			_, err = g.ask(sqlInsertListener, func(r row) { seq = r.int(0) },
				l.ID, l.StreamID, l.Name, orNow(l.Created, g), orNow(l.Updated, g), spec)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("insert listener %s: %w", l.ID, err)
	}
	l.Seq = seq
	return nil
}

// checkListener says whether a listener can have its new values, and returns its stream.
func (g *group) checkListener(l *store.Listener) (stream string, err error) {
	there, err := g.ask(sqlListenerExists, func(r row) { stream = r.text(1) }, l.ID)
	if err == nil && !there {
		err = store.ErrNotFound
	}
	if err == nil {
		err = g.free(sqlListenerNamed, l.ID, l.ID, stream, l.Name)
	}
	return stream, err
}

// writeListener queues the new values of a listener that was checked.
func (g *group) writeListener(l *store.Listener, spec string) {
	g.session.exec(sqlUpdateListener, 1, l.Name, orNow(l.Updated, g), spec, l.ID)
}

// UpdateListener implements store.Streams.
func (s *Store) UpdateListener(ctx context.Context, l *store.Listener) error {
	spec, err := encodeListener(l)
	if err == nil {
		err = names("name", l.Name)
	}
	if err == nil {
		err = s.lone(ctx, nil, func(g *group) error {
			if _, err := g.checkListener(l); err != nil {
				return err
			}
			g.writeListener(l, spec)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("update listener %s: %w", l.ID, err)
	}
	return nil
}

// DeleteListener implements store.Streams.
func (s *Store) DeleteListener(ctx context.Context, id string) error {
	err := s.lone(ctx, nil, func(g *group) error {
		if err := g.mustExist(sqlListenerExists, id); err != nil {
			return err
		}
		g.session.exec(sqlDeleteCheckpoint, anyRows, id)
		g.session.exec(sqlDeleteListener, 1, id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete listener %s: %w", id, err)
	}
	return nil
}
