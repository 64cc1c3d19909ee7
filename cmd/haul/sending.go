package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/split"
)

// What haul up does with a source before and after its message: it is left out
// if the chat has it, sent in pieces if it is too large, and deleted once the
// server's copy is proven.

func splitFlag() cli.Flag {
	return stringFlag("split", "", "send files larger than `SIZE` in pieces with a manifest; without it, files larger than the account may send (2 or 4 GB); false refuses those instead")
}

func deleteSourceFlag() cli.Flag {
	return boolFlag("delete-source", "delete each file once its message is sent and the server's hashes prove that it has every byte; what cannot be proven stays, and is told")
}

// minPiece is the smallest size of a piece, and what all sizes are multiples of:
// the part that files are uploaded by.
const minPiece = 512 << 10

// sendOptions are what the flags say.
type sendOptions struct {
	modes  []string
	split  bool
	size   int64 // of a piece; 0: as large as can be
	delete bool
}

func parseSending(c *cli.Context) (o sendOptions, err error) {
	o.delete = c.Bool("delete-source")
	if o.modes, err = skipModes(c); err != nil {
		return o, err
	}
	switch text := c.String("split"); text {
	case "", "auto", "true":
		o.split = true
	case "false", "off", "no":
	default:
		o.split = true
		if o.size, err = selection.ParseSize(text); err != nil {
			return o, usagef("--split: %w", err)
		}
		if o.size < minPiece {
			return o, usagef("--split %s: pieces have 512k at least", text)
		}
		o.size -= o.size % minPiece
	}
	return o, nil
}

// A sending is one run of haul up.
type sending struct {
	sendOptions
	existing *existing // nil: everything is sent
	engine   *transfer.Engine
	show     *displays
	// skipped counts the sources that are there already, by reason. The lister
	// writes it, and it is read after the run.
	skipped  map[string]int
	kept     int // sources; Finished writes it, one at a time
	previews *previews
	listed   atomic.Bool // all sources are
}

func newSending(ctx context.Context, c *cli.Context, a *account, e *transfer.Engine, to telegram.Peer, show *displays) (*sending, error) {
	o, err := parseSending(c)
	if err != nil {
		return nil, err
	}
	s := &sending{sendOptions: o, engine: e, show: show, skipped: make(map[string]int), previews: &previews{uses: make(map[string]*preview)}}
	if s.size == 0 || s.size > e.MaxUpload() {
		s.size = e.MaxUpload()
	}
	if len(o.modes) > 0 {
		if s.existing, err = newExisting(ctx, o.modes, a.store, a.client, to); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sending) close() {
	if s.existing != nil {
		s.existing.close()
	}
}

// prepare completes the upload of a source.
func (s *sending) prepare(ctx context.Context, from source, u *transfer.Upload) error {
	name := u.Name
	if name == "" {
		name = filepath.Base(from.path)
	}
	pieces := s.pieces(from, name)
	if s.existing != nil {
		skip, err := s.existing.find(ctx, from, name, pieces)
		if err != nil {
			return err
		}
		if u.Skip = skip; skip != nil {
			s.skipped[skip.Reason]++
		}
	}
	if len(pieces) > 0 && u.Skip == nil && u.Broken == nil {
		u.Alone = true
		s.show.event(fileSplit{now("file_split"), from.path, from.info.Size(), len(pieces) - 1, s.size})
	}
	if s.delete {
		use := s.previews.of(from.path)
		u.Confirm, u.Finished = true, s.after(use, u.Finished)
	}
	return nil
}

// pieces are what a source becomes in the chat, the manifest last; none if it is
// sent as it is.
func (s *sending) pieces(from source, name string) (list []piece) {
	if !s.sendOptions.split || from.info == nil || !from.info.Mode().IsRegular() || from.info.Size() <= s.size {
		return nil
	}
	plan, err := split.PlanOf(name, from.info.Size(), s.size)
	if err != nil {
		return nil // sending it says so
	}
	for _, p := range plan {
		list = append(list, piece{p.Name, p.Size})
	}
	return append(list, piece{name + split.Suffix, -1})
}

// split has large sources sent in pieces, if that is wanted.
func (s *sending) split(uploads iter.Seq2[transfer.Upload, error]) iter.Seq2[transfer.Upload, error] {
	if !s.sendOptions.split {
		return uploads
	}
	return s.engine.Split(s.size, uploads)
}

// after deletes a source once its message is sent and proven, and what was kept
// for it. A source that is kept does not fail: its message is there.
func (s *sending) after(use *preview, finished func(transfer.FileResult) error) func(transfer.FileResult) error {
	return func(res transfer.FileResult) error {
		if finished != nil {
			if err := finished(res); err != nil {
				return err
			}
		}
		for _, r := range s.previews.sent(use, res) {
			s.drop(r)
		}
		return nil
	}
}

// drop deletes a source, if it is proven.
func (s *sending) drop(res transfer.FileResult) {
	err := res.Unconfirmed
	if err == nil {
		err = deleteSource(res)
	}
	switch {
	case err == nil:
		s.show.event(sourceDeleted{now("source_deleted"), res.Path})
	case !errors.Is(err, os.ErrNotExist): // deleted before: that is what was wanted
		s.kept++
		s.show.event(sourceKept{now("source_kept"), res.Path, text(err)})
	}
}

// end deletes the pictures that were kept as previews of files that are no
// sources. Those of files that were not sent stay, until these are.
func (s *sending) end() {
	if !s.listed.Load() {
		return
	}
	free, needed := s.previews.end()
	for _, r := range free {
		s.drop(r)
	}
	for _, r := range needed {
		s.show.event(sourceKept{now("source_kept"), r.Path, errPreview.Error()})
	}
}

// deleteSource deletes the very file that was sent: by its name in its folder,
// which is held open, and only if nothing of what identifies it has changed.
func deleteSource(res transfer.FileResult) error {
	dir, err := os.OpenRoot(filepath.Dir(res.Path))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it
	name := filepath.Base(res.Path)
	fi, err := dir.Lstat(name)
	switch {
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return errors.New("it is a link, and what it leads to was sent")
	case !transfer.SourceOf(fi).Equal(res.Source):
		return transfer.ErrChanged
	case res.MessageID == 0:
		return errors.New("its message is not known")
	}
	return dir.Remove(name)
}

// say sums up for people what was left out.
func (s *sending) say(c *cli.Context) {
	if c.Bool("json") || c.Bool("quiet") {
		return
	}
	for _, reason := range slices.Sorted(maps.Keys(s.skipped)) {
		_, _ = fmt.Fprintf(c.App.Writer, "%s: %s\n", files(s.skipped[reason], "not sent"), reason)
	}
}

// sourcesKept ends a run that has sent everything, and could not delete all of it.
type sourcesKept struct{ n int }

func (e *sourcesKept) Error() string {
	if e.n == 1 {
		return "1 file was not deleted, since it is not proven that Telegram has it"
	}
	return fmt.Sprintf("%d files were not deleted, since it is not proven that Telegram has them", e.n)
}

// outcome adds to the result of a run what was not deleted. An error that has
// ended the whole run says more of what is to be done: then the lines about the
// files have to do.
func (s *sending) outcome(err error) error {
	switch {
	case s.kept == 0, err != nil && !errors.As(err, new(*someFailed)):
		return err
	default:
		return errors.Join(err, &sourcesKept{s.kept})
	}
}

// Events of haul up beside those of the engine.
type (
	fileSplit struct {
		transfer.Header
		Path      string `json:"path"`
		Size      int64  `json:"size"`
		Pieces    int    `json:"pieces"`
		PieceSize int64  `json:"piece_size"`
	}
	sourceDeleted struct {
		transfer.Header
		Path string `json:"path"`
	}
	sourceKept struct {
		transfer.Header
		Path   string `json:"path"`
		Reason string `json:"reason"`
	}
)

func now(event string) transfer.Header { return transfer.Header{Event: event, Time: time.Now()} }

// sendingLine is what these events say in a line.
func sendingLine(e transfer.Event) string {
	switch e := e.(type) {
	case fileSplit:
		return fmt.Sprintf("%s has %s: it goes in %d pieces of %s at most, and a manifest (--split=false refuses instead)", e.Path, size(e.Size), e.Pieces, size(e.PieceSize))
	case sourceKept:
		return fmt.Sprintf("KEPT %s: %s", e.Path, e.Reason)
	default:
		return ""
	}
}
