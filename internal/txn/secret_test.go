package txn_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sealed"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// withKeys encrypts what is secret.
func withKeys(t *testing.T, keys ...string) func(*txn.Options) {
	t.Helper()
	k, err := sealed.NewKeys(keys, "")
	require.NoError(t, err)
	return func(o *txn.Options) { o.Store = sealed.New(o.Store, k) }
}

var aKey = strings.Repeat("5e", 32)

// discreet is a fake chain on which everything is secret whose method begins with "secret".
func discreet() *fake {
	f := newFake()
	f.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		name := strings.Trim(string(req.Method), `"`)
		return &ffcapi.Prepared{Payload: []byte(name), Hash: hashOf(name), Sensitive: strings.HasPrefix(name, "secret")}, nil
	}
	return f
}

// TestASecretIsSentAfterARestart: what is stored encrypted is what is sent.
func TestASecretIsSentAfterARestart(t *testing.T) {
	t.Parallel()
	place, f := sqlstoretest.NewPlace(t, sqlstoretest.SQLite), discreet()
	f.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, Message: "away"}
	}
	r := newRig(t, setup{place: place, fake: f, opts: withKeys(t, aKey)})
	r.submit(submission("secret-1"))
	r.untilSent(1)
	r.stop()
	require.NoError(t, r.store.Close())

	again := discreet()
	r = newRig(t, setup{place: place, fake: again, opts: withKeys(t, aKey)})
	require.Equal(t, "secret-1", r.untilSent(1)[0].payload)
	p, err := r.store.Payload(t.Context(), "secret-1", 1)
	require.NoError(t, err)
	require.Empty(t, p.Prepared)
	require.NotContains(t, string(p.Sensitive), "secret-1")
}

// TestASecretIsNotRetried: it was wiped when its transaction ended.
func TestASecretIsNotRetried(t *testing.T) {
	t.Parallel()
	f := discreet()
	f.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return refusal("broke") }
	r := newRig(t, setup{fake: f, opts: withKeys(t, aKey)})
	r.submit(submission("secret-1"))
	r.until("secret-1", store.SubFailed)
	_, _, err := r.RetryTransaction(t.Context(), "secret-1", "")
	require.ErrorIs(t, err, store.ErrWiped)
	require.ErrorContains(t, err, "post it anew, with another headers.id")
	_, err = r.store.Transaction(t.Context(), "secret-1:retry-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, replay, err := r.Submit(t.Context(), submission("secret-1"))
	require.NoError(t, err)
	require.True(t, replay, "the same request is still known for the same")
}

// TestNoSecretsWithoutAKey: they are refused, and hold up nobody.
func TestNoSecretsWithoutAKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{fake: discreet(), sequenced: true, opts: withKeys(t)})
	_, _, err := r.Submit(t.Context(), submission("secret-1"))
	require.ErrorIs(t, err, store.ErrNoKey)
	r.submit(submission("plain"))
	require.Equal(t, "plain", r.untilSent(1)[0].payload)
	require.Len(t, r.fake.sends(), 1)
}
