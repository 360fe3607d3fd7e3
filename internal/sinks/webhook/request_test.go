package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	url, got := recorder(t)
	b := batch(7_000_000_001, 3, 2)
	require.NoError(t, send(t, hook(t, factory(t, nil), url, ""), b))
	r := <-got
	require.Equal(t, string(b.Body), r.body, "the bare array, as FireFly sends it")
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "Pyralis", r.header.Get("User-Agent"))
	require.Empty(t, r.header.Get("Webhook-Signature"))
	require.NotContains(t, r.header, "X-Idempotency-Key")
	require.NotContains(t, r.header, "Accept-Encoding")

	require.NoError(t, send(t, hook(t, factory(t, nil), url, `"format":"Envelope"`), b))
	r = <-got
	require.JSONEq(t, `{"batchNumber":7000000001,"attempt":3,"streamId":"`+theStream.ID+`","events":`+string(b.Body)+`}`, r.body)
	require.Contains(t, r.body, string(b.Body), "the events are the very bytes that were encoded")
	var typed apitypes.WebhookBatch
	require.NoError(t, json.Unmarshal([]byte(r.body), &typed))
	require.Len(t, typed.Events, 2)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	url, got := recorder(t)
	s := hook(t, factory(t, nil), url+"/in/here?code=c%26d", `"headers":{"authorization":"Bearer abc","x-KEY":"ä b","User-Agent":"mine","X-Empty":""}`)
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	h := (<-got).header
	require.Equal(t, []string{"Bearer abc"}, h["Authorization"])
	require.Equal(t, []string{"ä b"}, h["X-Key"])
	require.Equal(t, []string{"mine"}, h["User-Agent"])
	require.Equal(t, []string{""}, h["X-Empty"])
}

// The id is the same at each attempt of a batch and another for any other content; the time is that of the attempt.
func TestIdentity(t *testing.T) {
	t.Parallel()
	url, got := recorder(t)
	now := time.Unix(1_900_000_000, 0)
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Now = func() time.Time { return now } })
	s := hook(t, f, url, "")
	id := func(number int64, attempt, events int, replay string) string {
		b := batch(number, attempt, events)
		for i := range b.Events {
			l := *b.Events[i].Listener
			l.Replay = replay
			b.Events[i].Listener = &l
		}
		require.NoError(t, send(t, s, b))
		h := (<-got).header
		require.Equal(t, strconv.FormatInt(now.Unix(), 10), h.Get("Webhook-Timestamp"))
		return h.Get("Webhook-Id")
	}
	first := id(1, 1, 3, "r1")
	require.Len(t, first, 64)
	now = now.Add(time.Hour)
	require.Equal(t, first, id(1, 2, 3, "r1"), "sent again")
	seen := map[string]bool{first: true}
	for _, other := range []string{id(1, 1, 2, "r1"), id(2, 1, 3, "r1"), id(1, 1, 3, "r2")} {
		require.False(t, seen[other], "a wanted replay is no repetition either")
		seen[other] = true
	}
}

// Two batches with the same ends are two messages: a receiver that knows the id of one must not pass over the other.
func TestIdentityCountsEveryEvent(t *testing.T) {
	t.Parallel()
	url, got := recorder(t)
	s := hook(t, factory(t, nil), url, "")
	ids := make(map[string]bool)
	const events = 5
	for other := range events {
		b := batch(1, 1, events)
		b.Events[other].ID = "another"
		require.NoError(t, send(t, s, b))
		ids[(<-got).header.Get("Webhook-Id")] = true
	}
	require.Len(t, ids, events)
}

// verifier is a receiver that verifies with the library of Standard Webhooks, and answers 401 to what it does not accept.
func verifier(t *testing.T, secret string) (url string, verdicts chan error) {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	verdicts = make(chan error, 10)
	return serve(t, func(res http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = w.Verify(body, req.Header)
		}
		if err != nil {
			res.WriteHeader(http.StatusUnauthorized)
		}
		verdicts <- err
	}).URL, verdicts
}

func TestSignatureIsAcceptedByTheReference(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"array", "envelope"} {
		url, verdicts := verifier(t, whsec("n"))
		s := hook(t, factory(t, nil), url, `"secret":"`+whsec("n")+`","format":"`+format+`"`)
		require.NoError(t, send(t, s, batch(1, 1, 2)), format)
		require.NoError(t, <-verdicts)
	}
}

func TestSignatureIsRefusedByTheReference(t *testing.T) {
	t.Parallel()
	url, verdicts := verifier(t, whsec("n"))
	require.Error(t, send(t, hook(t, factory(t, nil), url, `"secret":"`+whsec("w")+`"`), batch(1, 1, 2)))
	require.ErrorIs(t, <-verdicts, standardwebhooks.ErrNoMatchingSignature, "another secret")
	for age, want := range map[time.Duration]error{-time.Hour: standardwebhooks.ErrMessageTooOld, time.Hour: standardwebhooks.ErrMessageTooNew} {
		f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Now = func() time.Time { return time.Now().Add(age) } })
		require.Error(t, send(t, hook(t, f, url, `"secret":"`+whsec("n")+`"`), batch(1, 1, 2)))
		require.ErrorIs(t, <-verdicts, want)
	}
	require.Error(t, send(t, hook(t, factory(t, nil), url, ""), batch(1, 1, 2)))
	require.ErrorIs(t, <-verdicts, standardwebhooks.ErrRequiredHeaders, "not signed")

	to, got := recorder(t)
	require.NoError(t, send(t, hook(t, factory(t, nil), to, `"secret":"`+whsec("n")+`"`), batch(1, 1, 2)))
	r := <-got
	w, err := standardwebhooks.NewWebhook(whsec("n"))
	require.NoError(t, err)
	require.NoError(t, w.Verify([]byte(r.body), r.header))
	require.ErrorIs(t, w.Verify([]byte(strings.Replace(r.body, "ä", "a", 1)), r.header), standardwebhooks.ErrNoMatchingSignature, "a changed body")
	r.header.Set("Webhook-Id", "another")
	require.ErrorIs(t, w.Verify([]byte(r.body), r.header), standardwebhooks.ErrNoMatchingSignature, "a changed id")
}

// While two secrets are live, a receiver that knows only one of them takes everything, whichever it is: first receivers that know the old one, then some
// that know the new one, then all.
func TestRotationLosesNoDelivery(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	for _, step := range []struct {
		fields   string
		receiver string // what the receiver knows
		accepted bool
	}{
		{`"secret":"` + whsec("o") + `"`, "o", true},
		{`"secret":"` + whsec("n") + `","previousSecret":"` + whsec("o") + `"`, "o", true},
		{`"secret":"` + whsec("n") + `","previousSecret":"` + whsec("o") + `"`, "n", true},
		{`"secret":"` + whsec("n") + `"`, "n", true},
		{`"secret":"` + whsec("n") + `"`, "o", false},
	} {
		url, verdicts := verifier(t, whsec(step.receiver))
		err := send(t, hook(t, f, url, step.fields), batch(1, 1, 1))
		if step.accepted {
			require.NoError(t, err)
			require.NoError(t, <-verdicts)
		} else {
			require.Error(t, err)
			require.Error(t, <-verdicts)
		}
	}
}
