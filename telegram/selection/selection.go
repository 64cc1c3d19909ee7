// Package selection says which messages and files of chats are meant: by id and
// date, kind, size, name, or an expression. It parses what people write, and
// lists by as few calls as that permits. It has no flags and touches no disk.
package selection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tghaul/haul/telegram"
)

// A Selection says which files are meant. The zero value is all of them. It is
// not changed by using it.
type Selection struct {
	From, To Bound // inclusive
	// Kinds of files; empty: all.
	Kinds []telegram.FileKind
	// Include are names of which a file must have one, if there are any;
	// Exclude those of which it must have none.
	Include, Exclude Globs
	MinSize, MaxSize int64   // bytes, inclusive; MaxSize 0: no bound
	Filter           *Filter // nil: none
	Limit            int     // of files; 0: none
	Reverse          bool    // oldest first
	Topic            int     // of a forum; 0: all
	// Album takes all files of an album of which one is meant.
	Album bool
	// Comments also takes what was written in answer to the posts of a channel
	// that lie within the bounds, whatever files the posts have themselves.
	Comments bool
	// FilesOnly says that messages without such files need not be listed, so
	// that the server may search. Lossy is telegram.MessagesOptions.Lossy.
	FilesOnly, Lossy bool
}

// kindNames are the words for kinds, those first that are told to people.
var kindNames = []struct {
	name string
	kind telegram.FileKind
}{
	{"photo", telegram.KindPhoto},
	{"video", telegram.KindVideo},
	{"audio", telegram.KindAudio},
	{"voice", telegram.KindVoice},
	{"round", telegram.KindRound},
	{"document", telegram.KindDocument},
	{"sticker", telegram.KindSticker},
	{"gif", telegram.KindAnimation},
	{"animation", telegram.KindAnimation},
}

// ParseKinds reads kinds of files: "photo,video".
func ParseKinds(text string) ([]telegram.FileKind, error) {
	var kinds []telegram.FileKind
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		kind, ok := kindOf(strings.ToLower(word))
		if !ok {
			return nil, fmt.Errorf("%q is no kind of file: want some of photo,video,audio,voice,round,document,sticker,gif", word)
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

func kindOf(word string) (telegram.FileKind, bool) {
	for _, k := range kindNames {
		if k.name == word {
			return k.kind, true
		}
	}
	return "", false
}

// KindName is the word for a kind that people know.
func KindName(kind telegram.FileKind) string {
	for _, k := range kindNames {
		if k.kind == kind {
			return k.name
		}
	}
	return string(kind)
}

// Check reports what of a selection contradicts itself.
func (s *Selection) Check() error {
	switch {
	case s.Limit < 0:
		return fmt.Errorf("a limit of %d files", s.Limit)
	case s.MaxSize > 0 && s.MinSize > s.MaxSize:
		return fmt.Errorf("no file has %d bytes at least and %d at most", s.MinSize, s.MaxSize)
	case s.From.ID > 0 && s.To.ID > 0 && s.From.ID > s.To.ID:
		return fmt.Errorf("message %d comes after %d", s.From.ID, s.To.ID)
	case !s.From.Time.IsZero() && !s.To.Time.IsZero() && !s.From.Time.Before(s.To.Time):
		return fmt.Errorf("%v comes after %v", s.From.Time, s.To.Time)
	case s.Comments && s.Topic != 0:
		return fmt.Errorf("posts with comments are in channels, topics in groups")
	default:
		return nil
	}
}

// means says whether a file of a message is meant, without regard to protection.
func (s *Selection) means(m *telegram.Message, f *telegram.File) (bool, error) {
	switch {
	case len(s.Kinds) > 0 && !slices.Contains(s.Kinds, f.Kind),
		f.Size < s.MinSize,
		s.MaxSize > 0 && f.Size > s.MaxSize,
		len(s.Include) > 0 && !s.Include.Match(f.Name),
		s.Exclude.Match(f.Name):
		return false, nil
	case s.Filter == nil:
		return true, nil
	default:
		return s.Filter.Match(m, f)
	}
}

// within says whether a message is in the range and the topic that are meant.
func (s *Selection) within(m *telegram.Message) bool {
	switch {
	case m.ID < s.From.ID, s.To.ID > 0 && m.ID > s.To.ID,
		!s.From.Time.IsZero() && m.Date.Before(s.From.Time),
		!s.To.Time.IsZero() && !m.Date.Before(s.To.Time):
		return false
	default:
		return s.Topic == 0 || m.InTopic(s.Topic)
	}
}
