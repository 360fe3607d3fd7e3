package sqlstore

import (
	"context"
	"fmt"
)

// LogLock is the advisory lock that every writer of the status log takes.
const LogLock = pgLogLock

// LimitPages makes SQLite's disk full at a number of pages; 0 takes the limit away.
func (s *Store) LimitPages(ctx context.Context, pages int64) error {
	return s.lone(ctx, nil, func(g *group) error {
		c := s.writer.session.(*sqliteSession).conn
		if pages == 0 {
			pages = 1 << 30
		}
		have, err := queryInt(ctx, c, "PRAGMA page_count")
		if err == nil {
			_, err = queryInt(ctx, c, fmt.Sprintf("PRAGMA max_page_count(%d)", max(pages, have)))
		}
		return err
	})
}
