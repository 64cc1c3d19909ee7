package transfer

import (
	"cmp"
	"maps"
	"slices"
)

// A failures holds the files of a run that have failed. A list may have a file
// more than once, as that of a watch has what is tried again: it counts once, and
// not at all once it is done. It takes some 100 bytes for each, and the results
// of max of them; 0: of all.
type failures struct {
	max   int
	next  int // numbers them in order
	files map[failedFile]*failure
	shown int // how many have a result
}

// A failedFile is what two downloads share that are of the same file.
type failedFile struct {
	chat    int64 // marked id
	message int
	id      int64
	path    string
	n       int // tells uploads apart, which are each a file of its own
}

type failure struct {
	n         int
	retryable bool
	result    *FileResult
}

func (f *failures) keyOf(e *entry, dir Direction) failedFile {
	info := e.info()
	key := failedFile{chat: info.origin.Peer.MarkedID(), message: info.origin.MessageID, id: info.id, path: info.path}
	if dir != Downloads || key.message == 0 {
		key.n = int(e.id)
	}
	return key
}

// add takes in that a file has failed, and reports whether it is one more.
func (f *failures) add(key failedFile, res FileResult) (more bool) {
	more = !f.heal(key)
	if f.files == nil {
		f.files = make(map[failedFile]*failure)
	}
	f.next++
	one := &failure{n: f.next, retryable: res.Retryable}
	if f.max == 0 || f.shown < f.max {
		one.result = &res
		f.shown++
	}
	f.files[key] = one
	return more
}

// heal takes in that a file is done, and reports whether it had failed.
func (f *failures) heal(key failedFile) bool {
	one := f.files[key]
	if one == nil {
		return false
	}
	if one.result != nil {
		f.shown--
	}
	delete(f.files, key)
	return true
}

// results are those of the files that have failed, and how many of all of them
// may be helped by another run.
func (f *failures) results() (list []FileResult, retryable int) {
	for _, one := range slices.SortedFunc(maps.Values(f.files), func(a, b *failure) int { return cmp.Compare(a.n, b.n) }) {
		if one.result != nil {
			list = append(list, *one.result)
		}
		if one.retryable {
			retryable++
		}
	}
	return list, retryable
}
