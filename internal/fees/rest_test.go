package fees_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/fees"
)

// rest asks an oracle that a handler plays.
func rest(t *testing.T, h http.HandlerFunc, change func(*fees.RESTOptions)) (string, error) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o := fees.Options{
		Source: fees.REST, QueryInterval: time.Minute, MaxAge: time.Hour,
		REST: fees.RESTOptions{URL: server.URL + "/fees?apikey=hunter2", Method: http.MethodGet, Timeout: 10 * time.Second},
	}
	if change != nil {
		change(&o.REST)
	}
	s, err := fees.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	fee, err := s.Fee(t.Context(), "main")
	if err == nil {
		_, err = s.Fee(t.Context(), "other")
	}
	return string(fee), err
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	const answer = `{"fast":{"gas":123456789012345678901234567890,"tip":"7"},"list":[1,2,3]}`
	for _, c := range []struct{ template, want string }{
		{``, answer},
		{`{{ .fast.gas }}`, `123456789012345678901234567890`},
		{`"{{ .fast.gas }}"`, `"123456789012345678901234567890"`},
		{`{"maxFeePerGas": {{ .fast.gas | toString | quote }}, "maxPriorityFeePerGas": {{ .fast.tip | quote }}}`, `{"maxFeePerGas":"123456789012345678901234567890","maxPriorityFeePerGas":"7"}`},
		{`{{ mul (index .list 2) 1000000000 }}`, `3000000000`},
		{`{{ max (index .list 0) (index .list 1) }}`, `2`},
		{`{{ mulf .fast.tip 1.5 | ceil }}`, `11`},
		{`{{ toJson .fast }}`, `{"gas":123456789012345678901234567890,"tip":"7"}`},
	} {
		fee, err := rest(t, answering(answer), func(o *fees.RESTOptions) { o.Template = c.template })
		require.NoError(t, err, c.template)
		require.JSONEq(t, c.want, fee, c.template)
		require.NotContains(t, fee, "e+", c.template)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	asked := 0
	fee, err := rest(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		if r.Method != http.MethodPost || string(body) != `{"q":1}` || r.Header.Get("X-Api-Key") != "k:1" || user != "pyralis" || password != "s3cret" ||
			r.Header.Get("Content-Type") != "application/json" || r.URL.Query().Get("apikey") != "hunter2" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "5")
	}, func(o *fees.RESTOptions) {
		o.Method, o.Body, o.Headers, o.Username, o.PasswordFile = http.MethodPost, `{"q":1}`, []string{"x-api-key: k:1"}, "pyralis", secret
	})
	require.NoError(t, err)
	require.Equal(t, "5", fee)
	require.Equal(t, 1, asked, "one market for all ledgers")
}

func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `"by way of `+r.URL.Host+`"`)
	}))
	t.Cleanup(proxy.Close)
	fee, err := rest(t, answering("1"), func(o *fees.RESTOptions) { o.URL, o.Proxy = "http://oracle.invalid/", proxy.URL })
	require.NoError(t, err)
	require.Equal(t, `"by way of oracle.invalid"`, fee)
}

// TestBadAnswers are errors that say what to do, and no secrets.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		template string
		want     string
	}{
		"status":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "", "403 Forbidden"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) }, "", "redirect"},
		"no json":  {answering("<html>"), "", "the answer is no JSON"},
		"two":      {answering("1 2"), "", "the answer is no JSON"},
		"empty":    {answering(""), "", "the answer is no JSON"},
		"large":    {answering(`"` + strings.Repeat("x", 65<<10) + `"`), "", "large"},
		"missing":  {answering("{}"), "{{ .fast }}", "fees.rest.template"},
		"words":    {answering(`{"fast":"much"}`), "{{ .fast }}", `made "much", which is no JSON; put text in quotes`},
		"endless":  {answering(`{}`), `{{ range until 100000 }}xxxxxxxxxx{{ end }}`, "writes too much"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "1")
		}, "", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rest(t, c.handler, func(o *fees.RESTOptions) {
				o.Template, o.Username, o.Password, o.Headers = c.template, "pyralis", "s3cret", []string{"X-Key: t0ken"}
			})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "/fees: ")
			for _, secret := range []string{"hunter2", "s3cret", "t0ken"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(answering("1"))
	server.Close()
	_, err := rest(t, answering("1"), func(o *fees.RESTOptions) { o.URL = server.URL + "/?apikey=hunter2" })
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	_, err := rest(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(o *fees.RESTOptions) {
		o.Timeout = 50 * time.Millisecond
	})
	require.ErrorContains(t, err, "Client.Timeout")
}

// TestCheck names the key that is wrong before anything is sent.
func TestCheck(t *testing.T) {
	t.Parallel()
	good := fees.RESTOptions{URL: "https://oracle.example.com", Method: "GET", Timeout: time.Second}
	for want, change := range map[string]func(*fees.Options){
		"fees.source":                 func(o *fees.Options) { o.Source = "guess" },
		"fees.fixed":                  func(o *fees.Options) { o.Source, o.Fixed = fees.Fixed, "much" },
		"fees.rest.url":               func(o *fees.Options) { o.REST.URL = "oracle.example.com" },
		"fees.rest.template":          func(o *fees.Options) { o.REST.Template = "{{ .fast" },
		`function "env" not defined`:  func(o *fees.Options) { o.REST.Template = `{{ env "HOME" }}` },
		"fees.rest.headers: item 2":   func(o *fees.Options) { o.REST.Headers = []string{"A: b", "C"} },
		"fees.rest.auth.passwordFile": func(o *fees.Options) { o.REST.Password, o.REST.PasswordFile = "a", "b" },
	} {
		o := fees.Options{Source: fees.REST, REST: good}
		require.NoError(t, o.Check())
		change(&o)
		require.ErrorContains(t, o.Check(), want)
	}
	_, err := fees.New(fees.Options{Source: fees.REST, REST: fees.RESTOptions{URL: good.URL, Method: "GET", PasswordFile: "/no/such/file"}})
	require.ErrorContains(t, err, "fees.rest.auth.passwordFile")
}
