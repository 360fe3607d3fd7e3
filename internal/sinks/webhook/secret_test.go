package webhook_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// References are resolved for each request, so a secret that was changed counts at once, and one that cannot be read stops deliveries until it can.
func TestReferences(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"HOOK_TOKEN": "t1", "HOOK_SECRET": whsec("n")}
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, vars, "env:HOOK_*") })
	verified, verdicts := verifier(t, whsec("n"))
	require.NoError(t, send(t, hook(t, f, verified, `"secret":"env:HOOK_SECRET"`), batch(1, 1, 1)))
	require.NoError(t, <-verdicts)

	to, got := recorder(t)
	s := hook(t, f, to, `"headers":{"X-Token":"env:HOOK_TOKEN"},"secret":"env:HOOK_SECRET"`)
	for _, token := range []string{"t1", "t2"} {
		vars["HOOK_TOKEN"] = token
		require.NoError(t, send(t, s, batch(1, 1, 1)))
		require.Equal(t, token, (<-got).header.Get("X-Token"))
	}
	for name, c := range map[string]struct{ value, want string }{
		"HOOK_TOKEN":  {"hunter2\nX: y", "headers.X-Token: the value has line breaks, control characters or more than 8192 bytes"},
		"HOOK_SECRET": {"hunter2", "secret does not begin with whsec_"},
	} {
		old := vars[name]
		vars[name] = c.value
		err := send(t, s, batch(1, 1, 1))
		require.EqualError(t, err, c.want)
		require.False(t, sink.IsRefused(err))
		delete(vars, name)
		require.ErrorContains(t, send(t, s, batch(1, 1, 1)), "env:"+name+" cannot be read: the environment variable is not set")
		vars[name] = old
	}
	require.NoError(t, send(t, s, batch(1, 1, 1)))
	<-got

	// A reference that was allowed once is not resolved any more.
	cfg, err := f.Validate(config(to, `"secret":"env:HOOK_SECRET"`))
	require.NoError(t, err)
	now, err := factory(t, nil).Open(t.Context(), theStream, cfg)
	require.NoError(t, err)
	require.ErrorContains(t, send(t, now, batch(1, 1, 1)), "secrets.allow")
	require.NoError(t, now.Close(t.Context()))
	require.Empty(t, got)
}

// A receiver that sends back what it was sent, in whatever spelling, does not bring a secret into an error.
func TestAnswersShowNoSecrets(t *testing.T) {
	t.Parallel()
	const canary = `canary-7f3a"<é&`
	key := whsec("c")
	vars := map[string]string{"HOOK_TOKEN": "canary-from-outside", "HOOK_SECRET": key}
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, vars, "env:HOOK_*") })
	quoted, err := json.Marshal(canary)
	require.NoError(t, err)
	var answer atomic.Value
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		a := answer.Load().(string)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, a)
	})
	s := hook(t, f, server.URL+"/path?code=canary-in-query%26x&canary-alone", `"headers":{"Authorization":`+strings.Replace(string(quoted), `"`, `"Bearer `, 1)+`,"X-Token":"env:HOOK_TOKEN"},"secret":"env:HOOK_SECRET"`)
	for _, back := range []string{
		canary, "Bearer " + canary, string(quoted), html.EscapeString(canary), fmt.Sprintf("%q", canary), "token=canary-from-outside;", key, key[len("whsec_"):], "canary-in-query&x", "canary-in-query%26x", "canary-alone",
		strings.Repeat("canary-from-outside", 20000),
		strings.Repeat("canary-from-outside ", 3277)[:65540], // cut in the middle of one
	} {
		answer.Store(back)
		err := send(t, s, batch(1, 1, 1))
		require.ErrorContains(t, err, "400 Bad Request")
		require.NotContains(t, err.Error(), "canary")
		require.NotContains(t, err.Error(), key[len("whsec_"):])
		require.NotContains(t, err.Error(), "/path")
		require.Less(t, len(err.Error()), 2000)
	}
}

// Whatever is behind the host of a URL may be secret, and a receiver may spell it otherwise than it was spelled to it.
func TestAnswersShowNoPartOfTheURL(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "no such thing: "+answer.Load().(string))
	})
	for _, c := range []struct{ behind, back string }{
		{"/services/T-canary/B-canary/canary-x", "/services/T-canary/B-canary/canary-x"},
		{"/services/T-canary/B-canary/canary-x", "{B-canary} and canary-x"},
		{"/hooks/canary%2fx%20y", "/hooks/canary%2fx%20y"},
		{"/hooks/canary%2fx%20y", "hooks canary/x y"},
		{"/hooks/canary%2fx%20y", "canary%2Fx%20y"},
		{"/hooks/canary%2fx%20y", "canary%2Fx+y"},
		{"/hooks/canary%2fx%20y", "%63anary%2Fx%20y"},
		{"/?a=1;key=canary-x", "key is canary-x"},
		{"/?a=1;key=canary-x", "a=1;key=canary-x"},
		{"/?a=%zz&key=canary-x", "canary-x"},
		{"/?a=canary%zz", "canary%zz"},
		{"/?canary=", "canary"},
		{"?a=canary=x", "canary=x"},
	} {
		s := hook(t, factory(t, nil), server.URL+c.behind, "")
		answer.Store(c.back)
		err := send(t, s, batch(1, 1, 1))
		require.ErrorContains(t, err, "it answered 404 Not Found: ", c.behind)
		require.NotContains(t, err.Error(), "anary", "%s %s", c.behind, c.back)
		answer.Store("events wanted")
		require.ErrorContains(t, send(t, s, batch(1, 1, 1)), "no such thing: events wanted", c.behind)
	}
}

// An answer that was cut off in the middle of a secret, and a secret that is the beginning of another one.
func TestAnswersShowNoPartOfASecret(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, answer.Load().(string))
	})
	long := strings.Repeat("canary-", 1000)
	s := hook(t, factory(t, nil), server.URL, `"headers":{"Long":"`+long+`","Short":"token-1","Longer":"token-1-canary"}`)
	for _, back := range []string{strings.Repeat(long, 100), "you sent token-1-canary"} {
		answer.Store(back)
		err := send(t, s, batch(1, 1, 1))
		require.ErrorContains(t, err, "400 Bad Request")
		require.NotContains(t, err.Error(), "canary")
	}
}

// Nor do errors without an answer.
func TestErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	gone := serve(t, nil)
	gone.Close()
	for _, to := range []string{gone.URL, "http://canary.invalid", "https://" + gone.Listener.Addr().String()} {
		err := send(t, hook(t, factory(t, nil), to+"/canary-path?code=canary-query", `"headers":{"X":"canary-header"},"secret":"`+whsec("c")+`"`), batch(1, 1, 1))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary-")
	}
}
