// Package archive keeps the folder that a chat is archived to: its files, and
// beside them manifest.jsonl, a line for each file, and messages.jsonl, a line
// for each message. Lines are only ever appended, whole, and nothing is
// written twice, so archiving again adds what is new.
package archive

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/schema"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/layout"
)

// Names of the two lists in an archive's folder, and of the folder that
// `haul gallery` makes. No file of a chat can have them: those begin with the
// number of their message, or are called as transfer.SafePath permits; and no
// username has a hyphen.
const (
	ManifestName = "manifest.jsonl"
	MessagesName = "messages.jsonl"
	GalleryName  = "haul-gallery"
)

// An Entry is a line of the manifest: a file that is complete.
type Entry struct {
	Chat     int64  `json:"chat"` // marked id
	Message  int    `json:"message"`
	Document int64  `json:"document,string"`
	Path     string `json:"path"` // relative to the manifest, with slashes; see Reference
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"` // in hexadecimal
	Date     string `json:"date"`   // of the file, RFC 3339
	// Name is what the sender called the file, if Path does not tell.
	Name string `json:"name,omitempty"`
	// Sent is the date of the message, RFC 3339, and Kind what sort of file it
	// is. Lines of early versions have neither.
	Sent string            `json:"sent,omitempty"`
	Kind telegram.FileKind `json:"kind,omitempty"`
	// Reference says that Path is that of another file with the same content,
	// which may lie in another archive of the folder above: "../other/1_a.jpg".
	Reference bool `json:"reference,omitempty"`
	// Thumb says that the line is about the thumbnail of a file, and which: the
	// type of its photo size. "": about the file itself.
	Thumb string `json:"thumb,omitempty"`
}

// An Archive is the folder of one chat. It is safe for concurrent use. Close
// it when done.
type Archive struct {
	root   *os.Root
	beside neighbourhood
	folder string // its name in the folder above
	chat   int64  // marked id

	mu       sync.Mutex
	names    transfer.Names
	entries  map[fileKey]Entry
	paths    map[fileKey]string // given away in this run, no entry yet
	messages idSet
	edits    map[int]int64 // by message, when the state that is recorded was made, if by an edit
	deleted  map[int]bool  // messages of which the last line says that they are gone
	read     int64         // bytes of messages.jsonl, while it is read
	progress *progress
	manifest *os.File
	history  *os.File
	aside    []string // damaged lists
	damaged  bool     // a list was found damaged
	readOnly bool
	link     linker // nil if readOnly
	template *layout.Template
	sidecars bool
	known    func(telegram.File) string
}

type fileKey struct {
	message  int
	document int64
	thumb    bool
}

// Open opens the archive of a chat in its folder below dir, and makes both if
// they do not exist. What is in the folder already is looked through once. A
// line that was cut off by a crash is removed; a list with other damage is set
// aside and replaced by one of its good lines, see SetAside. Nobody else may
// open it until it is closed, in whatever process. Errors: a *BusyError if
// somebody has it open, a *transfer.TargetError if nothing may be written there.
func Open(dir string, peer telegram.Peer) (*Archive, error) {
	a, err := open(dir, peer, (*os.Root).Link)
	if err = transfer.AsTargetError(filepath.Join(dir, FolderName(peer)), err); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return a, nil
}

// A linker gives a file a second name, where the file system can.
type linker func(root *os.Root, old, name string) error

func open(dir string, peer telegram.Peer, link linker) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	base, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	name := FolderName(peer)
	if err := base.MkdirAll(name, 0o755); err != nil {
		return nil, errors.Join(err, base.Close())
	}
	syncFolder(base)
	root, err := base.OpenRoot(name)
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	a := newArchive(base, root, name, peer)
	a.link = link
	a.manifest, err = openLocked(root, filepath.Join(dir, name), os.O_CREATE)
	if busy := (*BusyError)(nil); errors.As(err, &busy) {
		return nil, errors.Join(err, a.Close())
	}
	if err == nil {
		err = a.load()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Join(dir, name), err), a.Close())
	}
	syncFolder(root)
	return a, nil
}

func newArchive(base, root *os.Root, name string, peer telegram.Peer) *Archive {
	return &Archive{
		root: root, beside: neighbourhood{root: root, above: base}, folder: name, chat: peer.MarkedID(),
		entries: make(map[fileKey]Entry), paths: make(map[fileKey]string),
		edits: make(map[int]int64), deleted: make(map[int]bool),
	}
}

// OpenToRead opens the archive of a chat as it is, also while somebody writes to
// it. It locks nothing and changes nothing, and lines that cannot be read are
// passed over. Nothing may be added to it. The error is one of fs.ErrNotExist if
// there is none.
func OpenToRead(dir string, peer telegram.Peer) (*Archive, error) {
	name := FolderName(peer)
	base, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	root, err := base.OpenRoot(name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %w", err), base.Close())
	}
	a := newArchive(base, root, name, peer)
	a.readOnly = true
	if a.manifest, err = root.Open(ManifestName); err == nil {
		err = a.load()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %s: %w", filepath.Join(dir, name), err), a.Close())
	}
	return a, nil
}

// syncFolder makes the entries of a folder durable, where the system can. What
// is lost if it cannot is made anew by the next run.
func syncFolder(root *os.Root) {
	if d, err := root.Open("."); err == nil {
		_ = errors.Join(d.Sync(), d.Close())
	}
}

// SetAside are the names of lists that were found damaged and set aside, in
// the archive's folder.
func (a *Archive) SetAside() []string { return a.aside }

// FolderName is the folder of a chat: its username if it has one, since that
// is what people type, and else its marked id. Titles change too easily.
func FolderName(p telegram.Peer) string {
	if p.Username != "" {
		return transfer.SafeName(p.Username)
	}
	return strconv.FormatInt(p.MarkedID(), 10)
}

// Root is the chat's folder. It stays the archive's.
func (a *Archive) Root() *os.Root { return a.root }

// load reads what the folder has. A username may have come to another chat
// since: ids of messages mean others there, and nothing is taken for done.
func (a *Archive) load() (err error) {
	a.progress = readProgress(a.root)
	other := a.progress.Chat
	a.manifest, err = a.readList(ManifestName, a.manifest, func(line []byte) error {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Chat != 0 && e.Chat != a.chat {
			other = e.Chat
		}
		a.entries[e.key()] = e
		if !e.Reference {
			a.names.Reserve(e.Path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", ManifestName, err)
	}
	if other != 0 && other != a.chat {
		return &OtherChatError{Folder: a.folder, Has: other, Wanted: a.chat}
	}
	flag := os.O_RDWR | os.O_CREATE
	if a.readOnly {
		flag = os.O_RDONLY
	}
	history, err := a.root.OpenFile(MessagesName, flag, 0o644)
	if a.readOnly && errors.Is(err, fs.ErrNotExist) {
		return a.checkProgress()
	}
	if err == nil {
		a.history, err = a.readList(MessagesName, history, a.readHistory)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", MessagesName, err)
	}
	return a.checkProgress()
}

// An OtherChatError says that the folder of a chat has the archive of another
// one, which had its username before.
type OtherChatError struct {
	Folder      string // its name
	Has, Wanted int64  // marked ids
}

func (e *OtherChatError) Error() string {
	return fmt.Sprintf("the folder has the archive of chat %d, and the username is that of chat %d now; "+
		"rename the folder (to %s_%d, say), then run this again", e.Has, e.Wanted, e.Folder, e.Has)
}

// readList reads what a list has, and makes it ready for appending. A last line
// without an end is cut off: it was being written when the program ended. Lines
// that cannot be read, as a power loss leaves them, are left out of a new list,
// which is returned then. If the list is nil none is open any more.
func (a *Archive) readList(name string, f *os.File, use func(line []byte) error) (*os.File, error) {
	good, end, bad, err := readLines(f, use)
	a.damaged = a.damaged || bad
	switch {
	case err != nil, a.readOnly:
	case bad:
		old := f
		if f, err = a.replaceList(name, old, good); f == nil {
			f = old
		} else {
			err = errors.Join(err, old.Close())
		}
	default:
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// A span is where some bytes of a list are.
type span struct{ from, to int64 }

// readLines returns where the good lines are and where the last whole one ends,
// and whether there are bad ones.
func readLines(r io.Reader, use func(line []byte) error) (good []span, end int64, bad bool, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return good, end, bad, nil
		}
		if err != nil {
			return good, end, bad, err
		}
		from := end
		end += int64(len(line))
		switch last := len(good) - 1; {
		case use(bytes.TrimSpace(line)) != nil:
			bad = true
		case last >= 0 && good[last].to == from:
			good[last].to = end
		default:
			good = append(good, span{from, end})
		}
	}
}

// replaceList makes a list of the good lines of another one, and has it take
// the other's name. That one is kept under a name of its own. The list is nil
// if none was made. It is locked before it has the name, as the manifest is.
func (a *Archive) replaceList(name string, old *os.File, good []span) (_ *os.File, err error) {
	fresh := name + ".new"
	f, err := a.root.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return f, err
	}
	for _, s := range good {
		if _, err := io.Copy(f, io.NewSectionReader(old, s.from, s.to-s.from)); err != nil {
			return f, err
		}
	}
	if err := f.Sync(); err != nil {
		return f, err
	}
	aside, err := a.keepDamaged(name, old)
	if err != nil {
		return f, err
	}
	if err := a.root.Rename(fresh, name); err != nil {
		return f, err
	}
	a.aside = append(a.aside, aside)
	return f, nil
}

// keepDamaged keeps a list under another name, too. Its own name has a file all
// the while: if there were none for a moment, somebody else could make one, and
// lock that. So where there are no hard links it is copied.
func (a *Archive) keepDamaged(name string, list *os.File) (aside string, err error) {
	aside = fmt.Sprintf("%s.damaged-%s", name, time.Now().UTC().Format("20060102T150405.000Z"))
	for n := 2; ; n++ {
		if err = a.link(a.root, name, aside); err != nil && !errors.Is(err, fs.ErrExist) {
			err = a.copyList(list, aside)
		}
		if !errors.Is(err, fs.ErrExist) {
			return aside, err
		}
		aside = fmt.Sprintf("%s-%d", strings.TrimSuffix(aside, fmt.Sprintf("-%d", n-1)), n)
	}
}

// copyList copies a list to a name that nothing has.
func (a *Archive) copyList(list *os.File, name string) error {
	f, err := a.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.NewSectionReader(list, 0, math.MaxInt64))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, a.root.Remove(name))
	}
	return nil
}

// Path is the name for a file in the archive: the number of its message, then
// what the sender called it, made safe. The same file gets the same name in
// every run, whatever else is selected.
func (a *Archive) Path(f telegram.File) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pathLocked(f)
}

func (a *Archive) pathLocked(f telegram.File) string {
	key := fileKeyOf(f)
	if e, ok := a.entries[key]; ok && !e.Reference {
		return e.Path
	}
	if p, ok := a.paths[key]; ok {
		return p
	}
	p := a.names.Take(strconv.Itoa(f.Origin.MessageID)+"_"+f.Name, f.ID)
	a.paths[key] = p
	return p
}

// Has reports whether the archive has a file: it is in the manifest, and on
// disk with the same size.
func (a *Archive) Has(f telegram.File) bool {
	a.mu.Lock()
	e, ok := a.entries[fileKeyOf(f)]
	a.mu.Unlock()
	if !ok || e.Size != f.Size {
		return false
	}
	if e.Reference {
		return a.refers(f).Found
	}
	fi, err := a.root.Lstat(e.Path)
	return err == nil && fi.Mode().IsRegular() && fi.Size() == e.Size
}

// SHA256 is the hash that the manifest has for a file, zero if it has none. It
// is for transfer.Download.SHA256.
func (a *Archive) SHA256(f telegram.File) (sum [32]byte) {
	a.mu.Lock()
	e, ok := a.entries[fileKeyOf(f)]
	a.mu.Unlock()
	if b, err := hex.DecodeString(e.SHA256); ok && err == nil && len(b) == len(sum) && e.Size == f.Size {
		sum = [32]byte(b)
	}
	return sum
}

// AddMessage appends a message to messages.jsonl, unless it is there and was
// not edited since: the whole message as the server sent it, printed from the
// schema. It reports whether it was new.
func (a *Archive) AddMessage(m *telegram.Message) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.knows(m) {
		return false, nil
	}
	line, n, err := schema.AppendJSON(nil, m.Raw)
	if err == nil && n != len(m.Raw) {
		err = fmt.Errorf("%d bytes after the message", len(m.Raw)-n)
	}
	if err != nil {
		return false, fmt.Errorf("archive: message %d: %w", m.ID, err)
	}
	if err := appendLine(a.history, line); err != nil {
		return false, fmt.Errorf("archive: %w", err)
	}
	a.noted(historyLine{id: m.ID, edited: unixOf(m.Edited)})
	return true, nil
}

// AddFile appends a finished file to the manifest, unless it is there just so.
// It fits transfer.Download.Finished.
func (a *Archive) AddFile(f telegram.File, res transfer.FileResult) error {
	return a.add(a.entry(nil, f, res))
}

// AddFileOf is AddFile with the date of the message, and the sidecar if there is
// to be one.
func (a *Archive) AddFileOf(m *telegram.Message, f telegram.File, res transfer.FileResult) error {
	e := a.entry(m, f, res)
	if f.IsThumb { // the file's own sidecar is enough
		return a.add(e)
	}
	return a.enter(e, m, res.Path)
}

// entry is the line of a file. The message may be nil.
func (a *Archive) entry(m *telegram.Message, f telegram.File, res transfer.FileResult) Entry {
	e := Entry{
		Chat: a.chat, Message: f.Origin.MessageID, Document: f.ID, Path: res.Path, Size: res.Size,
		SHA256: hex.EncodeToString(res.SHA256[:]), Date: f.Date.UTC().Format(time.RFC3339), Kind: f.Kind,
	}
	if f.IsThumb {
		e.Thumb = f.Thumb
	}
	if m != nil {
		e.Sent = m.Date.UTC().Format(time.RFC3339)
	}
	if name, ok := transfer.UnescapeName(res.Path); !ok || name != strconv.Itoa(e.Message)+"_"+f.Name {
		e.Name = f.Name
	}
	return e
}

// add appends a line, unless the last one of the file says the same.
func (a *Archive) add(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := e.key()
	if old, ok := a.entries[key]; ok && old.says(e) {
		return nil
	}
	if err := appendLine(a.manifest, line); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	a.entries[key] = e
	delete(a.paths, key)
	return nil
}

// says reports whether a line says the same as another, as far as its version
// could.
func (e Entry) says(other Entry) bool {
	if e.Sent == "" || other.Sent == "" {
		e.Sent, other.Sent = "", ""
	}
	if e.Kind == "" {
		other.Kind = ""
	}
	return e == other
}

// appendLine writes a line in one call. If that fails the file is put back to
// where it was, so that there is never half a line with something after it.
func appendLine(f *os.File, line []byte) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_, back := f.Seek(at, io.SeekStart)
		return errors.Join(err, f.Truncate(at), back)
	}
	return nil
}

// Close makes both lists durable and closes them. It may be called twice.
func (a *Archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, f := range []*os.File{a.manifest, a.history} {
		if f != nil && !a.readOnly {
			errs = append(errs, f.Sync())
		}
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	a.manifest, a.history = nil, nil
	errs = append(errs, a.root.Close(), a.beside.close())
	for i, err := range errs {
		if errors.Is(err, fs.ErrClosed) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}
