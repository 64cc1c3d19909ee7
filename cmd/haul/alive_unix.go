//go:build unix

package main

import (
	"errors"
	"syscall"
)

// isAlive reports whether there is a process of that id.
func isAlive(pid int) bool { return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
