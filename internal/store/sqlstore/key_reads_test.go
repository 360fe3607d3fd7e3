package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// asking begins to read a key. The answer is what was found of it, or the error.
func asking(ctx context.Context, p *keyReads, key string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		got := "nothing"
		if err := p.read(ctx, key, func(r row) error {
			got = r.text(0)
			return nil
		}); err != nil {
			got = err.Error()
		}
		answer <- got
	}()
	return answer
}

// TestKeysShareALookUp: those that come while a look-up is under way share the next one, and each gets its own answer.
func TestKeysShareALookUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		goOn := make(chan struct{})
		var asked []int
		p := newKeyReads(func(ctx context.Context, keys []string) (map[string]row, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			asked = append(asked, len(keys))
			<-goOn
			found := map[string]row{}
			for _, k := range keys {
				if k != "unused" {
					found[k] = row{k}
				}
			}
			return found, nil
		})
		go p.run(ctx)
		first := asking(t.Context(), p, "first")
		synctest.Wait()
		left, leave := context.WithCancel(ctx)
		gone := asking(left, p, "gone")
		synctest.Wait()
		leave()
		require.Equal(t, context.Canceled.Error(), <-gone)
		unused := asking(t.Context(), p, "unused")
		var others []<-chan string
		for i := range 40 {
			others = append(others, asking(t.Context(), p, fmt.Sprint("k", i/2))) // two want the same one
		}
		synctest.Wait()
		goOn <- struct{}{}
		require.Equal(t, "first", <-first)
		synctest.Wait()
		stop() // what is under way is finished
		synctest.Wait()
		goOn <- struct{}{}
		require.Equal(t, "nothing", <-unused)
		for i, answer := range others {
			require.Equal(t, fmt.Sprint("k", i/2), <-answer)
		}
		require.Equal(t, []int{1, 42}, asked)
		synctest.Wait()
		require.Equal(t, errClosed.Error(), <-asking(t.Context(), p, "late"))
	})
}

// TestKeyFailsAlone: what PostgreSQL cannot read as text spoils no other look-up.
func TestKeyFailsAlone(t *testing.T) {
	t.Parallel()
	bad := &pgconn.PgError{Code: "22021"}
	p := newKeyReads(func(_ context.Context, keys []string) (map[string]row, error) {
		if slices.Contains(keys, "bad") {
			return nil, bad
		}
		return map[string]row{keys[0]: {keys[0]}}, nil
	})
	reads := make([]*keyRead, 3)
	for i, key := range []string{"a", "bad", "b"} {
		reads[i] = &keyRead{key: key, done: make(chan struct{})}
	}
	p.lookUp(t.Context(), reads)
	require.Equal(t, row{"a"}, reads[0].row)
	require.ErrorIs(t, reads[1].err, bad)
	require.NoError(t, errors.Join(reads[0].err, reads[2].err))
	require.Equal(t, row{"b"}, reads[2].row)
}

// TestKeysUnanswered: a look-up that gets no connection in time says that the store is away, once to each that shares it.
func TestKeysUnanswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := newKeyReads(func(ctx context.Context, _ []string) (map[string]row, error) {
			asked++
			<-ctx.Done()
			return nil, ctx.Err() // as a pool does that has no connection left
		})
		go p.run(t.Context())
		s := &Store{translate: translatePostgres, broken: isBroken}
		began := time.Now()
		err := s.retryRead(func(row) error { return nil }, func(each func(r row) error) error {
			return s.translate(p.read(t.Context(), "a", each))
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, 1, asked, "another connection would be no better")
		require.Equal(t, pgAnswer, time.Since(began))
	})
}
