package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// KeyFile is the name of the file of a key that was made here.
const KeyFile = "encryption.key"

const (
	keySize = 32
	idSize  = 8
	format  = 1 // first byte of a piece; the id of its key follows, then what the cipher makes
)

var (
	errDamaged = errors.New("what is encrypted was changed, or belongs to another transaction")
	errNoKeys  = errors.New("there is no key to encrypt it with: set store.encryptionKeys")
)

// key is a key with its name.
type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// Keys encrypt and decrypt. They are safe for concurrent use.
type Keys struct {
	dir string // where a key is made when there is none; "" for nowhere

	mu   sync.Mutex
	keys []key // guarded by mu; the first one encrypts
}

// NewKeys takes the keys of the configuration, the newest first, each 32 bytes in hex or base64. When there are none and dir is not "", a key is made
// there when the first one is needed. A key that was made there decrypts in any case.
func NewKeys(texts []string, dir string) (*Keys, error) {
	k := &Keys{dir: dir}
	for i, text := range texts {
		raw, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if err := k.add(raw); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return k, nil
	}
	raw, err := readKey(filepath.Join(dir, KeyFile))
	if err == nil {
		err = k.add(raw)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return k, nil
}

func parseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	raw, err := hex.DecodeString(text)
	if err != nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(raw) != keySize {
		return nil, fmt.Errorf("it must be %d bytes in hex or base64, such as openssl rand -hex %d makes them", keySize, keySize)
	}
	return raw, nil
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	raw, err := parseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

// add is for when mu is held, or nobody else has k.
func (k *Keys) add(raw []byte) error {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	one := key{aead: aead}
	digest := sha256.Sum256(append([]byte("pyralis key id\n"), raw...))
	copy(one.id[:], digest[:])
	k.keys = append(k.keys, one)
	return nil
}

// newest is the key that encrypts.
func (k *Keys) newest() (key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		if k.dir == "" {
			return key{}, errNoKeys
		}
		raw, err := makeKey(k.dir)
		if errors.Is(err, fs.ErrExist) { // somebody has put it there meanwhile
			raw, err = readKey(filepath.Join(k.dir, KeyFile))
		}
		if err != nil {
			return key{}, fmt.Errorf("the file of the encryption key: %w", err)
		}
		if err := k.add(raw); err != nil {
			return key{}, err
		}
	}
	return k.keys[0], nil
}

// makeKey makes a key and puts it on disk, where it is for good when it returns.
func makeKey(dir string) (raw []byte, err error) {
	raw = make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	temporary, err := os.CreateTemp(dir, KeyFile+".*") // readable for its owner only
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := os.Remove(temporary.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}()
	_, err = temporary.WriteString(hex.EncodeToString(raw) + "\n")
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return nil, err
	}
	// Unlike a rename, a link never replaces a key that is there.
	if err := os.Link(temporary.Name(), filepath.Join(dir, KeyFile)); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return raw, errors.Join(d.Sync(), d.Close())
}

// seal encrypts for a place: only there it can be opened.
func (k *Keys) seal(plain []byte, place string) ([]byte, error) {
	one, err := k.newest()
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, 1+idSize+len(plain)+one.aead.Overhead()), format)
	out = append(out, one.id[:]...)
	return one.aead.Seal(out, nil, plain, bound(out, place)), nil //nolint:gosec // the cipher draws its nonce itself, and puts it first
}

// open decrypts what was sealed for a place.
func (k *Keys) open(piece []byte, place string) ([]byte, error) {
	if len(piece) < 1+idSize || piece[0] != format {
		return nil, errDamaged
	}
	head, body := piece[:1+idSize], piece[1+idSize:]
	for _, one := range k.all() {
		if string(one.id[:]) != string(head[1:]) {
			continue
		}
		plain, err := one.aead.Open(nil, nil, body, bound(head, place))
		if err != nil {
			return nil, errDamaged
		}
		return plain, nil
	}
	return nil, fmt.Errorf("it was encrypted with the key %x, which is not there: add it to store.encryptionKeys", head[1:])
}

func (k *Keys) all() []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// bound is what is authenticated besides the text.
func bound(head []byte, place string) []byte {
	return append(append(make([]byte, 0, len(head)+len(place)), head...), place...)
}
