//go:build unix

package rig

import (
	"os"
	"runtime"
	"syscall"
)

// maxRSS is the largest resident size of an ended process in MiB, 0 if unknown.
func maxRSS(p *os.ProcessState) float64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(u.Maxrss) / (1 << 20) // bytes there
	}
	return float64(u.Maxrss) / (1 << 10)
}
