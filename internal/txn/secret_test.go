package txn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
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

// secrets is a fake chain on which all is secret, and another attempt has another hash.
func secrets() *fake {
	f := newFake()
	f.onPrepare = func(_ context.Context, _ *ffcapi.Request) (*ffcapi.Prepared, error) {
		payload := fmt.Sprintf("secret-%d", f.calls("Prepare"))
		return &ffcapi.Prepared{Payload: []byte(payload), Hash: hashOf(payload), Sensitive: true}, nil
	}
	return f
}

// forgetful is a finishing connector that does not say again that what it finishes is secret.
type forgetful struct{ finishing }

func (f forgetful) Finish(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Prepared, error) {
	p, err := f.finishing.Finish(ctx, sub)
	if p != nil {
		p.Sensitive = false
	}
	return p, err
}

func finished() error { return nil }

// sealing makes a rig on what a process before has left, with keys, and the policy and the two steps of Fabric.
func sealing(t *testing.T, place *sqlstoretest.Place, f *fake, onFinish func() error, keys ...string) *rig {
	t.Helper()
	c := fabric.DefaultConfig()
	quick := pace.Backoff{Initial: time.Millisecond, Max: 10 * time.Millisecond}
	c.ConflictBackoff, c.Backoff = quick, quick
	encrypt := withKeys(t, keys...)
	return newRig(t, setup{place: place, fake: f, opts: func(o *txn.Options) {
		encrypt(o)
		o.Policy = fabric.New(c)
		o.Connector = forgetful{finishing{f, onFinish}}
	}})
}

// TestASecretThatWasFinishedIsPreparedAfresh: its request is still there, and nothing of it is stored in the clear.
func TestASecretThatWasFinishedIsPreparedAfresh(t *testing.T) {
	t.Parallel()
	r := sealing(t, nil, secrets(), finished, aKey)
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	for n, lost := range []string{"secret-1", "secret-2"} {
		r.view.block(0, ffcapi.TxOutcome{Hash: hashOf(lost), Reason: "MVCC_READ_CONFLICT", Retryable: true})
		r.untilSent(n + 2)
		r.until("a", store.SubTracking)
		p, err := r.store.Payload(t.Context(), "a", n+2)
		require.NoError(t, err)
		require.Empty(t, p.Prepared)
	}
	r.view.block(0, success(hashOf("secret-3")))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}

var anotherKey = strings.Repeat("6f", 32)

// TestALostKeyIsTold: what cannot be decrypted says so wherever it has got to, is not sent, and goes on once the key is back.
func TestALostKeyIsTold(t *testing.T) {
	t.Parallel()
	finish := ffcapi.Errorf(ffcapi.Unavailable, "nobody endorses it")
	for name, got := range map[string]func(r *rig){
		"never sent": func(r *rig) {
			r.submit(submission("a"))
			require.Eventually(t, func() bool { return r.tx("a").Error == finish.Error() }, wait, tick)
		},
		"it may have left": func(r *rig) {
			r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
				return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe, Message: "away"}
			}
			r.submit(submission("a"))
			r.until("a", store.SubUnknownOutcome)
		},
		"it lost a race": func(r *rig) {
			r.submit(submission("a"))
			r.until("a", store.SubTracking)
			r.stop()
			r.view.block(0, ffcapi.TxOutcome{Hash: hashOf("secret-1"), Reason: "MVCC_READ_CONFLICT", Retryable: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
			r := sealing(t, place, secrets(), func() error {
				if name == "never sent" {
					return finish
				}
				return nil
			}, aKey)
			got(r)
			r.crash()

			r = sealing(t, place, secrets(), finished, anotherKey)
			require.Eventually(t, func() bool {
				tx, err := r.Transaction(t.Context(), "a", false)
				require.NoError(t, err)
				return strings.Contains(tx.Progress.Message, "add it to store.encryptionKeys")
			}, wait, tick, "nobody says what is wrong")
			require.Empty(t, r.fake.sends())
			require.Equal(t, store.Pending, r.tx("a").Status)
			r.crash()

			r = sealing(t, place, secrets(), finished, anotherKey, aKey)
			r.untilSent(1)
			r.until("a", store.SubTracking)
		})
	}
}

func (r *rig) tx(id string) *store.Tx {
	r.t.Helper()
	tx, err := r.store.Transaction(r.t.Context(), id)
	require.NoError(r.t, err)
	return tx
}
