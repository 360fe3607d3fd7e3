package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
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

// Plans are how the database goes about the queries of a filter, one of them each.
func Plans(tb testing.TB, s *Store, flt store.TxFilter) (plans []string) {
	tb.Helper()
	explain := func(query string, args []any) {
		keyword := "EXPLAIN QUERY PLAN "
		if s.dialect == dialectPostgres {
			keyword = "EXPLAIN "
		}
		var plan strings.Builder
		require.NoError(tb, s.find(tb.Context(), keyword+query, args, func(r row) error {
			plan.WriteString(r.text(len(r)-1) + "\n")
			return nil
		}))
		plans = append(plans, plan.String())
	}
	shares, err := s.shares(tb.Context(), flt)
	require.NoError(tb, err)
	for _, sh := range shares {
		for _, set := range statusSets(flt.Statuses) {
			q, err := newSearch(s.dialect, flt, set, sh)
			require.NoError(tb, err)
			for _, w := range q.ways {
				explain(q.page(w, nil, flt))
				if len(w.rest) > 0 {
					explain(q.horizon(w, efforts[0]))
				}
			}
		}
	}
	return plans
}

// Synchronous reads back how SQLite's writer syncs: 2 is FULL.
func (s *Store) Synchronous(ctx context.Context) (mode int64, err error) {
	err = s.lone(ctx, nil, func(*group) error {
		mode, err = queryInt(ctx, s.writer.session.(*sqliteSession).conn, "PRAGMA synchronous")
		return err
	})
	return mode, err
}

// Lookups are how SQLite finds attempts by hash, attempts by nonce, and the nonces of a signer.
func Lookups(tb testing.TB, s *Store) (hashes, spot, nonces string) {
	tb.Helper()
	plan := func(query string, args ...any) string {
		var b strings.Builder
		require.NoError(tb, s.find(tb.Context(), "EXPLAIN QUERY PLAN "+query, args, func(r row) error {
			b.WriteString(r.text(len(r)-1) + "\n")
			return nil
		}))
		return b.String()
	}
	return plan(statements[sqlAttemptsByHash].sql, "main", s.texts([]string{"h"})),
		plan(statements[sqlAttemptsAtNonce].sql, "main", "alice", 1, "main", "alice", 1),
		plan(readOpenNonces.sqlite(), "main", "alice", 1, "main", "alice", 1, 9)
}

// OutcomeTexts are an outcome as it is stored, and as encoding/json has it.
func OutcomeTexts(o *store.Outcome) (got any, want string, err error) {
	if want, err = jsonText(o); err == nil {
		got, err = outcomeValue(o)
	}
	return got, want, err
}

// KeyPlans are how PostgreSQL goes about the writer's updates of many rows and about reads by key, by their SQL.
func KeyPlans(tb testing.TB, s *Store) map[string]string {
	tb.Helper()
	session, ok := s.writer.session.(*pgSession)
	require.True(tb, ok)
	queries := map[string]int{} // how many arguments they have
	for id, st := range statements {
		if st.many != "" {
			queries[session.many[id]] = len(st.types)
		}
	}
	for id, keyed := range keyedReads {
		if keyed {
			queries[dialectPostgres.render(readSQL[id])] = strings.Count(readSQL[id], "?") + strings.Count(readSQL[id], "{in ")
		}
	}
	plans := map[string]string{}
	require.NoError(tb, s.lone(tb.Context(), nil, func(*group) error {
		for query, n := range queries {
			plan, err := planOf(tb.Context(), session.conn, fmt.Sprintf("plan%d", len(plans)), query, n)
			if err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
			plans[query] = plan
		}
		return nil
	}))
	return plans
}

// planOf is the plan that is kept of a query.
func planOf(ctx context.Context, conn *pgx.Conn, name, query string, args int) (string, error) {
	if _, err := conn.Exec(ctx, "PREPARE "+name+" AS "+query); err != nil {
		return "", err
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", args), ", ")
	rows, err := conn.Query(ctx, "EXPLAIN EXECUTE "+name+"("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

// EncodeHistory and DecodeHistory are the stored form of what a transaction is accepted with.
var (
	EncodeHistory = encodeHistory
	DecodeHistory = decodeHistory
)

// EnterSigners has SQLite's writer enter the signers of so many transactions at a time, instead of thousands.
func (s *Store) EnterSigners(ctx context.Context, lag int64) error {
	return s.lone(ctx, nil, func(*group) error {
		s.writer.session.(*sqliteSession).lag = lag
		return nil
	})
}

// LimitSearch has a search look at most at so many transactions.
func (s *Store) LimitSearch(most int) { s.efforts = []int{1 + most/8, 1 + most/2, most} }

// Entered is up to which transaction they are entered, and how many there are.
func (s *Store) Entered(tb testing.TB) (upTo, entries int64) {
	tb.Helper()
	require.NoError(tb, s.find(tb.Context(), "SELECT upto, (SELECT count(*) FROM tx_by_signer) FROM signer_index", nil, func(r row) error {
		upTo, entries = r.int(0), r.int(1)
		return nil
	}))
	return upTo, entries
}

// LetterPlan is how the database counts dead letters.
func LetterPlan(tb testing.TB, s *Store) string {
	tb.Helper()
	keyword := "EXPLAIN QUERY PLAN "
	if s.dialect == dialectPostgres {
		keyword = "EXPLAIN "
	}
	var plan strings.Builder
	require.NoError(tb, s.find(tb.Context(), keyword+readSQL[readLetterCounts], []any{s.texts([]string{"s"})}, func(r row) error {
		plan.WriteString(r.text(len(r)-1) + "\n")
		return nil
	}))
	return plan.String()
}

// Occupy keeps the writer busy until release is called.
func (s *Store) Occupy(tb testing.TB) (release func()) {
	tb.Helper()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.lone(tb.Context(), nil, func(*group) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		require.NoError(tb, <-ended)
	}
}

// Queued is how many commands wait for the writer.
func (s *Store) Queued() (n int) {
	for _, q := range s.writer.queues {
		n += len(q)
	}
	return n
}
