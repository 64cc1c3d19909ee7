package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tghaul/haul/transfer/archive"
)

// dated fails unless all files in a folder are of the simulated past, or with !
// of today: dated FOLDER.
func dated(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	files := 0
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".jsonl") || e.Name() == archive.ProgressName {
			continue
		}
		files++
		fi, err := e.Info()
		ts.Check(err)
		if old := time.Since(fi.ModTime()) > 24*time.Hour; old == neg {
			ts.Fatalf("%s is of %v", filepath.Join(args[0], e.Name()), fi.ModTime())
		}
	}
	if files == 0 {
		ts.Fatalf("no files in %s", args[0])
	}
}

// firstEntry puts the path of the first file of a manifest into a variable:
// firstentry FOLDER VARIABLE.
func firstEntry(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := readManifest(ts.MkAbs(filepath.Join(args[0], archive.ManifestName)))
	ts.Check(err)
	ts.Setenv(args[1], entries[0].Path)
}
