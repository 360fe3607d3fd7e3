package webhook_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestConfiguration(t *testing.T) {
	t.Parallel()
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, nil, "env:HOOK_*") })
	require.Equal(t, "webhook", f.Type())
	key := whsec("k")
	for given, want := range map[string]string{
		`{"url":"https://r.example/x"}`: `{"url":"https://r.example/x","format":"array","tlsSkipHostVerify":false,"requestTimeout":"30s"}`,
		`{"url":"HTTP://R.example:8080/a%2Fb?q=1","headers":{},"secret":null,"format":null,"tlsSkipHostVerify":null,"requestTimeout":null,"requestTimeoutSec":null,"headers":null}`:    `{"url":"HTTP://R.example:8080/a%2Fb?q=1","format":"array","tlsSkipHostVerify":false,"requestTimeout":"30s"}`,
		`{"url":"http://[2606:4700::1]/","headers":{"x-a":"1","AUTHORIZATION":"env:HOOK_A"},"secret":"env:HOOK_S","format":"ENVELOPE","tlsSkipHostVerify":true,"requestTimeout":"1m"}`: `{"url":"http://[2606:4700::1]/","headers":{"X-A":"1","Authorization":"env:HOOK_A"},"secret":"env:HOOK_S","format":"envelope","tlsSkipHostVerify":true,"requestTimeout":"1m0s"}`,
		`{"url":"http://r.example","requestTimeoutSec":7,"secret":"` + key + `","previousSecret":"` + key + `"}`:                                                                       `{"url":"http://r.example","format":"array","tlsSkipHostVerify":false,"requestTimeout":"7s","secret":"` + key + `","previousSecret":"` + key + `"}`,
		`{"url":"http://r.example","requestTimeoutSec":7,"requestTimeout":250}`:                                                                                                        `{"url":"http://r.example","format":"array","tlsSkipHostVerify":false,"requestTimeout":"250ms"}`,
	} {
		got, err := f.Validate(json.RawMessage(given))
		require.NoError(t, err, given)
		require.JSONEq(t, want, string(got), given)
		again, err := f.Validate(got)
		require.NoError(t, err)
		require.Equal(t, string(got), string(again))
		s, err := f.Open(t.Context(), sink.Stream{ID: "x"}, got)
		require.NoError(t, err)
		require.NoError(t, s.Close(t.Context()))
	}
}

// badURLs are the values of url that cannot be, whatever addresses are allowed.
var badURLs = []string{
	"", " ", "x", "r.example/x", "//r.example", "ftp://r.example", "file:///etc/passwd", "gopher://r.example", "javascript:alert(1)", "http:r.example", "http://", "http:///x", "http://:80", "http://r.example:0", "http://r.example:65536",
	"http://r.example:", "http://r.example:x", "http://u:p@r.example", "http://token@r.example", "http://r.example/#f", "http://r example", "http://r.example/%zz", "http://[::1", "http://::1", "http://[fe80::1%25]/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
	"http://127.1/", "http://127.0.0.1./", "http://１２７.０.０.１/", "http://münchen.example/", "http://r_.-x/", "http://" + strings.Repeat("a", 64) + ".example/", "http://r.example/" + strings.Repeat("x", 2048), "http://r.example/********", "http://r.example/?a=********", "http://r.example/\x00", "http://r.example/\n",
	"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/",
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, nil, "env:HOOK_*") })
	bad := map[string]string{ // to the field that is named
		`{}`: "url", `{"url":null}`: "url", `{"url":7}`: "url", `[]`: "", `"http://r.example"`: "", `7`: "", `{`: "",
	}
	for _, u := range badURLs {
		bad[string(config(u, ""))] = "url"
	}
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf(`"X-%d":"v"`, i)
	}
	for fields, field := range map[string]string{
		`"uri":"x"`: "uri", `"URL":"x"`: "URL", `"headers":[]`: "headers", `"headers":"X: y"`: "headers", `"headers":{"X":7}`: "headers", `"headers":{"X":["y"]}`: "headers",
		`"headers":{"":"y"}`: "headers", `"headers":{"a b":"y"}`: "headers", `"headers":{"a:":"y"}`: "headers", `"headers":{"é":"y"}`: "headers", `"headers":{"` + strings.Repeat("x", 300) + `":"y"}`: "headers", `"headers":{` + strings.Join(many, ",") + `}`: "headers",
		`"headers":{"X":"a\r\nY: b"}`: "headers.X", `"headers":{"X":"a\u0000"}`: "headers.X", `"headers":{"X":" a"}`: "headers.X", `"headers":{"X":"` + strings.Repeat("x", 9000) + `"}`: "headers.X", `"headers":{"X":"********"}`: "headers.X",
		`"headers":{"X-A":"1","x-a":"2"}`: "headers.x-a", `"headers":{"X":"env:HOME"}`: "headers.X", `"headers":{"X":"file:/etc/passwd"}`: "headers.X", `"headers":{"X":"file:x"}`: "headers.X",
		`"secret":7`: "secret", `"secret":"hunter2"`: "secret", `"secret":"whsec_"`: "secret", `"secret":"whsec_!!"`: "secret", `"secret":"whsec_YWJj"`: "secret", `"secret":"whsec_` + strings.Repeat("YWJj", 22) + `"`: "secret",
		`"secret":"********"`: "secret", `"secret":"env:HOME"`: "secret", `"secret":["x"]`: "secret", `"previousSecret":"` + whsec("k") + `"`: "secret", `"secret":"` + whsec("k") + `","previousSecret":"x"`: "previousSecret",
		`"format":"xml"`: "format", `"format":""`: "format", `"format":1`: "format", `"tlsSkipHostVerify":"yes"`: "tlsSkipHostVerify",
		`"requestTimeout":"0"`: "requestTimeout", `"requestTimeout":"-1s"`: "requestTimeout", `"requestTimeout":"1h"`: "requestTimeout", `"requestTimeout":"soon"`: "requestTimeout", `"requestTimeout":{}`: "requestTimeout", `"requestTimeout":""`: "requestTimeout",
		`"requestTimeoutSec":0`: "requestTimeoutSec", `"requestTimeoutSec":-1`: "requestTimeoutSec", `"requestTimeoutSec":"5"`: "requestTimeoutSec", `"requestTimeoutSec":1.5`: "requestTimeoutSec", `"requestTimeoutSec":99999999999999999999`: "requestTimeoutSec",
	} {
		bad[string(config("https://r.example/x", fields))] = field
	}
	for _, name := range []string{"Host", "content-type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "connection", "Keep-Alive", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect", "webhook-id", "Webhook-Signature", "WEBHOOK-anything"} {
		bad[string(config("https://r.example/x", `"headers":{"`+name+`":"y"}`))] = "headers." + name
	}
	for given, field := range bad {
		_, err := f.Validate(json.RawMessage(given))
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, given)
		require.Equal(t, field, inv.Field, given)
		require.NotEmpty(t, inv.Problem, given)
		require.NotEmpty(t, inv.Fix, given)
		require.NotContains(t, inv.Error(), "hunter2", "what may be a secret is not repeated")
	}
}

// Literal addresses that may not be connected to are refused when the stream is made, all others when they are connected to.
func TestForbiddenLiteralsAreRefusedAtCreation(t *testing.T) {
	t.Parallel()
	strict := factory(t, func(c *webhook.Config, _ *webhook.Options) {
		c.AllowPrivateIPs, c.Allow = false, []string{"10.1.0.0/16", "hooks.internal"}
	})
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST.", "10.0.0.1", "192.168.1.1:8080", "100.64.0.1", "169.254.169.254", "0.0.0.0", "[::1]", "[::]:80", "[fe80::1%25eth0]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fc00::1]", "[::127.0.0.1]"} {
		_, err := strict.Validate(config("http://"+host+"/", ""))
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, host)
		require.Equal(t, "url", inv.Field)
		require.Contains(t, inv.Fix, "webhooks.allow")
	}
	for _, host := range []string{"10.1.2.3", "hooks.internal", "8.8.8.8", "r.example", "[2606:4700::1]"} {
		_, err := strict.Validate(config("http://"+host+"/", ""))
		require.NoError(t, err, host)
	}
}

func TestBadFactories(t *testing.T) {
	t.Parallel()
	missing := t.TempDir() + "/missing.pem"
	for _, c := range []struct {
		cfg  webhook.Config
		want string
	}{
		{webhook.Config{Allow: []string{"10.0.0.0/99"}}, "webhooks.allow: "},
		{webhook.Config{Proxy: "proxy.example:3128"}, "webhooks.proxy: "},
		{webhook.Config{Proxy: "https://proxy.example:3128"}, "webhooks.proxy: "},
		{webhook.Config{Proxy: "http://u:hunter2@proxy.example:x"}, "webhooks.proxy: "},
		{webhook.Config{TLS: webhook.TLS{CAFile: missing}}, "webhooks.tls: "},
		{webhook.Config{TLS: webhook.TLS{CertFile: missing}}, "webhooks.tls: "},
		{webhook.Config{TLS: webhook.TLS{KeyFile: missing}}, "webhooks.tls: "},
		{webhook.Config{TLS: webhook.TLS{CertFile: missing, KeyFile: missing}}, "webhooks.tls: "},
	} {
		_, err := webhook.New(c.cfg, webhook.Options{Secrets: secrets(t, nil)})
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := webhook.New(webhook.Config{}, webhook.Options{})
	require.Error(t, err)
}

// What is in an answer can be sent back as it is, and changes nothing.
func TestMaskedConfigurationSentBack(t *testing.T) {
	t.Parallel()
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, nil, "env:HOOK_*") })
	stored, err := f.Validate(config("https://r.example/x?code=canary&canary&b=", `"headers":{"Authorization":"Bearer canary","X-Ref":"env:HOOK_A","X-Empty":""},"secret":"`+whsec("c")+`","previousSecret":"`+whsec("d")+`","requestTimeout":"5s"`))
	require.NoError(t, err)
	shown := f.Mask(stored)
	require.JSONEq(t, `{"url":"https://r.example/********","headers":{"Authorization":"********","X-Ref":"env:HOOK_A","X-Empty":""},
		"secret":"********","previousSecret":"********","format":"array","tlsSkipHostVerify":false,"requestTimeout":"5s"}`, string(shown))
	for _, given := range []string{string(shown), `{}`, `{"url":"https://r.example/********"}`, `{"secret":"********"}`, `{"headers":{"authorization":"********","X-REF":"env:HOOK_A","x-empty":""}}`} {
		kept, err := f.Keep(json.RawMessage(given), stored)
		require.NoError(t, err, given)
		kept, err = f.Validate(kept)
		require.NoError(t, err, given)
		require.Equal(t, string(stored), string(kept), given)
	}
	require.Empty(t, f.Mask(json.RawMessage(`{"not":"understood","secret":"canary"}`)))
}

// Of a URL only the scheme, the host and the port are shown: all that follows is where receivers want their keys.
func TestMaskOfTheURL(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	for given, want := range map[string]string{
		"https://r.example": "https://r.example", "https://r.example/": "https://r.example/", "HTTP://R.example:8080": "HTTP://R.example:8080",
		"https://r.example/services/T0/B0/canary": "https://r.example/********", "https://r.example:444/canary%2fx/": "https://r.example:444/********",
		"https://r.example?canary": "https://r.example/********", "https://r.example/?a;canary=%zz": "https://r.example/********",
		"http://[2606:4700::1]:80/canary?x=y": "http://[2606:4700::1]:80/********",
	} {
		stored, err := f.Validate(config(given, ""))
		require.NoError(t, err, given)
		var shown apitypes.WebhookConfig
		require.NoError(t, json.Unmarshal(f.Mask(stored), &shown))
		require.Equal(t, want, shown.URL)
		kept, err := f.Keep(f.Mask(stored), stored)
		require.NoError(t, err, given)
		require.Equal(t, string(stored), string(kept))
	}
}

// A change names what it changes; a stored secret goes to no other target.
func TestChanges(t *testing.T) {
	t.Parallel()
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, nil, "env:HOOK_*") })
	const url = "https://r.example/x"
	validated := func(fields string) json.RawMessage {
		cfg, err := f.Validate(config(url, fields))
		require.NoError(t, err)
		return cfg
	}
	quoted := func(letter string) string { return strconv.Quote(whsec(letter)) }
	signed := validated(`"secret":` + quoted("o"))
	rotating := validated(`"secret":` + quoted("n") + `,"previousSecret":` + quoted("o"))
	headed := validated(`"headers":{"A":"1","B":"env:HOOK_B"},"tlsSkipHostVerify":true,"requestTimeout":"5s"`)
	for _, c := range []struct {
		name   string
		stored json.RawMessage
		given  string
		want   string // fields behind the URL, or
		field  string // the one that is refused
	}{
		{"one field", headed, `{"requestTimeoutSec":9}`, `"headers":{"A":"1","B":"env:HOOK_B"},"tlsSkipHostVerify":true,"requestTimeout":"9s"`, ""},
		{"back to the default", headed, `{"requestTimeout":null,"tlsSkipHostVerify":null,"headers":null}`, ``, ""},
		{"other headers", headed, `{"headers":{"B":"2","a":"********"}}`, `"headers":{"A":"1","B":"2"},"tlsSkipHostVerify":true,"requestTimeout":"5s"`, ""},
		{"unknown header", headed, `{"headers":{"C":"********"}}`, "", "headers.C"},
		{"mask of an empty header", validated(`"headers":{"A":""}`), `{"headers":{"A":"********"}}`, "", "headers.A"},
		{"mask of no secret", headed, `{"secret":"********"}`, "", "secret"},
		{"mask of no previous secret", signed, `{"previousSecret":"********"}`, "", "previousSecret"},
		{"another secret", signed, `{"secret":` + quoted("n") + `}`, `"secret":` + quoted("n"), ""},
		{"rotation", signed, `{"secret":` + quoted("n") + `,"previousSecret":"********"}`, `"secret":` + quoted("n") + `,"previousSecret":` + quoted("o"), ""},
		{"next rotation", rotating, `{"secret":` + quoted("x") + `,"previousSecret":"********"}`, `"secret":` + quoted("x") + `,"previousSecret":` + quoted("n"), ""},
		{"another secret while two are live", rotating, `{"secret":` + quoted("x") + `}`, `"secret":` + quoted("x") + `,"previousSecret":` + quoted("o"), ""},
		{"end of the rotation", rotating, `{"previousSecret":null}`, `"secret":` + quoted("n"), ""},
		{"no secret", rotating, `{"secret":null,"previousSecret":null}`, ``, ""},
		{"bad field", signed, `{"sekret":"x"}`, "", "sekret"},
	} {
		kept, err := f.Keep(json.RawMessage(c.given), c.stored)
		if c.field != "" {
			var inv *apitypes.Invalid
			require.ErrorAs(t, err, &inv, c.name)
			require.Equal(t, c.field, inv.Field, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		kept, err = f.Validate(kept)
		require.NoError(t, err, c.name)
		require.JSONEq(t, string(validated(c.want)), string(kept), c.name)
	}
}

func TestStoredSecretsGoToNoOtherTarget(t *testing.T) {
	t.Parallel()
	f := factory(t, func(_ *webhook.Config, o *webhook.Options) { o.Secrets = secrets(t, nil, "env:HOOK_*") })
	stored, err := f.Validate(config("https://r.example/x?k=canary", `"headers":{"A":"canary"},"secret":"`+whsec("c")+`"`))
	require.NoError(t, err)
	for _, target := range []string{
		`"url":"https://attacker.example/x"`, `"url":"https://r.example/x"`, `"url":"https://r.example/y?k=canary"`, `"url":"http://r.example/x?k=canary"`, `"url":"https://r.example:444/x?k=canary"`,
		`"url":"https://r.example/x?k=canary","tlsSkipHostVerify":true`,
	} {
		for _, rest := range []string{``, `,"headers":{"A":"********"},"secret":"********"`, `,"headers":{"A":"********"},"secret":null`, `,"headers":null,"secret":"********"`, `,"headers":{"A":"x"},"secret":"` + whsec("x") + `","previousSecret":"********"`} {
			_, err := f.Keep(json.RawMessage(`{`+target+rest+`}`), stored)
			var inv *apitypes.Invalid
			require.ErrorAs(t, err, &inv, target+rest)
			require.NotContains(t, err.Error(), "canary")
		}
		kept, err := f.Keep(json.RawMessage(`{`+target+`,"headers":{"A":"new"},"secret":null}`), stored)
		require.NoError(t, err, target)
		require.NotContains(t, string(kept), whsec("c"))
	}
	for _, given := range []string{`"tlsSkipHostVerify":true`, `"tlsSkipHostVerify":true,"url":"https://r.example/********"`} {
		_, err := f.Keep(json.RawMessage(`{`+given+`,"headers":null,"secret":null}`), stored)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, "what is secret of the URL goes to nobody whose certificate is not looked at: %s", given)
		require.Equal(t, "url", inv.Field)
		require.NotContains(t, err.Error(), "canary")
	}
	plain, err := f.Validate(config("https://r.example/", ""))
	require.NoError(t, err)
	_, err = f.Keep(json.RawMessage(`{"tlsSkipHostVerify":true}`), plain)
	require.NoError(t, err, "nothing of it is secret")
	kept, err := f.Keep(json.RawMessage(`{"url":"https://attacker.example/********","headers":null,"secret":null}`), stored)
	require.NoError(t, err)
	_, err = f.Validate(kept)
	require.ErrorContains(t, err, "mask", "a mask in another URL stands for nothing")

	stored, err = f.Validate(config("https://r.example/x", `"headers":{"A":"env:HOOK_A"}`))
	require.NoError(t, err)
	kept, err = f.Keep(json.RawMessage(`{"url":"https://other.example/"}`), stored)
	require.NoError(t, err, "a reference is no secret, and what may be sent anywhere is on a list")
	require.Contains(t, string(kept), "env:HOOK_A")
}
