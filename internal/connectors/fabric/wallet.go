package fabric

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// fresh is how long files that were read count as unchanged.
const fresh = time.Second

// wallet finds identities: those that are declared, and those of a directory. What they come from is read again when they are used, so that
// a renewed certificate needs no restart. A change that makes no sense leaves things as they were, with a warning.
type wallet struct {
	dir      string // "": only what is declared
	mspID    string // where an identity names none
	declared map[string]declared
	log      *logrus.Entry
	expiry   *expiry
	now      func() time.Time

	mu    sync.Mutex
	cache map[string]*cachedSigner // guarded by mu, and so are the fields of its items that change
}

type cachedSigner struct {
	signer  *signer   // does not change
	content material  // does not change
	read    time.Time // last
	warned  string    // the last complaint about what the files have become
}

// newWallet checks what is declared.
func newWallet(cfg *Config, log *logrus.Entry) (*wallet, error) {
	w := &wallet{dir: cfg.Wallet, mspID: cfg.MSPID, declared: map[string]declared{}, log: log, expiry: newExpiry(log), now: time.Now, cache: map[string]*cachedSigner{}}
	for i, id := range cfg.Identities {
		field := fmt.Sprintf("fabric.identities[%d]", i)
		switch _, taken := w.declared[id.Name]; {
		case id.Name == "":
			return nil, fmt.Errorf("%s.name: must be set", field)
		case taken:
			return nil, fmt.Errorf("%s.name: %q is given twice", field, id.Name)
		case w.dir != "" && exists(filepath.Join(w.dir, filepath.Base(id.Name), certFile)):
			return nil, fmt.Errorf("%s.name: there is an identity %q in fabric.wallet, too: rename one of them", field, id.Name)
		}
		d, err := declare(field, id, cfg.MSPID)
		if err != nil {
			return nil, err
		}
		w.declared[id.Name] = d
	}
	return w, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// names lists the identities, sorted.
func (w *wallet) names() ([]string, error) {
	names := slices.Collect(maps.Keys(w.declared))
	if w.dir != "" {
		entries, err := os.ReadDir(w.dir)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "wallet: %w", err)
		}
		for _, e := range entries {
			if exists(filepath.Join(w.dir, e.Name(), certFile)) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// signer returns the identity of a name; field is what the caller calls it.
func (w *wallet) signer(field, name string) (*signer, error) {
	s, err := w.find(field, name)
	if err == nil {
		err = s.valid(w.now())
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// find is signer for an identity that may have expired.
func (w *wallet) find(field, name string) (*signer, error) {
	from, err := w.origin(field, name)
	if err != nil {
		return nil, err
	}
	now := w.now()
	w.mu.Lock()
	c := w.cache[name]
	if c != nil && now.Sub(c.read) < fresh {
		defer w.mu.Unlock()
		return c.signer, nil
	}
	if c != nil {
		c.read = now // others need not look
	}
	w.mu.Unlock()
	s, err := w.load(field, name, from, c)
	if err != nil {
		return nil, err
	}
	w.expiry.note(name, s.cert.NotAfter)
	return s, nil
}

// origin tells where an identity is to be found.
func (w *wallet) origin(field, name string) (origin, error) {
	if d, ok := w.declared[name]; ok {
		return d, nil
	}
	switch {
	case name == "":
		return nil, invalid(field, "it must name an identity")
	case name != filepath.Base(name) || strings.HasPrefix(name, "."):
		return nil, invalid(field, "%q cannot be the name of an identity", name)
	case w.dir == "":
		return nil, invalid(field, "there is no identity %q: fabric.identities has %q", name, slices.Sorted(maps.Keys(w.declared)))
	default:
		return walletDir{filepath.Join(w.dir, name), w.mspID}, nil
	}
}

// load reads an identity, and keeps the one before if that fails; c is nil for one that is not known.
func (w *wallet) load(field, name string, from origin, c *cachedSigner) (*signer, error) {
	m, err := from.read(context.Background()) // files and the environment, for which nobody waits
	if errors.Is(err, fs.ErrNotExist) {
		w.mu.Lock()
		delete(w.cache, name)
		w.mu.Unlock()
		w.expiry.forget(name)
		return nil, invalid(field, "there is no identity %q in the wallet", name)
	}
	var s *signer
	if err == nil && (c == nil || m != c.content) {
		s, err = newSigner(name, from, m)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && c == nil:
		return nil, ffcapi.Errorf(ffcapi.Internal, "wallet: identity %q: %w", name, err)
	case err != nil:
		if c.warned != err.Error() {
			c.warned = err.Error()
			w.log.WithError(err).WithField("identity", name).Warn("An identity has changed into something that cannot be used. The one before is used on")
		}
		return c.signer, nil
	case s == nil:
		c.warned = ""
		return c.signer, nil
	}
	if c != nil {
		w.log.WithField("identity", name).WithField("until", s.cert.NotAfter).Info("An identity has changed")
	}
	w.cache[name] = &cachedSigner{signer: s, content: m, read: w.now()}
	return s, nil
}

// Identities implements ffcapi.Identities.
func (c *Connector) Identities(context.Context) ([]string, error) { return c.wallet.names() }
