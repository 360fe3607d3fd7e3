package fabricnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// errLocked says that another Network, maybe of another process, holds the lock.
var errLocked = errors.New("locked by another process")

// fileLock is an exclusive lock that the kernel drops when the process dies. The file stays: removing it would let two holders in.
type fileLock struct{ f *os.File }

// tryLock takes the lock or fails at once with errLocked.
func tryLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{f}, nil
	}
	closeErr := f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, errors.Join(fmt.Errorf("%s: %w", path, err), closeErr)
}

// waitLock takes the lock as soon as it is free.
func waitLock(ctx context.Context, path string) (*fileLock, error) {
	for {
		l, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		if e := retry.Sleep(ctx, 100*time.Millisecond); e != nil {
			return nil, errors.Join(err, e)
		}
	}
}

// release gives the lock back. Closing is what unlocks; its error can only mean that it was closed before.
func (l *fileLock) release() {
	if l != nil {
		_ = l.f.Close()
	}
}
