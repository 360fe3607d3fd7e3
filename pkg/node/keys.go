package node

import (
	"context"
	"strings"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/store/sealed"
)

// literally makes a pattern that only its text matches.
var literally = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// encryptionKeys are the keys for what is secret of transactions. What the configuration refers to may be read whatever secrets.allow says: that
// is about what comes over the API.
func encryptionKeys(ctx context.Context, cfg *config.Store) (*sealed.Keys, error) {
	const name = "store.encryptionKeys"
	var texts []string
	for _, text := range cfg.EncryptionKeys {
		if (&secret.Resolver{}).IsReference(text) {
			r, err := secret.New(secret.Options{Allow: []string{literally.Replace(text)}})
			if err != nil {
				return nil, of(name, err)
			}
			if text, err = r.Resolve(ctx, text); err != nil {
				return nil, of(name, err)
			}
		}
		texts = append(texts, text)
	}
	dir := cfg.SQLite.Path
	if cfg.Type == config.StorePostgres {
		dir = ""
	}
	keys, err := sealed.NewKeys(texts, dir)
	if err != nil {
		return nil, of(name, err)
	}
	return keys, nil
}
