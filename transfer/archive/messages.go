package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tghaul/haul/telegram"
)

// messages.jsonl is only appended to. Of several lines with the same id the last
// counts: a message that was edited has a line for each state that was seen,
// and one that is gone a last line that says so, see Deleted.

// DeletedName is what "_" is in a line that says that a message is gone.
const DeletedName = "haul.deleted"

// A Deleted is the line of messages.jsonl for a message that was deleted, or is
// not to be seen any more. It follows the lines of the message.
type Deleted struct {
	Name  string    `json:"_"` // DeletedName
	ID    int       `json:"id"`
	Noted time.Time `json:"noted"` // when that was found out
}

var (
	lineBegin    = []byte(`{"_":"`)
	deletedBegin = []byte(`{"_":"` + DeletedName + `"`)
	idField      = []byte(`"id":`)
	editField    = []byte(`"edit_date":`)
)

// A historyLine is what the archive needs to know of a line of messages.jsonl.
type historyLine struct {
	id      int
	edited  int64 // unix time; 0: never
	deleted bool
}

var errNoMessage = errors.New("no message")

// parseHistory reads a line without parsing all of it, which would take long
// for a million. No field before the id, which stands at the beginning, has
// another one in it, and within a string there is no unescaped quote: so the
// first that looks like a field is one.
func parseHistory(line []byte) (l historyLine, err error) {
	if !bytes.HasPrefix(line, lineBegin) || !bytes.HasSuffix(line, []byte("}")) || bytes.IndexByte(line, 0) >= 0 {
		return l, errNoMessage
	}
	id, ok := numberAfter(line, idField)
	if !ok {
		return l, errNoMessage
	}
	l.id, l.deleted = int(id), bytes.HasPrefix(line, deletedBegin)
	l.edited, _ = numberAfter(line, editField)
	return l, nil
}

func numberAfter(line, field []byte) (int64, bool) {
	at := bytes.Index(line, field)
	if at < 0 {
		return 0, false
	}
	digits := line[at+len(field):]
	end := 0
	for end < len(digits) && (digits[end] >= '0' && digits[end] <= '9' || end == 0 && digits[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	return n, err == nil
}

// readHistory takes in a line of messages.jsonl. What was durable when the
// progress was recorded need not be looked at as closely as what came after.
func (a *Archive) readHistory(line []byte) error {
	at := a.read
	a.read += int64(len(line)) + 1
	l, err := parseHistory(line)
	if err != nil {
		return err
	}
	if at >= a.progress.Messages && !json.Valid(line) {
		return errNoMessage
	}
	a.noted(l)
	return nil
}

// noted takes in what a line of messages.jsonl says.
func (a *Archive) noted(l historyLine) {
	a.messages.add(l.id)
	delete(a.deleted, l.id)
	delete(a.edits, l.id)
	if l.deleted {
		a.deleted[l.id] = true
	}
	if l.edited != 0 {
		a.edits[l.id] = l.edited
	}
}

// knows reports whether the last line of a message tells of its present state:
// a.mu is held. Views, reactions and the like change all the time, and are no edits.
func (a *Archive) knows(m *telegram.Message) bool {
	return a.messages.has(m.ID) && !a.deleted[m.ID] && a.edits[m.ID] >= unixOf(m.Edited)
}

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// HasMessage reports whether messages.jsonl has a message that is not known to
// be gone.
func (a *Archive) HasMessage(id int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.messages.has(id) && !a.deleted[id]
}

// AddDeleted appends to messages.jsonl that messages are gone. Those that are
// not recorded, or noted as gone already, are passed over. It returns how many
// were new.
func (a *Archive) AddDeleted(ids []int, now time.Time) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	noted := 0
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if !a.messages.has(id) || a.deleted[id] {
			continue
		}
		line, err := json.Marshal(Deleted{DeletedName, id, now.UTC().Truncate(time.Second)})
		if err == nil {
			err = appendLine(a.history, line)
		}
		if err != nil {
			return noted, fmt.Errorf("archive: %w", err)
		}
		a.noted(historyLine{id: id, deleted: true})
		noted++
	}
	return noted, nil
}
