package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	lockFile     = "pyralis.lock"
	lockInterval = time.Second
)

// fileLock is the ownership of a data directory. The kernel gives it up with the process, however that ends.
type fileLock struct {
	file *os.File
	path string
}

// lockDir makes the directory if it is not there and takes its lock.
func lockDir(dir string) (*fileLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be created: %w", dir, err)
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be written: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close() //nolint:errcheck // nothing was written
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s cannot be locked: %w", dir, err)
		}
		return nil, fmt.Errorf("data directory %s: %w, %s; stop it or choose another directory", dir, store.ErrInUse, holder(path))
	}
	l := &fileLock{file: f, path: path}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be written: %w", dir, err), f.Close())
	}
	return l, nil
}

// holder reads who signed the lock file.
func holder(path string) string {
	b, err := os.ReadFile(path)
	who := strings.TrimSpace(string(b))
	if err != nil || who == "" {
		return "which has not signed yet"
	}
	return who
}

func (l *fileLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(identity()+"\n"), 0)
	return err
}

// identity names this process for people.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// watch closes lost when the lock file is no longer the one that is locked: then another process can lock the new one.
func (l *fileLock) watch(ctx context.Context, lost func()) {
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.held() {
			lost()
			return
		}
	}
}

func (l *fileLock) held() bool {
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	// Another error says nothing about the lock: the kernel still has it.
	return err != nil || os.SameFile(ours, there)
}

func (l *fileLock) close() error { return l.file.Close() }
