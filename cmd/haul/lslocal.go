package main

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer/archive"
)

func localFlag() cli.Flag {
	return stringFlag("local", "", "list the archives in and below this `DIR` instead, from their manifests, without account or network")
}

// A locallyListed file is one line of ls --local --json.
type locallyListed struct {
	Chat    int64     `json:"chat"`
	Message int       `json:"message"`
	Date    time.Time `json:"date"`
	ID      int64     `json:"id,string"`
	Kind    string    `json:"kind"`
	Size    int64     `json:"size"`
	Name    string    `json:"name"`
	Path    string    `json:"path"` // below DIR
	SHA256  string    `json:"sha256"`
	State   string    `json:"state"` // there, or an archive.Problem
}

// listLocal lists what archives have.
func listLocal(c *cli.Context, s *selection.Selection) error {
	dir := c.String("local")
	switch {
	case c.NArg() > 0:
		return usagef("--local %s lists what is there; leave out %q", dir, c.Args().First())
	case c.String("topic") != "" && s.Topic == 0:
		return usagef("--topic %q: archives know topics by their ids", c.String("topic"))
	}
	folders, err := archive.Folders(c.Context, dir)
	if err != nil {
		return err
	}
	left, bad := s.Limit, 0
	for _, folder := range folders {
		one := *s
		one.Limit = left
		n, lines, err := listArchive(c, &one, dir, folder)
		if err != nil {
			return err
		}
		bad += lines
		if left -= n; s.Limit > 0 && left <= 0 {
			break
		}
	}
	if bad > 0 {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: %s of manifests cannot be read; haul verify says which\n", count(bad, "line"))
	}
	return nil
}

// listArchive lists one, and returns how many files that were and how many lines
// of the manifest are bad.
func listArchive(c *cli.Context, s *selection.Selection, dir, folder string) (files, bad int, err error) {
	described := s.Filter != nil || s.Topic != 0 || s.Album
	l, err := archive.OpenLocal(c.Context, filepath.Join(dir, filepath.FromSlash(folder)), described)
	if err != nil {
		return 0, 0, err
	}
	defer l.Close() //nolint:errcheck // it was only read
	pass := selection.NewPass(s, l)
	lines := json.NewEncoder(c.App.Writer)
	for m, err := range pass.Chat(c.Context, l.Peer()) {
		if err != nil {
			return pass.Files, l.BadLines, err
		}
		for _, f := range m.Files {
			e, err := l.Entry(f)
			if err != nil {
				return pass.Files, l.BadLines, err
			}
			state := fileThere
			if problem := l.Check(e); problem != "" {
				state = string(problem)
			}
			file := path.Join(folder, e.Path)
			if c.Bool("json") {
				err = lines.Encode(locallyListed{e.Chat, m.ID, m.Date, f.ID, string(f.Kind), f.Size, f.Name, file, e.SHA256, state})
			} else {
				_, err = fmt.Fprintf(c.App.Writer, localRow, m.ID, m.Date.Format("2006-01-02 15:04"), f.Kind, size(f.Size), state, printable(file))
			}
			if err != nil {
				return pass.Files, l.BadLines, err
			}
		}
	}
	return pass.Files, l.BadLines, nil
}

// localRow is a line of the table, which is written as it is read.
const localRow = "%-9d  %-16s  %-9s  %10s  %-7s  %s\n"
