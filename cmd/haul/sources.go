package main

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// A source is a file to send.
type source struct {
	path string      // on disk
	rel  string      // with slashes, from the folder that was named, and with its name; of a file its name
	info fs.FileInfo // nil if it cannot be had: sending will say why
}

// leftOut counts what folders have that is not sent.
type leftOut struct{ empty, links, special, thumbs int }

func (l leftOut) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{l.empty, "empty"}, {l.links, "links"}, {l.special, "neither files nor folders"}, {l.thumbs, "previews of other files (.thumb)"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// sources lists the files that are named, and all those in and below folders
// that are, by name. Links are followed only where they are named themselves. A
// folder that cannot be read comes as a source of its own, which then fails.
func sources(paths []string, left *leftOut) iter.Seq[source] {
	return func(yield func(source) bool) {
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil || !info.IsDir() {
				if !yield(source{path, filepath.Base(path), info}) {
					return
				}
				continue
			}
			if !walk(path, left, yield) {
				return
			}
		}
	}
}

// walk yields the files below a folder, and reports whether more are wanted.
func walk(top string, left *leftOut, yield func(source) bool) bool {
	more := true
	base := filepath.Base(absolute(top))
	_ = filepath.WalkDir(top+string(filepath.Separator), func(path string, e fs.DirEntry, err error) error { // it returns SkipAll only
		rel, _ := filepath.Rel(top, path) // both begin alike
		s := source{path: path, rel: filepath.ToSlash(filepath.Join(base, rel))}
		switch {
		case err != nil: // the folder cannot be read, or what is in it is gone
			more = yield(s)
		case e.IsDir():
			return nil
		case e.Type()&fs.ModeSymlink != 0:
			left.links++
			return nil
		case !e.Type().IsRegular():
			left.special++
			return nil
		default:
			if s.info, err = e.Info(); err == nil && s.info.Size() == 0 {
				left.empty++
				return nil
			}
			if isSidecar(path) {
				left.thumbs++
				return nil
			}
			more = yield(s)
		}
		if !more {
			return fs.SkipAll
		}
		return nil
	})
	return more
}
