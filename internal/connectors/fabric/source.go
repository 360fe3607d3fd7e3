package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pyralis-io/pyralis/internal/secret"
)

// source is where a certificate or a key is to be had: PEM, a reference to a secret (env:NAME, file:/path), the path of a file, or that
// of a directory, of which all files count.
type source struct {
	field string // of the configuration, for errors
	text  string
}

const pemBegin = "-----BEGIN "

func (s source) isPEM() bool { return strings.Contains(s.text, pemBegin) }

// name is what people know the source by. Text that may be a secret is not in it.
func (s source) name() string {
	if s.isPEM() || s.text == "" {
		return s.field
	}
	if s.field == "" {
		return s.text
	}
	return s.field + " (" + s.text + ")"
}

// read returns what there is now.
func (s source) read(ctx context.Context) ([]byte, error) {
	var b []byte
	err := errors.New("it is not set")
	switch {
	case s.isPEM():
		return []byte(s.text), nil
	case strings.HasPrefix(s.text, "env:"), strings.HasPrefix(s.text, "file:"):
		b, err = readSecret(ctx, s.text)
	case s.text != "":
		b, err = readPath(s.text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name(), withoutPath(err, s.text))
	}
	return b, nil
}

// readSecret resolves a reference. It stands in the configuration, so that the operator has allowed it by writing it.
func readSecret(ctx context.Context, ref string) ([]byte, error) {
	r, err := secret.New(secret.Options{Allow: []string{literally.Replace(ref)}})
	if err != nil {
		return nil, err
	}
	text, err := r.Resolve(ctx, ref)
	return []byte(text), err
}

// literally escapes what has a meaning in the list of allowed references.
var literally = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func readPath(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.ReadFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // what editors leave, and where Kubernetes keeps versions of a volume
			continue
		}
		name := filepath.Join(path, e.Name())
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all.Write(b)
		all.WriteByte('\n')
	}
	if all.Len() == 0 {
		return nil, errors.New("there is no file in it")
	}
	return all.Bytes(), nil
}

// withoutPath takes the path off an error that is told with it anyway.
func withoutPath(err error, path string) error {
	var p *os.PathError
	if errors.As(err, &p) && p.Path == path {
		return p.Err
	}
	return err
}
