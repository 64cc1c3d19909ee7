package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
)

// A selection is which messages and files of a chat are meant.
type selection struct {
	minID, maxID   int
	after, before  time.Time
	types          []telegram.FileKind
	minSize        int64
	maxSize        int64 // 0: no bound
	limit          int   // of files; 0: no bound
	reverse        bool
	filesSoFar     int
	skippedProtect int // files that are protected content
}

func selectionFlags() []cli.Flag {
	return []cli.Flag{
		stringFlag("from", "", "first message: an id or a date (2025-01-31)"),
		stringFlag("to", "", "last message: an id or a date"),
		stringFlag("type", "", "kinds of files: photo,video,audio,voice,document,animation,sticker,round"),
		stringFlag("min-size", "", "smallest size, such as 10M"),
		stringFlag("max-size", "", "largest size"),
		intFlag("limit", 0, "at most so many files"),
		boolFlag("reverse", "oldest first"),
	}
}

func parseSelection(c *cli.Context) (*selection, error) {
	s := &selection{limit: c.Int("limit"), reverse: c.Bool("reverse")}
	if s.limit < 0 {
		return nil, usagef("--limit %d: must not be negative", s.limit)
	}
	var err error
	if s.minID, s.after, err = parseBound(c.String("from"), false); err != nil {
		return nil, usagef("--from: %w", err)
	}
	if s.maxID, s.before, err = parseBound(c.String("to"), true); err != nil {
		return nil, usagef("--to: %w", err)
	}
	for name, size := range map[string]*int64{"min-size": &s.minSize, "max-size": &s.maxSize} {
		if *size, err = parseSize(c.String(name)); err != nil {
			return nil, usagef("--%s: %w", name, err)
		}
	}
	known := []telegram.FileKind{
		telegram.KindPhoto, telegram.KindVideo, telegram.KindAudio, telegram.KindVoice, telegram.KindDocument,
		telegram.KindAnimation, telegram.KindSticker, telegram.KindRound,
	}
	for word := range strings.FieldsFuncSeq(c.String("type"), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(known, telegram.FileKind(word)) {
			return nil, usagef("--type %q: want one of %v", word, known)
		}
		s.types = append(s.types, telegram.FileKind(word))
	}
	return s, nil
}

// parseBound reads a message id or a date. The end of a range includes its day.
func parseBound(text string, end bool) (id int, at time.Time, err error) {
	if text == "" {
		return 0, at, nil
	}
	if id, err := strconv.Atoi(text); err == nil && id > 0 {
		return id, at, nil
	}
	at, err = time.ParseInLocation("2006-01-02", text, time.Local)
	if err != nil {
		return 0, at, fmt.Errorf("%q is neither a message id nor a date like 2025-01-31", text)
	}
	if end {
		at = at.AddDate(0, 0, 1)
	}
	return 0, at, nil
}

// parseSize reads bytes with an optional K, M or G (powers of 1024).
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, shift := strings.TrimRight(strings.ToUpper(text), "IB"), 0
	for i, unit := range []string{"K", "M", "G"} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = n, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<(62-shift) {
		return 0, fmt.Errorf("%q is no size", text)
	}
	return n << shift, nil
}

// messages lists the messages that the selection means, and of each which
// files. Messages without such files come too, with none.
func (s *selection) messages(ctx context.Context, client *telegram.Client, peer telegram.Peer) iter.Seq2[*telegram.Message, error] {
	o := telegram.MessagesOptions{MinID: s.minID, MaxID: s.maxID, Reverse: s.reverse}
	return func(yield func(*telegram.Message, error) bool) {
		for m, err := range client.Messages(ctx, peer, o) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !s.after.IsZero() && m.Date.Before(s.after) || !s.before.IsZero() && !m.Date.Before(s.before) {
				continue
			}
			m.Files = slices.DeleteFunc(m.Files, func(f telegram.File) bool { return !s.wants(&f) })
			if !yield(m, nil) || s.full() {
				return
			}
		}
	}
}

// wants says whether a file is meant, and counts it.
func (s *selection) wants(f *telegram.File) bool {
	switch {
	case s.full(), len(s.types) > 0 && !slices.Contains(s.types, f.Kind), f.Size < s.minSize, s.maxSize > 0 && f.Size > s.maxSize:
		return false
	case f.NoForwards:
		s.skippedProtect++
		return false
	}
	s.filesSoFar++
	return true
}

func (s *selection) full() bool { return s.limit > 0 && s.filesSoFar >= s.limit }
