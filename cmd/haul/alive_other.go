//go:build !unix

package main

import "os"

// isAlive reports whether there is a process of that id.
func isAlive(pid int) bool {
	p, err := os.FindProcess(pid) // on Windows that opens it
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
