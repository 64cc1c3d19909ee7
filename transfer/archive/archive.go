// Package archive keeps the folder of an archived chat: the files, one line
// for each in manifest.jsonl, and every message, lossless, in messages.jsonl.
// docs/formats.md describes both.
package archive

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/schema"
	"github.com/tghaul/haul/transfer"
)

// Names of the records in an archive.
const (
	ManifestName = "manifest.jsonl"
	MessagesName = "messages.jsonl"
)

// An Entry is one line of the manifest.
type Entry struct {
	Chat     int64     `json:"chat"` // marked id
	Message  int       `json:"message"`
	Document int64     `json:"document,string"`
	Kind     string    `json:"kind"`
	Path     string    `json:"path"` // relative to the manifest, with slashes
	Name     string    `json:"name"` // as the sender called it
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Date     time.Time `json:"date"`
}

type fileKey struct {
	message  int
	document int64
}

// An Archive is the folder of one chat. It may be used concurrently.
type Archive struct {
	dir  string
	root *os.Root

	mu       sync.Mutex
	manifest *os.File
	messages *os.File
	files    map[fileKey]bool
	seen     map[int]bool
}

// Open opens the archive of a chat below dir, and makes it if there is none.
// A line that a crash has cut short is removed from the records.
func Open(dir string, chat telegram.Peer) (*Archive, error) {
	folder := filepath.Join(dir, FolderName(chat))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: folder, root: root, files: map[fileKey]bool{}, seen: map[int]bool{}}
	if err := a.load(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// FolderName is the name of a chat's folder: its username, or else its id.
func FolderName(chat telegram.Peer) string {
	if chat.Username != "" {
		return transfer.SafeName(chat.Username)
	}
	return transfer.SafeName("chat " + strconv.FormatInt(chat.MarkedID(), 10))
}

func (a *Archive) load() (err error) {
	a.manifest, err = a.open(ManifestName, func(line []byte) error {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		a.files[fileKey{e.Message, e.Document}] = true
		return nil
	})
	if err != nil {
		return err
	}
	a.messages, err = a.open(MessagesName, func(line []byte) error {
		var m struct {
			ID int `json:"id"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		a.seen[m.ID] = true
		return nil
	})
	return err
}

// open reads a record line by line and leaves it open for appending.
func (a *Archive) open(name string, line func([]byte) error) (*os.File, error) {
	if fi, err := a.root.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", filepath.Join(a.dir, name))
	}
	f, err := a.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(f, 64<<10)
	good := int64(0)
	for n := 1; ; n++ {
		b, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // b is what a crash left of a line
			break
		}
		if err == nil {
			err = line(bytes.TrimSpace(b))
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s line %d: %w", filepath.Join(a.dir, name), n, err)
		}
		good += int64(len(b))
	}
	if err := f.Truncate(good); err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Dir is the archive's folder.
func (a *Archive) Dir() string { return a.dir }

// Root is the archive's folder, for downloads into it. It is closed with the archive.
func (a *Archive) Root() *os.Root { return a.root }

// Path is where a file belongs: the message's number, which makes it unique,
// and the name. n counts the files of a message from 0.
func Path(f *telegram.File, n int) string {
	prefix := strconv.Itoa(f.Origin.MessageID) + "_"
	if n > 0 {
		prefix += strconv.Itoa(n+1) + "_"
	}
	return prefix + transfer.SafeName(f.Name)
}

// Message records a message, unless it is recorded already.
func (a *Archive) Message(m *telegram.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[m.ID] {
		return nil
	}
	line, _, err := schema.AppendJSON(nil, m.Raw)
	if err != nil {
		return fmt.Errorf("message %d: %w", m.ID, err)
	}
	if _, err := a.messages.Write(append(line, '\n')); err != nil {
		return err
	}
	a.seen[m.ID] = true
	return nil
}

// File records a finished file, unless it is recorded already.
func (a *Archive) File(f *telegram.File, res transfer.FileResult) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := fileKey{f.Origin.MessageID, f.ID}
	if a.files[key] {
		return nil
	}
	line, err := json.Marshal(Entry{
		Chat: f.Origin.Peer.MarkedID(), Message: f.Origin.MessageID, Document: f.ID, Kind: string(f.Kind), Path: res.Path,
		Name: f.Name, Size: res.Size, SHA256: hex.EncodeToString(res.SHA256[:]), Date: f.Date,
	})
	if err != nil {
		return err
	}
	if _, err := a.manifest.Write(append(line, '\n')); err != nil {
		return err
	}
	a.files[key] = true
	return nil
}

// Close makes the records durable and closes the archive.
func (a *Archive) Close() error {
	var errs []error
	for _, f := range []*os.File{a.manifest, a.messages} {
		if f != nil {
			errs = append(errs, f.Sync(), f.Close())
		}
	}
	return errors.Join(append(errs, a.root.Close())...)
}

// ReadManifest reads the manifest of a folder.
func ReadManifest(dir string) ([]Entry, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	var list []Entry
	d := json.NewDecoder(f)
	for {
		var e Entry
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		list = append(list, e)
	}
}
