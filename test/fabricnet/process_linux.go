package fabricnet

import "syscall"

// processAttr gives a child its own process group, so that a Ctrl-C on the terminal is the parent's to handle, and ties its life to the parent's.
func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
