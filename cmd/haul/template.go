package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/layout"
)

func templateFlag(where string) cli.Flag {
	return stringFlag("template", "", "path of each file below "+where+", as a Go template: '{{.Topic}}/{{.Date.Format \"2006-01\"}}/{{.ID}}_{{.Name}}'; docs/guide.md lists what it knows, tdl's names work too")
}

// parseTemplate reads --template; nil if there is none.
func parseTemplate(c *cli.Context) (*layout.Template, error) {
	text := c.String("template")
	if text == "" {
		return nil, nil
	}
	t, err := layout.Parse(text)
	if err != nil {
		return nil, usagef("--template: %w", err)
	}
	return t, nil
}

// subjects tell a template what it needs to know of files, and when files are from.
type subjects struct {
	noTimes bool // --no-mtime
	thumbs  bool // --thumbs
	client  *telegram.Client
	tmpl    *layout.Template // nil: nothing is needed
	now     time.Time
	topics  map[int64]map[int]string // titles by chat and topic
	pool    *archive.Pool            // what --dedupe looks into; nil if it is off
}

func newSubjects(c *cli.Context, a *account, j *job) (*subjects, error) {
	t, err := parseTemplate(c)
	return &subjects{client: a.client, tmpl: t, now: j.started(), noTimes: c.Bool("no-mtime"), thumbs: c.Bool("thumbs"), topics: make(map[int64]map[int]string)}, err
}

// started is when the job began, in whatever run that was.
func (j *job) started() time.Time {
	if j.known {
		return j.record.Created
	}
	return time.Now()
}

// of is what is known of a file. The titles of a forum's topics are fetched
// once; bots, which cannot have them, go by ids.
func (s *subjects) of(ctx context.Context, m *telegram.Message, f telegram.File) (layout.Subject, error) {
	subject := layout.Subject{Message: m, File: f, Now: s.now}
	if s.tmpl == nil || !s.tmpl.NeedsTopics() || !m.Peer.Forum || s.client.IsBot() {
		return subject, nil
	}
	titles := s.topics[m.Peer.MarkedID()]
	if titles == nil {
		titles = make(map[int]string)
		for t, err := range s.client.Topics(ctx, m.Peer) {
			if err != nil && !errors.Is(err, telegram.ErrNoThread) {
				return subject, fmt.Errorf("--template: %w", err)
			}
			if err == nil {
				titles[t.ID] = t.Title
			}
		}
		s.topics[m.Peer.MarkedID()] = titles
	}
	subject.Topic = titles[layout.TopicOf(m)]
	return subject, nil
}

// modTime is the time that a file of a message gets; zero for none.
func (s *subjects) modTime(sent time.Time) time.Time {
	if s.noTimes || sent.Unix() <= 0 {
		return time.Time{}
	}
	return sent
}

// knownPaths tells which place a file has from an earlier run. What the
// checkpoint cannot say it will say again when the file is opened.
func knownPaths(e *transfer.Engine, d transfer.Download) func(telegram.File) string {
	return func(f telegram.File) string {
		d := d
		d.File = f
		path, _ := e.KnownPath(d)
		return path
	}
}
