//go:build !unix

package main

import "os"

// statsSignal asks a running simulation for its stats; there is none here.
func statsSignal() os.Signal { return nil }
