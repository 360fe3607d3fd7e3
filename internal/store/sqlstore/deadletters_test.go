package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// setAside makes a stream with many dead letters of 1 KiB, beside the store. One in a hundred is to be replayed.
func setAside(t testing.TB, p *sqlstoretest.Place, s *sqlstore.Store, many int) {
	t.Helper()
	require.NoError(t, s.InsertStream(t.Context(), &store.Stream{ID: "s", Name: "s"}))
	numbers := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)", many)
	payload := "zeroblob(1024)"
	if p.Dialect == sqlstoretest.Postgres {
		numbers, payload = fmt.Sprintf("WITH n AS (SELECT i FROM generate_series(1, %d) AS g (i))", many), "convert_to(repeat('x', 1024), 'UTF8')"
	}
	p.Exec(t, `INSERT INTO dead_letters (id, stream, listener, listener_name, replay, event, block, payload, kind, error, attempts, first_failed, last_failed, asked) `+
		numbers+` SELECT 'letter-' || i, 's', 'l', 'l', '', 'event-' || i, 0 + i, `+payload+`, 'permanent', 'no', 1, 1, 1, CASE WHEN i % 100 = 0 THEN 1 ELSE 0 END FROM n`)
	if p.Dialect == sqlstoretest.Postgres {
		p.Exec(t, "VACUUM ANALYZE dead_letters")
	}
}

// What every scrape of the metrics asks reads an index, however many dead letters there are and however large they are.
func TestCountingDeadLettersReadsNone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		setAside(t, p, s, 20_000)
		counts, err := s.CountDeadLetters(t.Context(), []string{"s", "none"})
		require.NoError(t, err)
		require.Equal(t, map[string]store.LetterCount{"s": {All: 20_000, Replays: 200}}, counts)
		plan := sqlstore.LetterPlan(t, s)
		only := map[string]string{sqlstoretest.SQLite: "COVERING INDEX ", sqlstoretest.Postgres: "Index Only Scan using "}[dialect]
		require.Contains(t, plan, only+"dead_letters_stream", plan)
		require.Contains(t, plan, only+"dead_letters_asked", plan)
	})
}

// accepted is how many transactions are accepted, one after the other, while something else is under way.
func accepted(t testing.TB, s *sqlstore.Store, name string, do func()) (n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begun, ended := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			if ctx.Err() != nil {
				ended <- n - 1 // the last one may have had to wait for the end
				return
			}
			_, err := s.Accept(context.WithoutCancel(ctx), s.Fence(), request(fmt.Sprint(name, n), "alice"))
			if err != nil {
				t.Error(err)
			}
			if n == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	do()
	cancel()
	return <-ended - 1
}

// Whoever is in charge of many dead letters does not keep others from writing.
func TestManyDeadLettersStopNobody(t *testing.T) {
	t.Parallel()
	const many = 100_000
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		setAside(t, p, s, many)
		ctx := t.Context()
		for _, step := range []struct {
			name string
			do   func(t *testing.T)
		}{
			{"ask for all", func(t *testing.T) {
				t.Helper()
				n, err := s.AskReplay(ctx, s.Fence(), store.LetterFilter{Stream: "s"})
				require.NoError(t, err)
				require.Equal(t, int64(many), n)
			}},
			{"delete the stream", func(t *testing.T) {
				t.Helper()
				require.NoError(t, s.DeleteStream(ctx, "s"))
			}},
		} {
			n := accepted(t, s, strings.ReplaceAll(step.name, " ", "-"), func() { step.do(t) })
			t.Logf("%s: %d accepted meanwhile", step.name, n)
			require.GreaterOrEqual(t, n, 5, step.name)
		}
		list, err := s.ListDeadLetters(ctx, store.LetterFilter{Stream: "s"}, 1)
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

// What to change is looked for beside the writer, which is not asked if there is nothing.
func TestDeadLettersAreLookedForBesideTheWriter(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		setAside(t, p, s, 100)
		release := s.Occupy(t)
		defer release()
		n, err := s.AskReplay(t.Context(), s.Fence(), store.LetterFilter{Stream: "s", Kind: store.LetterExpression})
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
