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
type leftOut struct{ empty, links, special, thumbs, twice int }

func (l leftOut) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{l.empty, "empty"}, {l.links, "links"}, {l.special, "neither files nor folders"}, {l.thumbs, "previews of other files (.thumb)"}, {l.twice, "named twice"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// sources lists the files that are named, and all those in and below folders
// that are, by name. Links are followed only where they are named themselves. A
// folder that cannot be read comes as a source of its own, which then fails. What
// is named more than once comes once, and where it does first.
func sources(paths []string, left *leftOut) iter.Seq[source] {
	return func(yield func(source) bool) {
		yield = firsts(paths, left, yield)
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

// firsts leaves out what came before. A single path names nothing twice.
func firsts(paths []string, left *leftOut, yield func(source) bool) func(source) bool {
	if len(paths) < 2 {
		return yield
	}
	came := make(map[uint64]bool) // by pathKey
	return func(s source) bool {
		key := pathKey(s)
		if came[key] {
			left.twice++
			return true
		}
		came[key] = true
		return yield(s)
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
