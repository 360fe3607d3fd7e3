package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxSize bounds a secret.
const maxSize = 8 << 10

const (
	env   = "env:"
	file  = "file:"
	awssm = "awssm:"
)

// Options make a Resolver.
type Options struct {
	// Allow lists the references that are resolved, * standing for any text without a slash.
	Allow []string
	// Lookup reads an environment variable; nil: os.LookupEnv.
	Lookup func(name string) (value string, ok bool)
	// AWS reads what is in AWS Secrets Manager; nil: nothing is.
	AWS Store
}

// Store is a place that keeps secrets under names.
type Store interface {
	// Secret returns a secret. The error does not hold it, nor its name.
	Secret(ctx context.Context, name string) (string, error)
}

// Resolver resolves references. It is safe for concurrent use.
type Resolver struct {
	allow  []string
	lookup func(string) (string, bool)
	aws    Store
}

// New checks the list of references and makes a resolver.
func New(o Options) (*Resolver, error) {
	r := &Resolver{allow: slices.Clone(o.Allow), lookup: o.Lookup, aws: o.AWS}
	for _, pattern := range o.Allow {
		_, err := path.Match(pattern, "")
		if err == nil {
			err = wellFormed(pattern)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
	}
	if r.lookup == nil {
		r.lookup = os.LookupEnv //nolint:forbidigo // no declaration can know the names that an operator gives to secrets
	}
	return r, nil
}

// IsReference says whether a text is a reference, allowed or not, and no secret by itself.
func (r *Resolver) IsReference(text string) bool {
	return strings.HasPrefix(text, env) || strings.HasPrefix(text, file) || strings.HasPrefix(text, awssm)
}

// Check says whether a reference may be resolved. It reads nothing.
func (r *Resolver) Check(ref string) error {
	if err := wellFormed(ref); err != nil {
		return err
	}
	for _, pattern := range r.allow {
		if ok, err := path.Match(pattern, ref); err == nil && ok {
			return nil
		}
	}
	return fmt.Errorf("%s is not allowed: list it in the key secrets.allow of the configuration", ref)
}

// Resolve returns what a reference stands for, never "".
func (r *Resolver) Resolve(ctx context.Context, ref string) (string, error) {
	if err := r.Check(ref); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	value, err := r.read(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", ref, err)
	}
	switch {
	case value == "":
		return "", fmt.Errorf("%s is empty", ref)
	case len(value) > maxSize:
		return "", fmt.Errorf("%s has more than %d bytes", ref, maxSize)
	}
	return value, nil
}

func (r *Resolver) read(ctx context.Context, ref string) (string, error) {
	if name, ok := strings.CutPrefix(ref, awssm); ok {
		return r.fromAWS(ctx, name)
	}
	if name, ok := strings.CutPrefix(ref, env); ok {
		value, set := r.lookup(name)
		if !set {
			return "", errors.New("the environment variable is not set")
		}
		return value, nil
	}
	name := strings.TrimPrefix(ref, file)
	// A pipe or a device could keep the reader for ever.
	if info, err := os.Stat(name); err != nil {
		return "", reason(err)
	} else if !info.Mode().IsRegular() {
		return "", errors.New("it is not a file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", reason(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+3))
	if err != nil {
		return "", reason(err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), nil
}

func (r *Resolver) fromAWS(ctx context.Context, name string) (string, error) {
	if r.aws == nil {
		return "", errors.New("secrets of AWS cannot be used here")
	}
	name, member, within := strings.Cut(name, "#")
	text, err := r.aws.Secret(ctx, name)
	if err != nil || !within {
		return text, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil || members == nil {
		return "", errors.New("the secret is no JSON object")
	}
	raw, ok := members[member]
	if !ok {
		return "", errors.New("the secret has no member of this name")
	}
	switch raw[0] {
	case '"':
		if json.Unmarshal(raw, &text) != nil {
			return "", errors.New("the member is no text")
		}
		return text, nil
	case 'n', '{', '[':
		return "", errors.New("the member is no text")
	}
	return string(raw), nil // a number, true or false
}

// reason takes the path off an error: it is in the reference.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// wellFormed says what is wrong with a reference or a pattern of references.
func wellFormed(ref string) error {
	if name, ok := strings.CutPrefix(ref, env); ok {
		if name == "" || strings.ContainsAny(name, "=/\x00") {
			return errors.New("must name an environment variable, such as env:HOOK_KEY")
		}
		return nil
	}
	if name, ok := strings.CutPrefix(ref, awssm); ok {
		name, member, within := strings.Cut(name, "#")
		if name == "" || within && member == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("must name a secret of AWS Secrets Manager, such as awssm:hooks/key, or a member of it, such as awssm:hooks/all#key")
		}
		return nil
	}
	name, ok := strings.CutPrefix(ref, file)
	switch {
	case !ok:
		return errors.New("must be a reference such as env:HOOK_KEY, file:/run/secrets/key or awssm:hooks/key")
	case !filepath.IsAbs(name) || filepath.Clean(name) != name || strings.ContainsRune(name, 0):
		return errors.New("must name a file by its whole path without . and .., such as file:/run/secrets/key")
	}
	return nil
}
