package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A report is written beside its name until it is complete. The name that it has
// until then tells for which report and on which machine it is, and by which
// process, so that what a killed one has left is removed by the next.

// unfinishedReport begins the names of unfinished reports of a path.
func unfinishedReport(path string) string {
	host, _ := os.Hostname() // without one all machines are one
	name := fnv.New64a()
	_, _ = fmt.Fprintf(name, "%s\x00%s", filepath.Base(path), host)
	return fmt.Sprintf(".haul-report-%016x-", name.Sum64())
}

// createReport creates an unfinished report, and removes those of processes that
// are gone.
func createReport(path string) (*os.File, error) {
	dir, begin := filepath.Dir(path), unfinishedReport(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), begin)
		pid, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.Atoi(pid); ours && err == nil && n != os.Getpid() && !isAlive(n) {
			_ = os.Remove(filepath.Join(dir, e.Name())) // what stays does no harm
		}
	}
	return os.CreateTemp(dir, fmt.Sprintf("%s%d-*", begin, os.Getpid()))
}
