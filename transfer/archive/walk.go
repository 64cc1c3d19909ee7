package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// ErrNone says that a folder is no archive, and has none below it.
var ErrNone = errors.New("archive: no manifest.jsonl in or below the folder")

// find lists the folders that have a manifest, relative to dir and with slashes:
// dir itself ("."), and all below it. Links are not followed.
func find(ctx context.Context, dir string) (folders []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	err = walk(ctx, root, ".", func(name string, d fs.DirEntry) (bool, error) {
		if !d.IsDir() && d.Name() == ManifestName {
			folders = append(folders, path.Dir(name))
		}
		return true, nil
	})
	if err == nil && len(folders) == 0 {
		err = fmt.Errorf("%w: %s", ErrNone, dir)
	}
	return folders, err
}

// walk calls use for everything in a folder and below it, in no order. Whether
// to go into a folder is what use says of it. It never keeps more than a few
// hundred names, however many files a folder has.
func walk(ctx context.Context, root *os.Root, dir string, use func(name string, d fs.DirEntry) (bool, error)) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for {
		entries, err := f.ReadDir(256)
		for _, d := range entries {
			name := path.Join(dir, d.Name())
			into, err := use(name, d)
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && into && d.IsDir() {
				err = walk(ctx, root, name, use)
			}
			if err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
