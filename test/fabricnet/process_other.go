//go:build unix && !linux

package fabricnet

import "syscall"

// processAttr gives a child its own process group, so that a Ctrl-C on the terminal is the parent's to handle. Outside Linux the kernel cannot
// be asked to end a child with its parent: there, only Stop does.
func processAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
