package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/internal/store"
)

// efforts are how many transactions a search looks at on each way, one effort after the other: which way is short is found out by
// walking it.
var efforts = []int{250, 5_000, store.MaxSearch}

// List implements store.Transactions.
func (s *Store) List(ctx context.Context, flt store.TxFilter) ([]*store.Tx, error) {
	txs, err := s.list(ctx, flt)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	return txs, nil
}

func (s *Store) list(ctx context.Context, flt store.TxFilter) ([]*store.Tx, error) {
	searches, err := s.searches(ctx, flt)
	if err != nil {
		return nil, err
	}
	if len(searches) == 1 {
		if w := searches[0].direct(); w != nil {
			return s.page(ctx, searches[0], *w, nil, flt)
		}
	}
	one := flt // what is found is skipped and cut when it is together
	one.Skip = 0
	if flt.Limit > 0 {
		one.Limit = flt.Limit + flt.Skip
	}
	var txs []*store.Tx
	var end *int64
	for _, q := range searches {
		found, upTo, err := s.listOne(ctx, one, q)
		if err != nil {
			return nil, err
		}
		txs = append(txs, found...)
		if upTo != nil && (end == nil || q.along(*upTo, *end) < 0) {
			end = upTo
		}
	}
	txs = merge(flt, txs, end)
	skipped := min(flt.Skip, len(txs))
	txs = txs[skipped:]
	if len(txs) == 0 && end != nil {
		return nil, s.tooWide(ctx, flt, *end, skipped)
	}
	if flt.Limit > 0 {
		txs = txs[:min(flt.Limit, len(txs))]
	}
	return txs, nil
}

// searches are what a filter is split into: one for each share and each set of statuses.
func (s *Store) searches(ctx context.Context, flt store.TxFilter) (qs []*search, err error) {
	shares, err := s.shares(ctx, flt)
	if err != nil {
		return nil, err
	}
	for _, sh := range shares {
		for _, set := range statusSets(flt.Statuses) {
			q, err := newSearch(s.dialect, flt, set, sh)
			if err != nil {
				return nil, err
			}
			qs = append(qs, q)
		}
	}
	return qs, nil
}

// merge orders what several searches found, and leaves out what is behind end, up to where all of them have looked.
func merge(flt store.TxFilter, txs []*store.Tx, end *int64) []*store.Tx {
	slices.SortFunc(txs, func(a, b *store.Tx) int {
		return cmp.Or(along(flt.Ascending, a.Seq, b.Seq), cmp.Compare(b.Version, a.Version))
	})
	// One whose status changed between two reads was found twice.
	txs = slices.CompactFunc(txs, func(a, b *store.Tx) bool { return a.Seq == b.Seq })
	if end == nil {
		return txs
	}
	return slices.DeleteFunc(txs, func(tx *store.Tx) bool { return along(flt.Ascending, tx.Seq, *end) > 0 })
}

// along compares two places in the direction of a search.
func along(ascending bool, a, b int64) int {
	if ascending {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

func (q *search) along(a, b int64) int { return along(q.ascending, a, b) }

// direct is a way of which the index answers everything, or nil.
func (q *search) direct() *way {
	for i := range q.ways {
		if len(q.ways[i].rest) == 0 {
			return &q.ways[i]
		}
	}
	return nil
}

// listOne returns what matches, and how far the last effort came where that was neither enough nor all: what is behind is not known.
func (s *Store) listOne(ctx context.Context, flt store.TxFilter, q *search) (txs []*store.Tx, upTo *int64, err error) {
	if w := q.direct(); w != nil {
		txs, err = s.page(ctx, q, *w, nil, flt)
		return txs, nil, err
	}
	for _, effort := range s.efforts {
		for _, w := range q.ways {
			end, err := s.horizon(ctx, q, w, effort)
			if err != nil {
				return nil, nil, err
			}
			found, err := s.page(ctx, q, w, end, flt)
			if err != nil || end == nil || flt.Limit > 0 && len(found) == flt.Limit {
				return found, nil, err
			}
			if upTo == nil || q.along(*end, *upTo) > 0 { // the way that came farthest found all that the others did
				txs, upTo = found, end
			}
		}
	}
	return txs, upTo, nil
}

// horizon is how far a search looks: at the last one of effort transactions on its way. nil: there are fewer than that.
func (s *Store) horizon(ctx context.Context, q *search, w way, effort int) (end *int64, err error) {
	query, args := q.horizon(w, effort)
	err = s.find(ctx, query, args, func(r row) error {
		seq := r.int(0)
		end = &seq
		return nil
	})
	return end, err
}

func (q *search) horizon(w way, effort int) (query string, args []any) {
	where := q.where(w, false, nil)
	return "SELECT " + w.seq + " FROM " + w.walk + where.sql + q.order(w) + " LIMIT 1 OFFSET ?", append(where.args, int64(effort-1))
}

// page returns what matches on a way, up to the horizon.
func (s *Store) page(ctx context.Context, q *search, w way, end *int64, flt store.TxFilter) ([]*store.Tx, error) {
	query, args := q.page(w, end, flt)
	var txs []*store.Tx
	err := s.find(ctx, query, args, appendTx(&txs))
	return txs, err
}

func (q *search) page(w way, end *int64, flt store.TxFilter) (query string, args []any) {
	where := q.where(w, true, end)
	query = "SELECT " + prefixedTx + " FROM " + w.from + where.sql + q.order(w) + " LIMIT ? OFFSET ?"
	return query, append(where.args, limitOf(flt.Limit), int64(max(flt.Skip, 0)))
}

// prefixedTx are the columns of a transaction where other tables have columns of the same names.
var prefixedTx = "tx." + strings.Join(strings.Fields(strings.ReplaceAll(txColumns, ",", " , tx.")), "")

func (q *search) order(w way) string {
	direction := " DESC"
	if q.ascending {
		direction = " ASC"
	}
	by := " ORDER BY "
	if w.lead != "" {
		by += w.lead + direction + ", "
	}
	return by + w.seq + direction
}

// where is what is asked on a way. rest: with what the index does not answer.
func (q *search) where(w way, rest bool, end *int64) clause {
	clauses := slices.Clone(w.own)
	for _, b := range q.bounds {
		clauses = append(clauses, clause{w.seq + b.sql, b.args})
	}
	if end != nil {
		within := " >= ?"
		if q.ascending {
			within = " <= ?"
		}
		clauses = append(clauses, clause{w.seq + within, []any{*end}})
	}
	if rest {
		clauses = append(clauses, w.rest...)
	}
	return all(" WHERE ", clauses)
}

// find runs a query that was made for one filter.
func (s *Store) find(ctx context.Context, query string, args []any, each func(r row) error) error {
	query = s.dialect.render(query)
	return s.retryRead(each, func(each func(r row) error) error {
		rows, err := s.reader.db.QueryContext(ctx, query, args...)
		if err != nil {
			return s.translate(err)
		}
		return s.scan(rows, each)
	})
}

// tooWide is the error of a search that found nothing up to a place. If that transaction has been removed, the search goes on from the one before it.
func (s *Store) tooWide(ctx context.Context, flt store.TxFilter, end int64, skipped int) error {
	query := "SELECT id FROM tx WHERE seq >= ? ORDER BY seq LIMIT 1"
	if flt.Ascending {
		query = "SELECT id FROM tx WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
	}
	e := &store.TooWide{Looked: s.effort(), Skipped: skipped, Skip: flt.Skip - skipped}
	err := s.find(ctx, query, []any{end}, func(r row) error {
		e.Last = r.text(0)
		return nil
	})
	if err != nil {
		return err
	}
	return e
}

// effort is the last effort.
func (s *Store) effort() int { return s.efforts[len(s.efforts)-1] }

// Count implements store.Transactions.
func (s *Store) Count(ctx context.Context, flt store.TxFilter) (int, error) {
	flt.After, flt.Ascending = 0, false
	searches, err := s.searches(ctx, flt)
	if err != nil {
		return 0, fmt.Errorf("count transactions: %w", err)
	}
	sum := 0
	for _, q := range searches {
		n, err := s.countOne(ctx, q)
		if err != nil {
			return 0, fmt.Errorf("count transactions: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// countOne counts on a way that can be walked to its end. What an index answers alone is counted in the index, which is far faster.
func (s *Store) countOne(ctx context.Context, q *search) (n int, err error) {
	for _, w := range q.ways {
		from := w.walk
		if len(w.rest) > 0 {
			from = w.from
			end, err := s.horizon(ctx, q, w, s.effort()+1)
			if err != nil {
				return 0, err
			}
			if end != nil {
				continue
			}
		}
		where := q.where(w, true, nil)
		err := s.find(ctx, "SELECT count(*) FROM "+from+where.sql, where.args, func(r row) error {
			n = int(r.int(0))
			return nil
		})
		return n, err
	}
	return 0, &store.TooWide{Looked: s.effort()}
}
