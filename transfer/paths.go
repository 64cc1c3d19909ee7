package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Bounds of paths. Some systems take no longer ones in all: 1024 bytes on
// macOS, of which the folder above has some.
const (
	maxDepth = 12  // elements
	maxPath  = 800 // bytes, before a suffix
)

// SafePath makes a path, with slashes, of elements that strangers may have a say
// in. Each becomes what SafeName makes of it; empty ones are left out. Paths
// that are too deep have the rest in their last element, and those that are too
// long have their elements cut; so a path has at most 12 elements and 800 bytes.
//
// No element of it is one of haul's own names, at whatever depth: those begin
// with "haul-", "manifest.jsonl", "messages.jsonl" or "progress.json".
func SafePath(elements ...string) string {
	var kept []string
	for _, e := range elements {
		if e != "" {
			kept = append(kept, e)
		}
	}
	if len(kept) == 0 {
		kept = []string{""}
	}
	if len(kept) > maxDepth {
		kept = append(kept[:maxDepth-1:maxDepth-1], strings.Join(kept[maxDepth-1:], "/"))
	}
	p := safePath(kept, maxName)
	if len(p) > maxPath {
		p = safePath(kept, maxPath/len(kept)-1) // 65 bytes at least
	}
	return p
}

func safePath(elements []string, limit int) string {
	safe := make([]string, len(elements))
	for i, e := range elements {
		safe[i] = safeName(e, limit, func(s string) bool { return reserved(s) || isOwnName(s) })
	}
	return path.Join(safe...)
}

// isOwnName reports the names that haul's own files and folders have, or may
// have some day.
func isOwnName(s string) bool {
	const longest = 64 // more than the bytes of the beginnings, in any form that folds to them
	if len(s) > longest {
		s = s[:longest]
	}
	s = fold(s)
	for _, own := range []string{"haul-", "manifest.jsonl", "messages.jsonl", "progress.json"} {
		if strings.HasPrefix(s, own) {
			return true
		}
	}
	return false
}

// Names gives names that no two files share, not even on systems that take
// upper and lower case, or different Unicode forms, for the same; and no file
// has the name of a folder that others are in. The zero value is ready to use.
// It takes some 40 bytes for each name. It is not safe for concurrent use.
type Names struct {
	// taken has true for files and false for folders that files are in.
	taken map[nameKey]bool
	// numbers is how often a document has wanted a name that was taken.
	numbers map[nameKey]int
}

// A nameKey stands for all paths that some system takes for one: a part of a
// hash. Two others that share one cost a suffix at most.
type nameKey uint64

func keyOfName(name string) nameKey {
	sum := sha256.Sum256([]byte(fold(name)))
	return nameKey(binary.LittleEndian.Uint64(sum[:8]))
}

// Take returns a name for a file: SafeName of what it is called, with the
// document's id added if that is taken, and a number if that is too.
func (n *Names) Take(remote string, id int64) string { return n.TakePath(SafeName(remote), id) }

// TakePath is Take for a path that SafePath has made. A folder whose name a file
// has is called otherwise, too.
func (n *Names) TakePath(name string, id int64) string {
	elements := strings.Split(name, "/")
	last := len(elements) - 1
	folder := ""
	for _, e := range elements[:last] {
		f := path.Join(folder, e)
		for i := 1; n.isFile(f); i++ {
			f = path.Join(folder, numbered(e, id, i))
		}
		folder = f
	}
	first := path.Join(folder, elements[last])
	if n.Reserve(first) {
		return first
	}
	again := keyOfName(first + "\x00" + strconv.FormatInt(id, 10))
	for i := n.numbers[again] + 1; ; i++ {
		if with := path.Join(folder, numbered(elements[last], id, i)); n.Reserve(with) {
			if n.numbers == nil {
				n.numbers = make(map[nameKey]int)
			}
			n.numbers[again] = i
			return with
		}
	}
}

// numbered is a name with the id of a document, and a number from the second on.
func numbered(name string, id int64, i int) string {
	ext := path.Ext(name)
	if strings.Contains(ext, "%") || len(ext) == len(name) {
		ext = ""
	}
	suffix := " (" + strconv.FormatUint(uint64(id), 10)
	if i > 1 {
		suffix += "-" + strconv.Itoa(i)
	}
	return strings.TrimSuffix(name, ext) + suffix + ")" + ext
}

func (n *Names) isFile(name string) bool { return n.taken[keyOfName(name)] }

// Reserve takes the path of a file, and reports false if that is taken already,
// or cannot be, since a file has the name of one of its folders.
func (n *Names) Reserve(name string) bool {
	if _, ok := n.taken[keyOfName(name)]; ok {
		return false
	}
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if n.isFile(dir) {
			return false
		}
	}
	if n.taken == nil {
		n.taken = make(map[nameKey]bool)
	}
	n.taken[keyOfName(name)] = true
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		n.taken[keyOfName(dir)] = false
	}
	return true
}

// fold is the same for all names that some system takes for the same. It may
// be the same for others too.
func fold(name string) string {
	name = strings.ReplaceAll(name, "\u200d", "") // HFS+ does not look at it
	name = strings.ToUpper(strings.ToLower(norm.NFKC.String(name)))
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}
