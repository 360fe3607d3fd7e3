package webhook

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Mask implements sink.Confidential: the values of all headers, both secrets and what follows the host in the URL are masked. References are shown,
// because they are no secrets.
func (f *Factory) Mask(raw json.RawMessage) json.RawMessage {
	cfg, _, err := parse(raw, defaults())
	if err != nil {
		return nil // nothing is shown of what is not understood
	}
	f.mask(&cfg)
	shown, err := json.Marshal(cfg) //nolint:gosec // it is masked
	if err != nil {                 // texts always encode
		return nil
	}
	return shown
}

func (f *Factory) mask(cfg *apitypes.WebhookConfig) {
	hide := func(text string) string {
		if text == "" || f.secrets.IsReference(text) {
			return text
		}
		return apitypes.Masked
	}
	cfg.URL = maskURL(cfg.URL)
	cfg.Headers = maps.Clone(cfg.Headers)
	for name, value := range cfg.Headers {
		cfg.Headers[name] = hide(value)
	}
	cfg.Secret, cfg.PreviousSecret = hide(cfg.Secret), hide(cfg.PreviousSecret)
}

// maskURL masks the path and the query of a URL, since many receivers know their senders by one of them, in a form of their own.
func maskURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return apitypes.Masked
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 || rest[end:] == "/" {
		return text
	}
	return scheme + "://" + rest[:end] + "/" + apitypes.Masked
}

// urlSecrets are the parts of a URL that may be secret, as they are written and as they are meant.
func urlSecrets(u *url.URL) []string {
	const shortest = 8 // of a part of a path: shorter ones are names, which answers use as words
	path, query := u.EscapedPath(), u.RawQuery
	parts := []string{path, query}
	for p := range strings.SplitSeq(path, "/") {
		if len(p) >= shortest {
			parts = append(parts, p)
		}
	}
	for _, separators := range [...]string{"&", "&;"} { // a receiver may take ; for either
		for p := range strings.FieldsFuncSeq(query, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			name, value, _ := strings.Cut(p, "=")
			parts = append(parts, name, value)
		}
	}
	all := slices.Clone(parts)
	for _, p := range parts {
		all = append(all, unescape(p), unescape(strings.ReplaceAll(p, "+", " ")))
	}
	return all
}

// Keep implements sink.Confidential.
func (f *Factory) Keep(raw, stored json.RawMessage) (json.RawMessage, error) {
	old, _, err := parse(stored, defaults())
	if err != nil {
		return nil, err
	}
	shown := old
	f.mask(&shown)
	cfg, given, err := parse(raw, shown)
	if err != nil {
		return nil, err
	}
	same, err := keepTarget(&cfg, &shown, &old)
	if err != nil {
		return nil, err
	}
	if cfg.Headers, err = f.keepHeaders(same, cfg.Headers, old.Headers); err != nil {
		return nil, err
	}
	previous := old.PreviousSecret
	if given["secret"] && given["previousSecret"] && cfg.Secret != apitypes.Masked && cfg.Secret != old.Secret {
		previous = old.Secret // what was the secret until now
	}
	if cfg.Secret, err = f.keep(same, "secret", cfg.Secret, old.Secret); err != nil {
		return nil, err
	}
	if cfg.PreviousSecret, err = f.keep(same, "previousSecret", cfg.PreviousSecret, previous); err != nil {
		return nil, err
	}
	return json.Marshal(cfg) //nolint:gosec // what is stored holds the secret
}

// keepTarget puts the stored URL in the place of the one that is shown, and says whether secrets may go where they went.
func keepTarget(cfg, shown, old *apitypes.WebhookConfig) (same bool, err error) {
	// Who turns off the look at the certificate has everything sent to whoever answers.
	unproven := cfg.TLSSkipHostVerify && !old.TLSSkipHostVerify
	if cfg.URL == shown.URL && shown.URL != old.URL {
		if unproven {
			return false, apitypes.Invalidf("url", "give all of it again beside tlsSkipHostVerify",
				"is stored for a receiver whose certificate is looked at, and what is masked of it is not sent to another")
		}
		cfg.URL = old.URL
	}
	return cfg.URL == old.URL && !unproven, nil
}

// keepHeaders is keep for all headers; their names may be spelled differently.
func (f *Factory) keepHeaders(same bool, headers, old map[string]string) (map[string]string, error) {
	stored := make(map[string]string, len(old))
	for name, value := range old {
		stored[strings.ToLower(name)] = value
	}
	kept := maps.Clone(headers)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		var err error
		if kept[name], err = f.keep(same, "headers."+name, headers[name], stored[strings.ToLower(name)]); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// keep returns the value that a field is to have: a mask stands for what is stored, if the target is the same.
func (f *Factory) keep(same bool, field, value, stored string) (string, error) {
	switch {
	case value != apitypes.Masked:
		return value, nil
	case stored == "":
		return "", apitypes.Invalidf(field, "give the value", "is the mask %s, and nothing is stored that it could stand for", apitypes.Masked)
	case !same && !f.secrets.IsReference(stored):
		return "", apitypes.Invalidf(field, "give it again for the new target, or null to do without", "is stored for another target, and is not sent elsewhere")
	}
	return stored, nil
}
