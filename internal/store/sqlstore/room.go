package sqlstore

import (
	"errors"
	"fmt"
	"os"

	"github.com/pyralis-io/pyralis/internal/store"
)

// roomWanted is how much space a disk that was full must have to count as usable again.
const roomWanted = 1 << 20

// room reports store.ErrFull unless a file of that size can be written beside the database.
func room(dir string) (err error) {
	if dir == "" {
		return nil
	}
	f, err := os.CreateTemp(dir, "room-*")
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, roomWanted)); err != nil {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return nil
}
