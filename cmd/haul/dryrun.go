package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

// State of a file before it is fetched.
const (
	fileNew   = "new"
	fileBegun = "begun"
	fileThere = "there"
)

func dryRunFlag() cli.Flag {
	return boolFlag("dry-run", "only tell which files would be fetched, and how many bytes that is")
}

// wouldFetch and dryRunDone are what a dry run tells programs.
type wouldFetch struct {
	transfer.Header
	Chat    int64     `json:"chat"`
	Message int       `json:"message"`
	Date    time.Time `json:"date"`
	ID      int64     `json:"id,string"`
	Kind    string    `json:"kind"`
	Size    int64     `json:"size"`
	Path    string    `json:"path"`
	State   string    `json:"state"`
}

type dryRunDone struct {
	transfer.Header
	Files          int   `json:"files"` // to fetch
	Bytes          int64 `json:"bytes"`
	FilesThere     int   `json:"files_there"`
	BytesThere     int64 `json:"bytes_there"`
	FilesProtected int   `json:"files_protected"`
	BytesProtected int64 `json:"bytes_protected"`
}

// dryRun tells what a run would do, and does nothing: files are told as they are
// listed, so that a list of any length takes no memory. state says what is on
// disk of a file.
func dryRun(c *cli.Context, pass *selection.Pass, files iter.Seq2[found, error], state func(found) string) error {
	now := func(event string) transfer.Header { return transfer.Header{Event: event, Time: time.Now()} }
	lines, done := json.NewEncoder(c.App.Writer), dryRunDone{}
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, dryRow, "MESSAGE", "DATE", "TYPE", "SIZE", "STATE", "FILE")
	}
	for f, err := range files {
		if err != nil {
			return err
		}
		is := state(f)
		if is == fileThere {
			done.FilesThere++
			done.BytesThere += f.file.Size
		} else {
			done.Files++
			done.Bytes += max(0, f.file.Size)
		}
		o := f.file.Origin
		switch {
		case c.Bool("json"):
			err = lines.Encode(wouldFetch{now("would_fetch"), o.Peer.MarkedID(), o.MessageID, f.sent, f.file.ID, string(f.file.Kind), f.file.Size, f.path, is})
		case !c.Bool("quiet"):
			_, err = fmt.Fprintf(c.App.Writer, dryRow, fmt.Sprint(o.MessageID), f.sent.Local().Format("2006-01-02 15:04"), f.file.Kind, sizeText(f.file.Size), is, f.path)
		}
		if err != nil {
			return err
		}
	}
	done.Header = now("dry_run_done")
	done.FilesProtected, done.BytesProtected = pass.Protected, pass.ProtectedBytes
	if c.Bool("json") {
		return lines.Encode(done)
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s (%s) would be fetched, %d (%s) are there, %d (%s) are protected content\n",
		count(done.Files, "file"), size(done.Bytes), done.FilesThere, size(done.BytesThere), done.FilesProtected, size(done.BytesProtected))
	return err
}

// dryRow is a line of the table: its columns are as wide as what they have at most.
const dryRow = "%-10s  %-16s  %-9s  %10s  %-5s  %s\n"

// onDisk says what is in a folder of files: one of the right size is taken to be
// the right one, which a run would prove.
func onDisk(dir string) func(found) string {
	return func(f found) string {
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if fi, err := os.Lstat(name); err == nil && fi.Mode().IsRegular() && fi.Size() == f.file.Size {
			return fileThere
		}
		if _, err := os.Lstat(name + ".part"); err == nil {
			return fileBegun
		}
		return fileNew
	}
}

// sizeText is a size for people, who are told too if it is not known.
func sizeText(n int64) string {
	if n < 0 {
		return "?"
	}
	return size(n)
}
