//go:build unix

package main

import (
	"os"
	"syscall"
)

// statsSignal asks a running simulation for its stats.
func statsSignal() os.Signal { return syscall.SIGUSR1 }
