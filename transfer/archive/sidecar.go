package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/schema"
	"github.com/tghaul/haul/transfer"
)

// A Sidecar is the content of a file that lies beside another one and tells what
// is known of it.
type Sidecar struct {
	File    Entry           `json:"file"`    // as in the manifest
	Message json.RawMessage `json:"message"` // as in messages.jsonl
}

// WriteSidecars has a sidecar written beside each file that is finished, or was
// before: its path with transfer.SidecarSuffix, which no file of a chat has. A
// reference, which has no file, has one where the file would be.
func (a *Archive) WriteSidecars() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sidecars = true
}

// enter appends the line of a file and writes its sidecar. own is the file's own
// path.
func (a *Archive) enter(e Entry, m *telegram.Message, own string) error {
	if err := a.add(e); err != nil {
		return err
	}
	return a.sidecar(e, m, own)
}

// sidecar writes the sidecar of a file, if it is wanted and there is none that
// says the same. It is whole at every moment.
func (a *Archive) sidecar(e Entry, m *telegram.Message, own string) error {
	a.mu.Lock()
	wanted := a.sidecars
	a.mu.Unlock()
	if !wanted {
		return nil
	}
	message, _, err := schema.AppendJSON(nil, m.Raw)
	if err != nil {
		return fmt.Errorf("archive: sidecar of message %d: %w", m.ID, err)
	}
	content, err := json.Marshal(Sidecar{File: e, Message: message})
	if err != nil {
		return fmt.Errorf("archive: sidecar of message %d: %w", m.ID, err)
	}
	content = append(content, '\n')
	name := own + transfer.SidecarSuffix
	if old, err := a.root.ReadFile(name); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := a.replace(name, content); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// replace writes a file beside, and has it take the name.
func (a *Archive) replace(name string, content []byte) (err error) {
	beside := name + ".part"
	if dir, _, ok := cutLast(name); ok { // that of a reference need not exist
		if err := a.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := a.root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = a.root.Rename(beside, name)
	}
	if err != nil {
		return errors.Join(err, a.root.Remove(beside))
	}
	return nil
}

// cutLast cuts a path at its last slash.
func cutLast(name string) (dir, base string, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// isSidecar reports whether a path is that of a sidecar.
func isSidecar(name string) bool {
	return strings.HasSuffix(strings.ToLower(name), transfer.SidecarSuffix)
}
