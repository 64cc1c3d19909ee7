//go:build !unix

package rig

import (
	"os"
	"time"
)

// maxRSS is the largest resident size of an ended process in MiB, 0 if unknown.
func maxRSS(*os.ProcessState) float64 { return 0 }

// CPU is the time of this process so far, 0 if unknown.
func CPU() time.Duration { return 0 }
