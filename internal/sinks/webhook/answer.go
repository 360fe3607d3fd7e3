package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	maxAnswer     = 64 << 10 // bytes of an answer that are read
	maxExcerpt    = 200      // characters of an answer that are shown
	maxRetryAfter = 24 * time.Hour
)

// judge says what an answer means for the batch.
func (h *hook) judge(ctx context.Context, k *known, answer *http.Response) error {
	code := answer.StatusCode
	if code < 200 { // 101: what looks like its body is the connection itself, which neither ends nor ends with ctx
		return h.problem("it answered %s", status(code))
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if code >= 200 && code < 300 {
		if err != nil { // who breaks off in the middle of an answer may not have meant it
			return h.broken(ctx, k, fmt.Errorf("it answered %s, and the answer broke off: %w", status(code), err))
		}
		return nil
	}
	err = h.problem("it answered %s%s", status(code), k.excerpt(body))
	switch {
	case code >= 300 && code < 400:
		return fmt.Errorf("%w; redirects are not followed: give the URL that they lead to", err)
	case code == http.StatusGone:
		return sink.Gone(err)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if after := retryAfter(answer.Header.Get("Retry-After"), h.factory.now()); after > 0 {
			return &sink.RetryAfter{After: after, Err: err}
		}
		return err
	case refuses(code):
		return sink.Refused(err)
	default:
		return err
	}
}

// refuses says whether a status speaks about what was sent, and not about the way there: who may send it, where to, when, and how.
func refuses(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusLengthRequired, http.StatusRequestURITooLong, http.StatusExpectationFailed, http.StatusMisdirectedRequest,
		http.StatusLocked, http.StatusFailedDependency, http.StatusTooEarly, http.StatusUpgradeRequired, http.StatusPreconditionRequired,
		http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge:
		return false
	case http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return code >= 400 && code < 500
}

// status is a status in words of our own: the receiver's may be anything.
func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// retryAfter reads the header Retry-After: seconds, or a time. 0 or less: it says nothing that helps.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text != "" && strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(at.Sub(now), maxRetryAfter)
}

// excerpt is the beginning of an answer, in one line and without secrets, as the end of a sentence; "" if there is none.
func (k *known) excerpt(body []byte) string {
	text := k.redact(string(bytes.ToValidUTF8(body, nil)))
	if len(body) == maxAnswer { // half a secret at its end was not found
		text = text[:max(0, len(text)-maxHeaderValue)]
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if text == "" {
		return ""
	}
	if runes := []rune(text); len(runes) > maxExcerpt {
		text = string(runes[:maxExcerpt]) + "…"
	}
	return ": " + text
}

// redact masks all secrets in a text, also the way JSON and HTML write them, and the part of a header behind its scheme ("Bearer …"). A text that
// holds one in another spelling of escapes is masked as a whole.
func (k *known) redact(text string) string {
	var all []string
	for _, s := range k.secrets {
		all = append(all, s)
		if _, token, ok := strings.Cut(s, " "); ok && len(token) >= len("1234") {
			all = append(all, token)
		}
	}
	for _, s := range slices.Clone(all) {
		quoted, err := json.Marshal(s)
		if err != nil { // texts always encode
			continue
		}
		all = append(all, string(quoted[1:len(quoted)-1]), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s), html.EscapeString(s))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // so that no part of a longer one remains
	for _, s := range all {
		text = strings.ReplaceAll(text, s, apitypes.Masked)
	}
	for _, meant := range [...]string{unescape(text), unescape(strings.ReplaceAll(text, "+", " "))} {
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(meant, s) }) {
			return apitypes.Masked
		}
	}
	return text
}

//nolint:gochecknoglobals // constant
var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// unescape resolves the escapes of URLs in any text, and leaves alone what is none.
func unescape(text string) string {
	return escape.ReplaceAllStringFunc(text, func(e string) string {
		b, err := hex.DecodeString(e[1:])
		if err != nil { // the expression matches nothing else
			return e
		}
		return string(b)
	})
}
