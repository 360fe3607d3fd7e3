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
var efforts = [...]int{250, 5_000, store.MaxSearch}

// List implements store.Transactions.
func (s *Store) List(ctx context.Context, flt store.TxFilter) ([]*store.Tx, error) {
	shares, err := s.shares(ctx, flt)
	if err != nil {
		return nil, err
	}
	sets := statusSets(flt.Statuses)
	one := flt
	alone := len(sets)*len(shares) <= 1
	if !alone { // they are skipped and cut when they are together
		one.Skip = 0
		if flt.Limit > 0 {
			one.Limit = flt.Limit + flt.Skip
		}
	}
	var txs []*store.Tx
	for _, sh := range shares {
		for _, set := range sets {
			found, err := s.listOne(ctx, one, set, sh)
			if err != nil {
				return nil, fmt.Errorf("list transactions: %w", err)
			}
			txs = append(txs, found...)
		}
	}
	if alone {
		return txs, nil
	}
	slices.SortFunc(txs, func(a, b *store.Tx) int {
		newest := cmp.Compare(b.Version, a.Version)
		if flt.Ascending {
			return cmp.Or(cmp.Compare(a.Seq, b.Seq), newest)
		}
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), newest)
	})
	// One whose status changed between two reads was found twice.
	txs = slices.CompactFunc(txs, func(a, b *store.Tx) bool { return a.Seq == b.Seq })
	txs = txs[min(flt.Skip, len(txs)):]
	if flt.Limit > 0 {
		txs = txs[:min(flt.Limit, len(txs))]
	}
	return txs, nil
}

func (s *Store) listOne(ctx context.Context, flt store.TxFilter, statuses []store.TxStatus, sh share) ([]*store.Tx, error) {
	q, err := newSearch(s.dialect, flt, statuses, sh)
	if err != nil {
		return nil, err
	}
	for _, w := range q.ways {
		if len(w.rest) == 0 {
			return s.page(ctx, q, w, nil, flt)
		}
	}
	var last int64
	for _, effort := range efforts {
		for _, w := range q.ways {
			end, err := s.horizon(ctx, q, w, effort)
			if err != nil {
				return nil, err
			}
			txs, err := s.page(ctx, q, w, end, flt)
			if err != nil || end == nil || flt.Limit > 0 && len(txs) == flt.Limit {
				return txs, err
			}
			last = *end
		}
	}
	return nil, s.tooWide(ctx, last)
}

// horizon is how far a search looks: at the last one of effort transactions on its way. nil: there are not more than that.
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

func (s *Store) tooWide(ctx context.Context, last int64) error {
	e := &store.TooWide{Looked: store.MaxSearch}
	err := s.find(ctx, "SELECT id FROM tx WHERE seq = ?", []any{last}, func(r row) error {
		e.Last = r.text(0)
		return nil
	})
	if err != nil {
		return err
	}
	return e
}

// Count implements store.Transactions.
func (s *Store) Count(ctx context.Context, flt store.TxFilter) (int, error) {
	flt.After, flt.Ascending = 0, false
	shares, err := s.shares(ctx, flt)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, sh := range shares {
		for _, set := range statusSets(flt.Statuses) {
			n, err := s.countOne(ctx, flt, set, sh)
			if err != nil {
				return 0, fmt.Errorf("count transactions: %w", err)
			}
			sum += n
		}
	}
	return sum, nil
}

// countOne counts on a way that can be walked to its end. What an index answers alone is counted in the index, which is far faster.
func (s *Store) countOne(ctx context.Context, flt store.TxFilter, statuses []store.TxStatus, sh share) (n int, err error) {
	q, err := newSearch(s.dialect, flt, statuses, sh)
	if err != nil {
		return 0, err
	}
	var last int64
	for _, w := range q.ways {
		from := w.walk
		if len(w.rest) > 0 {
			from = w.from
			end, err := s.horizon(ctx, q, w, store.MaxSearch+1)
			if err != nil {
				return 0, err
			}
			if end != nil {
				last = *end
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
	return 0, s.tooWide(ctx, last)
}
