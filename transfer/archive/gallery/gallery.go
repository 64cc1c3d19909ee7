// Package gallery makes a page of archives that people can look at: a folder of
// static files beside them, which a browser opens from the disk, without a
// server and without a network.
package gallery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/tghaul/haul/transfer/archive"
)

// A Result says what Write has made.
type Result struct {
	Page     string // path of the page
	Archives int
	Items    int   // files on the page
	Bytes    int64 // of those files
	Missing  int   // files of the manifests that are not on disk, or refer to one outside of the folder: left out
	BadLines int   // lines of manifests that cannot be read: left out
}

// Write makes a page of the archives in and below dir: the folder
// dir/haul-gallery with index.html and what that needs. The page links to the
// files of the archives and has no copies of them. A page that is there is
// brought up to date: files are only added, then index.html is replaced, then
// what it no longer needs is removed, so that it is whole at every moment.
//
// What the lists of an archive say is taken for hostile: nothing of it becomes
// HTML or script, and no link leads out of dir, except by links in the file
// system that were there before. Nothing but the gallery's folder is written
// to. Memory is about 1 KiB for each file.
func Write(ctx context.Context, dir string) (*Result, error) {
	folders, err := archive.Folders(ctx, dir)
	if err != nil {
		return nil, err
	}
	base, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer base.Close() //nolint:errcheck // what is written is closed by itself
	res := &Result{Page: filepath.Join(dir, archive.GalleryName, pageName), Archives: len(folders)}
	var items []*item
	var chats []chat
	for _, name := range folders {
		c := chat{Name: chatName(dir, name)}
		more, err := readArchive(ctx, base, name, len(chats), &c, res)
		if err != nil {
			return nil, fmt.Errorf("gallery: %s: %w", filepath.Join(dir, filepath.FromSlash(name)), err)
		}
		items, chats = append(items, more...), append(chats, c)
	}
	if err := writePage(ctx, base, chats, arrange(items)); err != nil {
		return nil, fmt.Errorf("gallery: %w", err)
	}
	return res, nil
}

// chatName is what people call the archive in a folder of dir.
func chatName(dir, folder string) string {
	if folder != "." {
		return folder
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// addThumb tells the last item that it has a thumbnail, if the line is about that
// one and the picture is there.
func addThumb(root *os.Root, folder string, e archive.Entry, items []*item) {
	if len(items) == 0 {
		return
	}
	it := items[len(items)-1]
	if fi, err := root.Lstat(e.Path); it.Message == e.Message && it.Document == e.Document && err == nil && fi.Mode().IsRegular() && images[path.Ext(e.Path)] {
		it.Small = escapePath(path.Join(folder, e.Path))
	}
}

// readArchive returns the files of an archive that are on disk, with what their
// messages say of them. It counts the others in res.
func readArchive(ctx context.Context, base *os.Root, folder string, number int, c *chat, res *Result) ([]*item, error) {
	root, err := base.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	files, bad, err := archive.Files(ctx, root)
	if err != nil {
		return nil, err
	}
	res.BadLines += bad
	var items []*item
	known := make(map[int][]*item) // by message
	for _, e := range files {
		if e.Thumb != "" {
			addThumb(root, folder, e, items)
			continue
		}
		file, inside := e.In(folder)
		if inside {
			fi, err := base.Lstat(file)
			inside = err == nil && fi.Mode().IsRegular()
		}
		if !inside {
			res.Missing++
			continue
		}
		it := newItem(number, file, e)
		c.ID = e.Chat
		c.Items++
		res.Items++
		res.Bytes += e.Size
		items = append(items, it)
		known[e.Message] = append(known[e.Message], it)
	}
	err = archive.History(ctx, root, func(line []byte) { describe(line, known) })
	if errors.Is(err, fs.ErrNotExist) { // then there are no captions
		err = nil
	}
	return items, err
}
