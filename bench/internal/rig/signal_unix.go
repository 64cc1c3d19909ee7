//go:build unix

package rig

import (
	"os"
	"syscall"
)

// askStats has a simulation write its stats.
func askStats(p *os.Process) error { return p.Signal(syscall.SIGUSR1) }
