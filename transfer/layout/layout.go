// Package layout says where files go: paths that a template makes of what is
// known of a file and its message.
//
// What is known comes from strangers. It can fill an element of a path with
// whatever it likes, and that is made safe; it can never make another element,
// or lead anywhere. Only the slashes of the template itself make folders.
package layout

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// Bounds of templates and of what they make.
const (
	maxTemplate = 4096    // bytes
	maxText     = 1 << 16 // bytes
)

// A Template makes paths, in the language of text/template. It is safe for
// concurrent use.
type Template struct {
	topics bool

	mu   sync.Mutex // held while it runs, since its functions look at what follows
	tmpl *template.Template
	now  time.Time
	file uint64 // tells files apart
}

// A Subject is the file that a path is made for.
type Subject struct {
	Message *telegram.Message
	File    telegram.File
	Topic   string    // title of the topic that the message is in; "": none, or not known
	Now     time.Time // when the fetching of files began
}

// number tells the file from others.
func (s Subject) number() uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, s.Message.Peer.MarkedID(), s.Message.ID, s.File.ID) // a hash never fails
	return h.Sum64()
}

// Parse reads a template and tries it out. The error says what is wrong with
// it: its syntax, a field or function that does not exist, a path that leads out
// of the folder, or the same path for every file.
func Parse(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("longer than %d bytes", maxTemplate)
	}
	t := &Template{topics: strings.Contains(text, ".Topic")}
	tmpl, err := template.New("template").Option("missingkey=error").Funcs(t.functions()).Parse(text)
	if err != nil {
		return nil, explain(err)
	}
	t.tmpl = tmpl
	if err := checkFields(tmpl.Root); err != nil {
		return nil, err
	}
	var paths [2]string
	for i, s := range samples() {
		made, err := t.run(s)
		if err == nil {
			err = refuse(made, i == 0)
		}
		if err != nil {
			return nil, err
		}
		paths[i] = made
	}
	if paths[0] == paths[1] {
		return nil, errors.New("gives every file the same path: put {{.ID}} or {{.Name}} into it")
	}
	return t, nil
}

// explain leaves out what the library calls the template.
func explain(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: template:")
	if before, after, ok := strings.Cut(text, "executing \"template\" at "); ok {
		text = before + "at " + after
	}
	return errors.New(text)
}

// refuse finds what the author of a template cannot want. Of a file that is not
// full, elements may be empty.
func refuse(path string, full bool) error {
	switch {
	case full && strings.HasPrefix(path, "/"):
		return fmt.Errorf("%q is not relative to the folder: leave out the slash in front", path)
	case full && strings.HasSuffix(path, "/"):
		return fmt.Errorf("%q ends in a slash, and so names no file", path)
	}
	for e := range strings.SplitSeq(path, "/") {
		if e == "." || e == ".." {
			return fmt.Errorf("%q leads out of the folder, or nowhere", path)
		}
	}
	return nil
}

// NeedsTopics reports whether the template looks at Subject.Topic.
func (t *Template) NeedsTopics() bool { return t.topics }

// Path is the path of a file, as transfer.SafePath makes it; it is the same
// whenever the subject is. Two files may have the same one: see transfer.Names.
// The error is that of the template, which may fail for one file and not for
// others.
func (t *Template) Path(s Subject) (string, error) {
	made, err := t.run(s)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	elements := strings.Split(made, "/")
	for i, e := range elements {
		e = strings.Join(strings.Fields(e), " ") // captions have lines
		elements[i] = strings.ReplaceAll(e, foreignSlash, "/")
	}
	return transfer.SafePath(elements...), nil
}

// foreignSlash stands for a slash that is not the template's, until the path is
// taken apart. It is no character, and so is in no name; if it is in one
// nonetheless, it becomes a slash that is made safe.
const foreignSlash = "\ufdd0"

func (t *Template) run(s Subject) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.file = s.Now.UTC(), s.number()
	var out limited
	if err := t.tmpl.Execute(&out, newFields(s)); err != nil {
		return "", explain(err)
	}
	return out.String(), nil
}

// limited is a text that does not grow without end.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > maxText {
		return 0, fmt.Errorf("more than %d bytes of text", maxText)
	}
	return l.Buffer.Write(b)
}

// samples are two files that have nothing in common: of one everything is known,
// of the other as little as can be.
func samples() [2]Subject {
	date := time.Date(2024, 2, 29, 13, 14, 15, 0, time.UTC)
	group := telegram.Peer{Kind: telegram.PeerChannel, ID: 1500000001, Username: "films", Title: "Films", Forum: true}
	user := telegram.Peer{Kind: telegram.PeerUser, ID: 7}
	return [2]Subject{{
		Message: &telegram.Message{Peer: group, ID: 17, Date: date, Text: "A caption of some length", GroupedID: 5, Topic: 2, ReplyTo: 3},
		File: telegram.File{
			ID: 1, Kind: telegram.KindVideo, Name: "some lecture.mp4", Size: 12 << 20, MimeType: "video/mp4", W: 640, H: 480,
			Duration: time.Minute, Origin: telegram.Origin{Peer: group, MessageID: 17},
		},
		Topic: "Ships", Now: date,
	}, {
		Message: &telegram.Message{Peer: user, ID: 18, Date: date.AddDate(1, 1, 1)},
		File: telegram.File{
			ID: 2, Kind: telegram.KindDocument, Name: "x", Origin: telegram.Origin{Peer: user, MessageID: 18},
		},
		Now: date.AddDate(1, 2, 3),
	}}
}
