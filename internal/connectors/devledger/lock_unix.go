//go:build unix

package devledger

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the file for this open file description; closing it gives it back, as does the end of the process.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
