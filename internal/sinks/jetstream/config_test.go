package jetstream_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/jetstream"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const somewhere = "nats://nats.example.com:4222"

// credentials are the content of a .creds file.
func credentials(t *testing.T) string {
	t.Helper()
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := user.PublicKey()
	require.NoError(t, err)
	token, err := jwt.NewUserClaims(public).Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	content, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	return string(content)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	require.Equal(t, apitypes.StreamJetStream, f.Type())
	cfg, err := f.Validate(config(" nats://b.example.com , nats://a.example.com:4333/,nats://b.example.com:4222", ""))
	require.NoError(t, err)
	require.JSONEq(t, `{"url":"nats://a.example.com:4333,nats://b.example.com:4222","stream":"EVENTS","subject":"events.all","perMessage":"event",
		"format":"json","requestTimeout":"5s"}`, string(cfg))
	_, err = jetstream.New(nil)
	require.ErrorContains(t, err, "Env is required")
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	half, _, _ := strings.Cut(credentials(t), "-----BEGIN USER")
	quoted, err := json.Marshal(half)
	require.NoError(t, err)
	for fields, want := range map[string]string{
		`"url":""`:                                      "url: is missing",
		`"url":"nats.example.com:4222"`:                 "url: cannot be parsed",
		`"url":"ws://x"`:                                `url: has the scheme "ws"`,
		`"url":"nats://canary:canary@x"`:                "url: holds a user name, password or token",
		`"url":"nats://canary@x"`:                       `"token" or "credentials"`,
		`"url":"nats://x,tls://y"`:                      "url: mixes nats:// and tls://",
		`"url":"nats://x/canary"`:                       "url: has a path, query or fragment",
		`"url":"nats://x?a=canary"`:                     "url: has a path, query or fragment",
		`"url":"nats://x:0"`:                            "url: ",
		`"url":"nats://[canary"`:                        "url: cannot be parsed",
		`"stream":""`:                                   "stream: is missing",
		`"stream":"a.b"`:                                `stream: is "a.b"`,
		`"stream":"` + strings.Repeat("x", 256) + `"`:   "stream: has 256 bytes",
		`"subject":""`:                                  "subject: is missing",
		`"subject":"a b"`:                               "subject: has a space",
		`"subject":"a..b"`:                              "subject: has nothing",
		`"subject":"a.>"`:                               "subject: has the wildcard >",
		`"subject":"$JS.API.INFO"`:                      "subject: begins with $",
		`"subject":".data"`:                             "subject: begins with a dot",
		`"subject":"=."`:                                "",
		`"subject":"=("`:                                "subject: is no expression",
		`"subject":"` + strings.Repeat("x", 1025) + `"`: "subject: has 1025 bytes",
		`"domain":"a.b"`:                                "domain: ",
		`"inboxPrefix":"a.*"`:                           "inboxPrefix: has the wildcard *",
		`"credentials":"canary"`:                        "credentials: hold no user JWT",
		`"credentials":` + string(quoted):               "credentials: hold no seed",
		`"credentials":"env:HOME"`:                      "credentials: is refused",
		`"username":"canary"`:                           "username: is there alone",
		`"password":"canary"`:                           "password: is there alone",
		`"token":"canary","username":"canary","password":"canary"`: "username: is not the only one of them",
		`"token":"********"`:             "token: is the mask",
		`"tls":{"certificate":"canary"}`: "tls.key: is missing",
		`"tls":{"ca":"canary"}`:          "tls.ca: holds no certificate",
		`"perMessage":"x"`:               `perMessage: is "x"`,
		`"format":"x"`:                   `format: is "x"`,
		`"requestTimeout":"1ms"`:         "requestTimeout: is 1ms",
		`"requestTimeout":"11m"`:         "requestTimeout: is 11m",
		`"exclusive":true`:               "exclusive: is not a field here",
	} {
		_, err := f.Validate(config(somewhere, fields))
		if want == "" {
			require.NoError(t, err, fields)
			continue
		}
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, fields)
		require.ErrorContains(t, err, strings.Replace(want, ": ", " ", 1), fields)
		require.NotEmpty(t, inv.Fix, fields)
		require.NotContains(t, err.Error(), "canary", fields)
	}
	strict, err := broker.NewEnv(broker.Config{}, references(t, nil))
	require.NoError(t, err)
	f, err = jetstream.New(strict)
	require.NoError(t, err)
	_, err = f.Validate(config("nats://127.0.0.1", ""))
	require.ErrorContains(t, err, "url is refused")
}

// A secret goes to no other servers than those it was given for, nor to them with less care.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	stored, err := f.Validate(config("tls://nats.example.com", `"token":"canary"`))
	require.NoError(t, err)
	require.NotContains(t, string(f.Mask(stored)), "canary")
	kept, err := f.Keep(json.RawMessage(`{"stream":"OTHER","subject":"other.x"}`), stored)
	require.NoError(t, err)
	require.Contains(t, string(kept), "canary")
	for _, change := range []string{`{"url":"nats://nats.example.com:4222"}`, `{"url":"tls://other.example.com"}`, `{"tls":{"skipHostVerify":true}}`} {
		kept, err := f.Keep(json.RawMessage(change), stored)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, change)
		require.Equal(t, "token", inv.Field)
		require.Empty(t, kept)
	}
}
