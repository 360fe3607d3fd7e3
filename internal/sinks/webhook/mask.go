package webhook

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Mask implements sink.Confidential: the values of all headers, both secrets and the values of the query of the URL are masked. References are shown,
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
	cfg.URL = maskQuery(cfg.URL)
	cfg.Headers = maps.Clone(cfg.Headers)
	for name, value := range cfg.Headers {
		cfg.Headers[name] = hide(value)
	}
	cfg.Secret, cfg.PreviousSecret = hide(cfg.Secret), hide(cfg.PreviousSecret)
}

// maskQuery masks the values of the query of a URL, where some receivers want their key.
func maskQuery(text string) string {
	before, query, ok := strings.Cut(text, "?")
	if !ok {
		return text
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		name, _, named := strings.Cut(p, "=")
		switch {
		case named:
			parts[i] = name + "=" + apitypes.Masked
		case p != "":
			parts[i] = apitypes.Masked
		}
	}
	return before + "?" + strings.Join(parts, "&")
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
	if cfg.URL == shown.URL {
		cfg.URL = old.URL
	}
	// Who turns off the look at the certificate has the secrets sent to whoever answers.
	same := cfg.URL == old.URL && (old.TLSSkipHostVerify || !cfg.TLSSkipHostVerify)
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
