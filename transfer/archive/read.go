package archive

import (
	"cmp"
	"context"
	"os"
	"slices"
)

// maxMessage is the longest line of messages.jsonl that is read. A message is
// 1 MiB at most, its JSON twice that and 8 MiB.
const maxMessage = 16 << 20

// Folders lists the archives in and below a folder, with slashes and relative
// to it, so that "." is the folder itself. The error is ErrNone if there are none.
func Folders(ctx context.Context, dir string) ([]string, error) {
	folders, err := find(ctx, dir)
	slices.Sort(folders)
	return folders, err
}

// Files are the files that the manifest of an archive lists, by message and
// document: of the lines of one file the last counts. bad is the number of lines
// that cannot be read. Paths are relative to root and lead out of it at most by
// links, and those of references to the folder above; see Entry.In.
func Files(ctx context.Context, root *os.Root) (files []Entry, bad int, err error) {
	f, err := root.Open(ManifestName)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	last := make(map[fileKey]Entry)
	err = eachLine(f, maxLine, func(_ int, _ int64, line []byte) error {
		e, _, err := parseEntry(line)
		if err != nil {
			bad++
		} else {
			last[e.key()] = e
		}
		return ctx.Err()
	})
	files = make([]Entry, 0, len(last))
	for _, e := range last {
		files = append(files, e)
	}
	slices.SortFunc(files, func(a, b Entry) int { // thumbnails after their files
		return cmp.Or(cmp.Compare(a.Message, b.Message), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Thumb, b.Thumb))
	})
	return files, bad, err
}

// History calls use for each line of messages.jsonl, whose bytes are used again.
// Lines over 16 MiB are left out. The error is fs.ErrNotExist if there is no such file.
func History(ctx context.Context, root *os.Root, use func(line []byte)) error {
	f, err := root.Open(MessagesName)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return eachLine(f, maxMessage, func(_ int, _ int64, line []byte) error {
		if line != nil {
			use(line)
		}
		return ctx.Err()
	})
}
