package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Wipe deletes the SQLite database in dir and the entries of dir named besides. Nothing else in dir is touched, and nothing at all
// while a process uses it: the error then wraps store.ErrInUse.
func Wipe(dir string, besides ...string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range append([]string{SQLiteFile, SQLiteFile + "-wal", SQLiteFile + "-shm"}, besides...) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			errs = append(errs, fmt.Errorf("data directory %s cannot be emptied: %w", dir, err))
		}
	}
	return errors.Join(append(errs, lock.close())...)
}
