package webhook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	maxURL         = 2048 // bytes
	maxHeaders     = 64
	maxHeaderName  = 256     // bytes
	maxHeaderValue = 8 << 10 // bytes
	minKey         = 24      // bytes, as Standard Webhooks says
	maxKey         = 64

	keyPrefix = "whsec_"
	urlFix    = "give a URL such as https://receiver.example.com/events"
	example   = `give {"url": "https://receiver.example.com/events"}`
)

func defaults() apitypes.WebhookConfig {
	timeout := fftypes.FFDuration(defaultTimeout)
	return apitypes.WebhookConfig{Format: apitypes.WebhookArray, RequestTimeout: &timeout}
}

// parse puts what a configuration says over onto. A field that is null has its default again; given holds the names of those that are there.
func parse(raw json.RawMessage, onto apitypes.WebhookConfig) (cfg apitypes.WebhookConfig, given map[string]bool, err error) {
	cfg, given = onto, make(map[string]bool)
	if len(raw) == 0 {
		return cfg, given, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return cfg, nil, apitypes.Invalidf("", example, "must be an object")
	}
	seconds, inSeconds := fields["requestTimeoutSec"] // alias of FireFly's; requestTimeout wins
	delete(fields, "requestTimeoutSec")
	if _, ok := fields["requestTimeout"]; inSeconds && !ok {
		if cfg.RequestTimeout, err = parseSeconds(seconds); err != nil {
			return cfg, nil, err
		}
		given["requestTimeout"] = true
	}
	for name, value := range fields {
		given[name] = true
		if err := parseField(&cfg, name, value); err != nil {
			return cfg, nil, err
		}
	}
	return cfg, given, nil
}

func parseField(cfg *apitypes.WebhookConfig, name string, value json.RawMessage) error {
	none := defaults()
	switch name {
	case "url":
		return into(name, value, &cfg.URL, none.URL, "text")
	case "headers":
		return into(name, value, &cfg.Headers, none.Headers, `an object of texts, such as {"X-Api-Key": "…"}`)
	case "secret":
		return into(name, value, &cfg.Secret, none.Secret, "text")
	case "previousSecret":
		return into(name, value, &cfg.PreviousSecret, none.PreviousSecret, "text")
	case "format":
		return into(name, value, &cfg.Format, none.Format, "text")
	case "tlsSkipHostVerify":
		return into(name, value, &cfg.TLSSkipHostVerify, none.TLSSkipHostVerify, "true or false")
	case "requestTimeout":
		return into(name, value, &cfg.RequestTimeout, none.RequestTimeout, `a duration such as "30s"`)
	default:
		return apitypes.Invalidf(name, "use url, headers, secret, previousSecret, format, tlsSkipHostVerify or requestTimeout", "is not a field of a webhook")
	}
}

// into decodes one field. The error does not show the value, which may be a secret.
func into[T any](name string, raw json.RawMessage, to *T, none T, what string) error {
	if *to = none; string(raw) == "null" {
		return nil
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		return apitypes.Invalidf(name, "must be "+what, "is something else")
	}
	*to = v
	return nil
}

func parseSeconds(raw json.RawMessage) (*fftypes.FFDuration, error) {
	if string(raw) == "null" {
		return defaults().RequestTimeout, nil
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || n == 0 || n > uint64(maxTimeout/time.Second) {
		return nil, apitypes.Invalidf("requestTimeoutSec", fmt.Sprintf("must be a number of seconds from 1 to %d", maxTimeout/time.Second), "is something else")
	}
	d := fftypes.FFDuration(time.Duration(n) * time.Second)
	return &d, nil
}

// check refuses what cannot work, and brings the rest into its one spelling.
func (f *Factory) check(cfg *apitypes.WebhookConfig) error {
	if err := f.checkURL(cfg.URL); err != nil {
		return err
	}
	headers := make(map[string]string, len(cfg.Headers))
	if len(cfg.Headers) > maxHeaders {
		return apitypes.Invalidf("headers", fmt.Sprintf("must hold at most %d", maxHeaders), "holds %d", len(cfg.Headers))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Headers)) {
		value := cfg.Headers[name]
		if err := f.checkHeader(name, value); err != nil {
			return err
		}
		canonical := http.CanonicalHeaderKey(name)
		if _, twice := headers[canonical]; twice {
			return apitypes.Invalidf("headers."+name, "leave one of them out", "is there in two spellings")
		}
		headers[canonical] = value
	}
	cfg.Headers = headers
	if cfg.PreviousSecret != "" && cfg.Secret == "" {
		return apitypes.Invalidf("secret", `give the secret that replaces "previousSecret", or make that one the secret`, "is missing")
	}
	if err := errors.Join(f.checkSecret("secret", cfg.Secret), f.checkSecret("previousSecret", cfg.PreviousSecret)); err != nil {
		return err
	}
	cfg.Format = strings.ToLower(cfg.Format)
	if cfg.Format != apitypes.WebhookArray && cfg.Format != apitypes.WebhookEnvelope {
		return apitypes.Invalidf("format", `must be "array" or "envelope"`, "is %q", cfg.Format)
	}
	if d := time.Duration(*cfg.RequestTimeout); d < time.Millisecond || d > maxTimeout {
		return apitypes.Invalidf("requestTimeout", fmt.Sprintf("must be 1ms to %s", maxTimeout), "is %s", d)
	}
	return nil
}

// checkURL looks at a URL without asking anybody. The errors do not show it, because its path and query may be secret.
func (f *Factory) checkURL(text string) error {
	if text == "" {
		return apitypes.Invalidf("url", urlFix, "is missing")
	}
	if strings.Contains(text, apitypes.Masked) {
		return apitypes.Invalidf("url", "give the whole URL", "holds the mask %s, which stands for nothing that is stored for this URL", apitypes.Masked)
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return apitypes.Invalidf("url", fmt.Sprintf("must have at most %d bytes", maxURL), "has %d", len(text))
	case err != nil || u.Opaque != "":
		return apitypes.Invalidf("url", urlFix, "cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return apitypes.Invalidf("url", "must begin with https:// or http://", "has the scheme %q", u.Scheme)
	case u.User != nil:
		return apitypes.Invalidf("url", `put the credentials into "headers" as Authorization`, "holds a user name or password")
	case u.Fragment != "":
		return apitypes.Invalidf("url", "leave out what is behind #, which is never sent", "has a fragment")
	case u.Hostname() == "":
		return apitypes.Invalidf("url", urlFix, "has no host")
	}
	return f.checkHost(u)
}

func (f *Factory) checkHost(u *url.URL) error {
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return apitypes.Invalidf("url", "must have a port from 1 to 65535, or none", "has the port %q", port)
		}
	}
	err := f.guard.CheckHost(u.Hostname())
	var forbidden *netguard.Forbidden
	switch {
	case errors.As(err, &forbidden):
		return apitypes.Invalidf("url", "use another address, or have it allowed by webhooks.allow or webhooks.allowPrivateIPs in the configuration", "is refused: %s", forbidden)
	case err != nil:
		return apitypes.Invalidf("url", urlFix, "is refused: the host %s", err)
	}
	return nil
}

// reserved are the headers that belong to the connection or are set by the sink.
//
//nolint:gochecknoglobals // constant
var reserved = []string{
	"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Upgrade", "Expect", "Http2-Settings", "X-Idempotency-Key",
}

func (f *Factory) checkHeader(name, value string) error {
	canonical := http.CanonicalHeaderKey(name)
	field := "headers." + name
	if !isToken(name) || len(name) > maxHeaderName {
		return apitypes.Invalidf("headers", "must have names of letters, digits and -", "holds the name %q", name[:min(len(name), maxHeaderName)])
	}
	if slices.Contains(reserved, canonical) || strings.HasPrefix(canonical, "Webhook-") {
		return apitypes.Invalidf(field, "leave it out", "is set by the server itself")
	}
	switch {
	case value == apitypes.Masked:
		return apitypes.Invalidf(field, "give the value", "is the mask %s, which stands for nothing that is stored for this URL", apitypes.Masked)
	case f.secrets.IsReference(value):
		return f.checkReference(field, value)
	case !isHeaderValue(value):
		return apitypes.Invalidf(field, fmt.Sprintf("must be text of at most %d bytes without line breaks and control characters", maxHeaderValue), "cannot be sent")
	}
	return nil
}

func (f *Factory) checkReference(field, ref string) error {
	if err := f.secrets.Check(ref); err != nil {
		return apitypes.Invalidf(field, "use a reference that is allowed", "is refused: %s", err)
	}
	return nil
}

// checkSecret looks at a signing secret; "" is none.
func (f *Factory) checkSecret(field, text string) error {
	switch {
	case text == "":
		return nil
	case text == apitypes.Masked:
		return apitypes.Invalidf(field, "give the secret", "is the mask %s, which stands for nothing that is stored for this URL", apitypes.Masked)
	case f.secrets.IsReference(text):
		return f.checkReference(field, text)
	}
	if _, err := signingKey(text); err != nil {
		return apitypes.Invalidf(field, fmt.Sprintf("must be %q and %d to %d bytes in base64, or a reference such as env:HOOK_SECRET", keyPrefix, minKey, maxKey), "%s", err)
	}
	return nil
}

// signingKey decodes a secret. The errors do not show it.
func signingKey(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, keyPrefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %s", keyPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, errors.New("is not in base64")
	case len(key) < minKey || len(key) > maxKey:
		return nil, fmt.Errorf("has %d bytes", len(key))
	}
	return key, nil
}

// isToken says whether a text can be the name of a header.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func isHeaderValue(s string) bool {
	return len(s) <= maxHeaderValue && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
