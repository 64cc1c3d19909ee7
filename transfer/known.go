package transfer

import (
	"io/fs"
)

// KnownPath is where an earlier run has put, or begun to put, a file into the
// Dir of a download, "" if there is none, or nothing lies there any more. So a
// file can keep its place when others are called otherwise by now. It must not
// be asked for one that has no Dir.
func (e *Engine) KnownPath(d Download) (string, error) {
	if e.err != nil {
		return "", e.err
	}
	key, there := keyOf(d), func(name, suffix string) bool {
		if checkPath(name) != nil {
			return false
		}
		fi, err := e.fs(d.Dir).Lstat(name + suffix)
		return err == nil && fi.Mode()&fs.ModeType == 0
	}
	done, ok, err := e.opts.Checkpoint.Done(key)
	if err != nil {
		return "", err
	}
	if ok && done.Size == d.File.Size && there(done.Path, "") {
		return done.Path, nil
	}
	begun, ok, err := e.opts.Checkpoint.Download(key)
	if err != nil {
		return "", err
	}
	if ok && begun.Size == d.File.Size && (there(begun.Path, partSuffix) || there(begun.Path, "")) {
		return begun.Path, nil
	}
	return "", nil
}
