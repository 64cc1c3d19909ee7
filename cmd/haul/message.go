package main

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/markup"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

// What haul up makes of a file: which kind of media, with which preview, in an
// album or not, and how the message is sent.

// messageFlags say what is made of a file. They belong to the job.
func messageFlags() []cli.Flag {
	named := func(name, env, usage string) *cli.StringFlag {
		return &cli.StringFlag{Name: name, Usage: usage, EnvVars: []string{"HAUL_UP_" + env}}
	}
	return []cli.Flag{
		stringFlag("as", "", "send these `KINDS` as what they are, all else as documents: auto (video,audio), document, or a list of photo,video,audio,voice. Telegram compresses photos and keeps no original"),
		&cli.BoolFlag{Name: "album", Usage: "send neighbours of a folder in albums of up to ten: photos with videos, audio with audio, documents with documents", EnvVars: []string{"HAUL_UP_ALBUM"}},
		named("thumbs", "THUMBS", "previews of videos and audio: auto (a picture beside the file, else ffmpeg if it is there), sidecar (no ffmpeg) or none"),
		stringFlag("parse-mode", "", "formatting of captions: markdown, html or none; what a template puts in is never formatting"),
		named("topic", "TOPIC", "send into this topic of the forum, by its title or id"),
		named("reply-to", "REPLY_TO", "answer this message of the chat: its id or link"),
		boolFlag("silent", "without a notification"),
		stringFlag("schedule", "", "have Telegram send it at this `TIME`: a date (2025-01-31T18:00), or from now on (+2h, +7d)"),
		stringFlag("send-as", "", "send in the name of this `CHAT`"),
	}
}

// A messagePlan is what the flags say about the messages.
type messagePlan struct {
	as      transfer.Kinds
	album   bool
	mode    markup.Mode
	caption *caption
	thumbs  *thumbs
	send    telegram.SendOptions
}

// parseMessages reads the flags, as far as that needs no network. Times from now
// on are counted from since.
func parseMessages(c *cli.Context, since time.Time) (*messagePlan, error) {
	p := &messagePlan{album: c.Bool("album"), send: telegram.SendOptions{Silent: c.Bool("silent")}}
	var err error
	read := func(flag string, parse func(text string) error) {
		if err != nil {
			return
		}
		if e := parse(c.String(flag)); e != nil {
			err = usagef("--%s: %w", flag, e)
		}
	}
	read("as", func(text string) (err error) { p.as, err = parseKinds(text); return })
	read("parse-mode", func(text string) (err error) { p.mode, err = markup.ParseMode(text); return })
	read("thumbs", func(text string) (err error) { p.thumbs, err = newThumbs(text); return })
	read("topic", func(text string) (err error) { p.send.Topic, err = parseTopic(text); return })
	read("reply-to", func(text string) (err error) { p.send.ReplyTo, err = parseReply(text, c.String("to")); return })
	read("schedule", func(text string) (err error) { p.send.Schedule, err = parseSchedule(text, since); return })
	if err != nil {
		return nil, err
	}
	p.caption, err = parseCaption(c.String("caption"), p.mode)
	return p, err
}

// parseKinds reads --as.
func parseKinds(text string) (k transfer.Kinds, err error) {
	switch text {
	case "", "auto":
		return transfer.AsVideo | transfer.AsAudio, nil
	case "document", "documents", "file":
		return transfer.Documents, nil
	}
	for _, name := range strings.Split(text, ",") {
		kind, known := map[string]transfer.Kinds{
			"photo": transfer.AsPhoto, "video": transfer.AsVideo, "audio": transfer.AsAudio, "voice": transfer.AsVoice,
		}[strings.TrimSpace(name)]
		if !known {
			return 0, fmt.Errorf("%q is no kind: auto, document, or a list of photo, video, audio and voice", name)
		}
		k |= kind
	}
	return k, nil
}

// parseReply reads the id of a message, or its link.
func parseReply(text, chat string) (int, error) {
	if text == "" {
		return 0, nil
	}
	if id, err := strconv.ParseInt(text, 10, 32); err == nil && id > 0 {
		return int(id), nil
	}
	l, err := telegram.ParseChat(text)
	if err != nil || l.Message == 0 {
		return 0, fmt.Errorf("%q is neither the id of a message nor a link to one", text)
	}
	if normalChat(text) != normalChat(chat) {
		return 0, fmt.Errorf("%s is not in the chat that is sent to", text)
	}
	return l.Message, nil
}

const (
	// soonest is how far ahead a message has to be scheduled: Telegram sends what
	// is due within seconds at once.
	soonest = 15 * time.Second
	// latest is how far ahead it may be. See core.telegram.org/api/scheduled-messages.
	latest = 365 * 24 * time.Hour
)

// parseSchedule reads a date, or a time from since on.
func parseSchedule(text string, since time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	later, ahead := strings.CutPrefix(text, "+")
	b, err := selection.ParseBound(later, selection.First, since)
	if err != nil || b.ID != 0 || b.Time.IsZero() {
		return time.Time{}, fmt.Errorf("%q: want a date such as 2025-01-31T18:00, or a time from now on such as +2h or +7d", text)
	}
	if ahead {
		b.Time = since.Add(since.Sub(b.Time))
	}
	return b.Time.Truncate(time.Second), nil
}

// checkSchedule refuses what Telegram would refuse after the upload.
func checkSchedule(at, now time.Time) error {
	switch {
	case at.IsZero():
		return nil
	case at.Before(now.Add(soonest)):
		return usagef("--schedule: %s is past", at.Format(time.DateTime))
	case at.After(now.Add(latest)):
		return usagef("--schedule: %s is more than a year ahead, which Telegram does not take", at.Format(time.DateTime))
	}
	return nil
}

// resolve finds what the flags name, and asks whether the chat takes what is to
// be sent: better than to learn it from the answer to the first message.
func (p *messagePlan) resolve(ctx context.Context, c *cli.Context, a *account, to telegram.Peer) error {
	if err := checkSchedule(p.send.Schedule, time.Now()); err != nil {
		return err
	}
	if !p.send.Schedule.IsZero() && a.client.IsBot() {
		return usagef("--schedule: Telegram schedules nothing for bots")
	}
	if title := c.String("topic"); title != "" && p.send.Topic == 0 {
		var s selection.Selection
		if err := findTopic(ctx, c, a, &s, to); err != nil {
			return err
		}
		p.send.Topic = s.Topic
	}
	if as := c.String("send-as"); as != "" {
		peer, err := a.client.Resolve(ctx, as)
		if err != nil {
			return fmt.Errorf("--send-as: %w", err)
		}
		p.send.As = &peer
	}
	return a.client.CheckSend(ctx, to, p.kinds(), p.send)
}

// kinds are the rights that sending may need.
func (p *messagePlan) kinds() []telegram.FileKind {
	var list []telegram.FileKind
	for _, k := range []struct {
		as   transfer.Kinds
		kind telegram.FileKind
	}{{transfer.AsPhoto, telegram.KindPhoto}, {transfer.AsVideo, telegram.KindVideo}, {transfer.AsAudio, telegram.KindAudio}, {transfer.AsVoice, telegram.KindVoice}} {
		if p.as&k.as != 0 {
			list = append(list, k.kind)
		}
	}
	return append(list, telegram.KindDocument)
}

// prepare completes the upload of a source. That fails by itself, and no other
// one with it, if its name or date make no caption.
func (p *messagePlan) prepare(s source, u *transfer.Upload) {
	u.As, u.Send, u.Thumb = p.as, p.send, p.thumbs.of(s)
	text, err := p.caption.of(s)
	if err == nil {
		u.Caption, u.Entities, err = p.mode.Parse(text)
	}
	if err != nil {
		u.Broken = fmt.Errorf("--caption, for this file: %w", err)
	}
}

// grouped makes albums of uploads, if that is wanted.
func (p *messagePlan) grouped(files iter.Seq2[transfer.Upload, error]) iter.Seq2[transfer.Upload, error] {
	if !p.album {
		return files
	}
	return transfer.Albums(files)
}

// became says what message a file has become.
func (p *messagePlan) became(to telegram.Peer, id int) string {
	if !p.send.Schedule.IsZero() {
		return "scheduled for " + p.send.Schedule.Format(time.DateTime)
	}
	return "message " + messageName(to, id)
}
