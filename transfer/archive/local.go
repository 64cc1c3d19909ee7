package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A Local is an archive as it lies on disk, to be listed without account or
// network: a selection.Source whose messages have the files that the manifest
// lists, without their thumbnails. It keeps some 40 bytes of each, and reads the lines again one by one.
// It is not safe for concurrent use. Close it when done.
type Local struct {
	root     *os.Root
	beside   neighbourhood
	manifest *os.File
	history  *os.File // nil: messages are not described
	files    []localFile
	messages map[int]span // lines of messages.jsonl, of messages that have files
	peer     telegram.Peer
	// BadLines is how many lines of the manifest cannot be read.
	BadLines int
}

// A localFile is where the line of a file is.
type localFile struct {
	message int
	at      int64
	size    int32
}

// OpenLocal opens an archive in its folder. Without described only the manifest
// is read: then messages have neither text nor topic, album, counts and the like,
// and files neither MIME type nor measures; reading that takes longer.
func OpenLocal(ctx context.Context, dir string, described bool) (_ *Local, err error) {
	l := &Local{messages: make(map[int]span)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", dir, err), l.Close())
		}
	}()
	if l.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	l.beside.root = l.root
	if l.manifest, err = l.root.Open(ManifestName); err != nil {
		return nil, err
	}
	if err := l.index(ctx, filepath.Base(dir)); err != nil {
		return nil, err
	}
	if !described {
		return l, nil
	}
	if l.history, err = l.root.Open(MessagesName); errors.Is(err, fs.ErrNotExist) {
		return l, nil
	} else if err != nil {
		return nil, err
	}
	return l, l.indexMessages(ctx)
}

// index reads the manifest for the first time.
func (l *Local) index(ctx context.Context, folder string) error {
	last := make(map[fileKey]localFile)
	err := eachLine(l.manifest, maxLine, func(_ int, at int64, line []byte) error {
		e, _, err := parseEntry(line)
		if err != nil {
			l.BadLines++
			return ctx.Err()
		}
		if e.Thumb != "" {
			return ctx.Err()
		}
		last[e.key()] = localFile{e.Message, at, int32(len(line))}
		if l.peer.ID == 0 {
			if l.peer, err = telegram.PeerFromMarkedID(e.Chat); err == nil && FolderName(l.peer) != folder {
				l.peer.Username = folder
			}
		}
		return ctx.Err()
	})
	l.files = make([]localFile, 0, len(last))
	for _, f := range last {
		l.files = append(l.files, f)
	}
	slices.SortFunc(l.files, func(a, b localFile) int {
		return cmp.Or(cmp.Compare(b.message, a.message), cmp.Compare(a.at, b.at))
	})
	return err
}

// indexMessages finds the lines of those messages that have files.
func (l *Local) indexMessages(ctx context.Context) error {
	wanted := make(map[int]bool, len(l.files))
	for _, f := range l.files {
		wanted[f.message] = true
	}
	return eachLine(l.history, maxMessage, func(_ int, at int64, line []byte) error {
		// Of several lines the last counts that is not about the message's end.
		if h, err := parseHistory(bytes.TrimSpace(line)); err == nil && wanted[h.id] && !h.deleted {
			l.messages[h.id] = span{at, at + int64(len(line))}
		}
		return ctx.Err()
	})
}

// Peer is the chat, as far as the folder tells.
func (l *Local) Peer() telegram.Peer { return l.peer }

// Messages lists messages that have files, newest first. It heeds all options
// but those that only help a search.
func (l *Local) Messages(ctx context.Context, _ telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		n := 0
		for _, group := range l.groups(o) {
			m, err := l.message(group)
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case err != nil:
				yield(nil, err)
				return
			case !o.From.IsZero() && m.Date.Before(o.From), !o.Until.IsZero() && !m.Date.Before(o.Until), o.Thread != 0 && !m.InTopic(o.Thread):
				continue
			}
			if n++; !yield(m, nil) || n == o.Limit {
				return
			}
		}
	}
}

// groups are the files of each message within the bounds.
func (l *Local) groups(o telegram.MessagesOptions) iter.Seq2[int, []localFile] {
	return func(yield func(int, []localFile) bool) {
		for from := 0; from < len(l.files); {
			at := from
			if o.Reverse {
				at = len(l.files) - 1 - from
			}
			id := l.files[at].message
			if len(o.IDs) > 0 && !slices.Contains(o.IDs, id) || id < o.MinID || o.MaxID > 0 && id > o.MaxID {
				from++
				continue
			}
			begin, end := at, at+1
			for begin > 0 && l.files[begin-1].message == id {
				begin--
			}
			for end < len(l.files) && l.files[end].message == id {
				end++
			}
			if from += end - begin; !yield(id, l.files[begin:end]) {
				return
			}
		}
	}
}

// message makes a message of the lines of its files, and of its own.
func (l *Local) message(files []localFile) (*telegram.Message, error) {
	m := &telegram.Message{Peer: l.peer, ID: files[0].message}
	var about map[string]map[string]any
	if s, ok := l.messages[m.ID]; ok {
		line := make([]byte, s.to-s.from)
		if _, err := l.history.ReadAt(line, s.from); err != nil {
			return nil, err
		}
		about = describe(m, line)
	}
	for _, f := range files {
		e, err := l.entry(f)
		if err != nil {
			return nil, err
		}
		file := e.file(l.peer)
		describeFile(&file, about)
		m.Files = append(m.Files, file)
		if sent := e.sent(); m.Date.IsZero() && !sent.IsZero() {
			m.Date = sent
		} else if m.Date.IsZero() {
			m.Date = file.Date
		}
	}
	return m, nil
}

// entry reads the line of a file again.
func (l *Local) entry(f localFile) (Entry, error) {
	line := make([]byte, f.size)
	if _, err := l.manifest.ReadAt(line, f.at); err != nil {
		return Entry{}, fmt.Errorf("%s was changed while it was read: %w", ManifestName, err)
	}
	e, _, err := parseEntry(line)
	return e, err
}

// Entry is the line of a file that Messages has listed.
func (l *Local) Entry(f telegram.File) (Entry, error) {
	i, found := slices.BinarySearchFunc(l.files, f.Origin.MessageID, func(x localFile, id int) int { return cmp.Compare(id, x.message) })
	for ; found && i < len(l.files) && l.files[i].message == f.Origin.MessageID; i++ {
		if e, err := l.entry(l.files[i]); err != nil || e.Document == f.ID {
			return e, err
		}
	}
	return Entry{}, fs.ErrNotExist
}

// Check says what is wrong with a file at a glance: whether it is there and has
// the right size. "" if nothing is.
func (l *Local) Check(e Entry) Problem {
	at, err := l.beside.of(&e)
	if err != nil {
		return Unreadable
	}
	fi, err := at.root.Lstat(at.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing
	case err != nil:
		return Unreadable
	case !fi.Mode().IsRegular():
		return NotFile
	case fi.Size() != e.Size:
		return WrongSize
	}
	return ""
}

// Close closes the archive. It may be called twice.
func (l *Local) Close() error {
	var errs []error
	for _, f := range []*os.File{l.manifest, l.history} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if l.root != nil {
		errs = append(errs, l.root.Close(), l.beside.close())
	}
	l.root, l.manifest, l.history, l.beside = nil, nil, nil, neighbourhood{}
	return errors.Join(errs...)
}

// key is what tells the entry's file from others.
func (e *Entry) key() fileKey { return fileKey{e.Message, e.Document, e.Thumb != ""} }

func fileKeyOf(f telegram.File) fileKey { return fileKey{f.Origin.MessageID, f.ID, f.IsThumb} }

// file is what an entry tells of its file.
func (e *Entry) file(p telegram.Peer) telegram.File {
	f := telegram.File{
		ID: e.Document, Kind: e.Kind, Size: e.Size, Name: e.SenderName(), Origin: telegram.Origin{Peer: p, MessageID: e.Message},
	}
	f.Date, _ = time.Parse(time.RFC3339, e.Date) // zero if there is none
	if f.Kind == "" {
		f.Kind = telegram.KindDocument
	}
	return f
}

// SenderName is what the sender called the file, as far as the line tells.
func (e *Entry) SenderName() string {
	if e.Name != "" {
		return e.Name
	}
	base := strings.TrimSuffix(e.Path[strings.LastIndexByte(e.Path, '/')+1:], transfer.ThumbSuffix)
	if plain, ok := transfer.UnescapeName(base); ok {
		base = plain
	}
	return strings.TrimPrefix(base, fmt.Sprintf("%d_", e.Message))
}
