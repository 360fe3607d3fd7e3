package sealed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sealed"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

const hush = "tell-nobody-7d1f"

var request = json.RawMessage(`{"from":"alice","to":"assets","transient":{"k":"` + hush + `"}}`)

// fixture is a sealed store and the one below it.
type fixture struct {
	*testing.T
	*sealed.Store
	below store.Store
	dir   string
	keys  *sealed.Keys
}

func newFixture(t *testing.T, dialect string) *fixture {
	t.Helper()
	p := sqlstoretest.NewPlace(t, dialect)
	f := &fixture{T: t, below: p.Open(t), dir: p.Dir}
	var err error
	f.keys, err = sealed.NewKeys([]string{strings.Repeat("ab", 32)}, "")
	require.NoError(t, err)
	f.Store = sealed.New(f.below, f.keys)
	return f
}

func newTx(id string, secret bool) *store.NewTx {
	return &store.NewTx{
		Tx:         store.Tx{ID: id, Kind: "SendTransaction", Ledger: "ch1", From: "alice", To: "assets"},
		KeyExpires: time.Now().Add(time.Hour),
		Request:    request, Attempt: store.Attempt{Hash: "hash-" + id},
		Payload: store.Payload{Prepared: []byte("payload " + hush), Result: json.RawMessage(`"` + hush + `"`), Secret: secret},
	}
}

func (f *fixture) accept(n *store.NewTx) *store.Tx {
	f.Helper()
	a, err := f.Accept(f.Context(), f.Fence(), n)
	require.NoError(f, err)
	return a.Tx
}

// requireHidden looks for the secret in all that the store below gives out, and in its files.
func (f *fixture) requireHidden(id string, attempts int) {
	f.Helper()
	raw, err := f.below.Request(f.Context(), id)
	require.NoError(f, err)
	require.NotContains(f, string(raw), hush)
	require.NotContains(f, string(raw), "alice")
	for n := 1; n <= attempts; n++ {
		p, err := f.below.Payload(f.Context(), id, n)
		require.NoError(f, err)
		require.Empty(f, p.Prepared)
		require.Empty(f, p.Result)
		require.NotContains(f, string(p.Sensitive), hush)
	}
	f.requireNotInFiles()
}

func (f *fixture) requireNotInFiles() {
	f.Helper()
	if f.dir == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(f, err)
		require.False(f, bytes.Contains(b, []byte(hush)), "it is in %s", file)
	}
}

func (f *fixture) requireShown(id string, attempt int, want json.RawMessage) {
	f.Helper()
	raw, err := f.Request(f.Context(), id)
	require.NoError(f, err)
	require.JSONEq(f, string(want), string(raw))
	p, err := f.Payload(f.Context(), id, attempt)
	require.NoError(f, err)
	require.Equal(f, &store.Payload{Prepared: []byte("payload " + hush), Result: json.RawMessage(`"` + hush + `"`), Secret: true}, p)
}

func TestSecretsAreEncryptedAndWiped(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dialect)
			n := newTx("a", true)
			tx := f.accept(n)
			require.Equal(f, newTx("a", true).Payload, n.Payload, "the caller goes on with what it has")
			f.requireHidden("a", 1)
			f.requireShown("a", 1, request)

			// Prepared afresh: the request stays with the first attempt.
			second := &store.Attempt{Tx: "a", Number: 2, Ledger: "ch1", State: store.AttemptPrepared, From: "alice", Hash: "hash-2"}
			payload := newTx("a", true).Payload
			tx.Attempt = 2
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{second}, Payload: &payload}))
			f.requireHidden("a", 2)
			f.requireShown("a", 2, request)

			// Changed: the new request comes with the third.
			changed := json.RawMessage(strings.Replace(string(request), "assets", "other", 1))
			third := *second
			third.Number, third.Hash, tx.Attempt = 3, "hash-3", 3
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{
				Tx: tx, Attempts: []*store.Attempt{&third}, Payload: &payload, Request: changed,
			}))
			f.requireHidden("a", 3)
			f.requireShown("a", 3, changed)

			tx.Status, tx.Sub = store.Failed, store.SubFailed
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Wipe: true, Announce: true}))
			_, err := f.Request(f.Context(), "a")
			require.ErrorIs(f, err, store.ErrWiped)
			for n := 1; n <= 3; n++ {
				p, err := f.Payload(f.Context(), "a", n)
				require.NoError(f, err)
				require.Equal(f, &store.Payload{}, p, "nothing is left of attempt %d", n)
			}
			f.requireHidden("a", 3)
			require.NoError(f, f.below.Close())
			f.requireNotInFiles()
		})
	}
}

func TestTheRestPassesThrough(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sqlstoretest.SQLite)
	answers := f.AcceptAll(f.Context(), f.Fence(), []*store.NewTx{newTx("p", false), newTx("s", true), newTx("", false), newTx("q", false)})
	require.Len(t, answers, 4)
	for i, id := range []string{"p", "s", "", "q"} {
		if id == "" {
			require.ErrorIs(t, answers[i].Err, store.ErrInvalid)
			continue
		}
		require.NoError(t, answers[i].Err)
		require.Equal(t, id, answers[i].Accepted.Tx.ID)
	}
	for _, id := range []string{"p", "q"} {
		raw, err := f.below.Request(t.Context(), id)
		require.NoError(t, err)
		require.JSONEq(t, string(request), string(raw))
		p, err := f.Payload(t.Context(), id, 1)
		require.NoError(t, err)
		require.False(t, p.Secret)
		require.Equal(t, []byte("payload "+hush), p.Prepared)
	}
	f.requireShown("s", 1, request)
	tx, err := f.Transaction(t.Context(), "p")
	require.NoError(t, err)
	require.NoError(t, f.Update(t.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Request: json.RawMessage(`{"sealed":0}`)}))
	raw, err := f.Request(t.Context(), "p")
	require.NoError(t, err)
	require.JSONEq(t, `{"sealed":0}`, string(raw))
}

func TestWithoutAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sqlstoretest.SQLite)
	none, err := sealed.NewKeys(nil, "")
	require.NoError(t, err)
	keyless := sealed.New(f.below, none)
	_, err = keyless.Accept(t.Context(), f.Fence(), newTx("a", true))
	require.ErrorIs(t, err, store.ErrNoKey)
	require.ErrorContains(t, err, "set store.encryptionKeys")
	answers := keyless.AcceptAll(t.Context(), f.Fence(), []*store.NewTx{newTx("a", true), newTx("b", false)})
	require.ErrorIs(t, answers[0].Err, store.ErrNoKey)
	require.NoError(t, answers[1].Err)
	require.Equal(t, "b", answers[1].Accepted.Tx.ID)
	_, err = f.Transaction(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound, "nothing of it was stored")

	f.accept(newTx("c", true))
	_, err = keyless.Payload(t.Context(), "c", 1)
	require.ErrorIs(t, err, store.ErrSealed)
	require.ErrorContains(t, err, "add it to store.encryptionKeys")
	_, err = keyless.Request(t.Context(), "c")
	require.ErrorIs(t, err, store.ErrSealed)
	require.ErrorContains(t, err, "add it to store.encryptionKeys")

	_, err = f.below.Accept(t.Context(), f.Fence(), newTx("d", true))
	require.ErrorIs(t, err, store.ErrInvalid, "the store itself takes nothing secret in the clear")
	tx, err := f.Transaction(t.Context(), "c")
	require.NoError(t, err)
	require.ErrorIs(t, f.below.Update(context.Background(), f.Fence(), &store.TxUpdate{Tx: tx, Payload: &store.Payload{Secret: true}}), store.ErrInvalid)
}

// TestAnAttemptIsWrittenAgain: the request stays in its piece, whether it came with the first attempt or with a later one.
func TestAnAttemptIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dialect)
			first, payload := newTx("a", true), newTx("a", true).Payload
			first.Payload.Prepared = []byte("unfinished " + hush)
			tx := f.accept(first)
			again := func() {
				t.Helper()
				require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Payload: &payload}))
				f.requireHidden("a", tx.Attempt)
			}
			again()
			f.requireShown("a", 1, request)

			tx.Attempt = 2
			changed := json.RawMessage(strings.Replace(string(request), "assets", "other", 1))
			second := &store.Attempt{Tx: "a", Number: 2, Ledger: "ch1", State: store.AttemptPrepared, From: "alice", Hash: "hash-2"}
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{
				Tx: tx, Attempts: []*store.Attempt{second}, Payload: &store.Payload{Prepared: []byte("unfinished " + hush), Secret: true}, Request: changed,
			}))
			again()
			f.requireShown("a", 2, changed)

			tx.Attempt = 3
			third := *second
			third.Number, third.Hash = 3, "hash-3"
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{&third}, Payload: &payload}))
			again()
			f.requireShown("a", 3, changed)

			stale := *tx
			tx.Status, tx.Sub = store.Failed, store.SubFailed
			require.NoError(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: tx, Wipe: true, Announce: true}))
			stale.Attempt = 2
			require.ErrorIs(f, f.Update(f.Context(), f.Fence(), &store.TxUpdate{Tx: &stale, Payload: &payload}), store.ErrConflict)
			_, err := f.Request(f.Context(), "a")
			require.ErrorIs(f, err, store.ErrWiped)
		})
	}
}

// TestARequestThatLooksLikeAStandIn is a request all the same.
func TestARequestThatLooksLikeAStandIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sqlstoretest.SQLite)
	n := newTx("a", false)
	n.Request = json.RawMessage(`{"from":"alice","sealed":1}`)
	f.accept(n)
	raw, err := f.Request(t.Context(), "a")
	require.NoError(t, err)
	require.JSONEq(t, string(n.Request), string(raw))
}
