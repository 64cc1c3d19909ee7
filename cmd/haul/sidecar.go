package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// besideFlags say what an archive has besides its files, and what it need not have twice.
func besideFlags() []cli.Flag {
	return []cli.Flag{
		dedupeFlag(),
		stringFlag("sidecar", "", "json: write NAME.haul.json beside each file, with its message and its line of the manifest"),
		boolFlag("thumbs", "also fetch the largest thumbnail of photos, videos and documents, as NAME.thumb.jpg"),
	}
}

// checkLayout tries out the flags that say how an archive lies on disk.
func checkLayout(c *cli.Context) error {
	if s := c.String("sidecar"); s != "" && s != "json" {
		return usagef("--sidecar %q: want json", s)
	}
	if _, err := parseDedupe(c); err != nil {
		return err
	}
	_, err := parseTemplate(c)
	return err
}

// downloads are what is to be fetched of a message. A file for which the template
// fails, fails alone.
func (s *subjects) downloads(ctx context.Context, folder *archive.Archive, m *telegram.Message) (list []transfer.Download, err error) {
	for _, f := range m.Files {
		subject, err := s.of(ctx, m, f)
		if err != nil {
			return nil, err
		}
		path, err := folder.Place(subject)
		if err != nil {
			path, f.Err = folder.Path(f), err
		}
		d := transfer.Download{File: f, Dir: folder.Root(), Path: path, SHA256: folder.SHA256(f), ModTime: s.modTime(m.Date)}
		folder.Share(s.pool, m, &d)
		list = append(list, d)
		if thumb, ok := folder.Thumb(m, &d); ok && s.thumbs {
			list = append(list, thumb)
		}
	}
	return list, nil
}
