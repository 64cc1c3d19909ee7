//go:build !unix

package rig

import "os"

// maxRSS is the largest resident size of an ended process in MiB, 0 if unknown.
func maxRSS(*os.ProcessState) float64 { return 0 }
