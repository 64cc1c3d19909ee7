package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

func upJob() jobKind {
	return jobKind{
		command: "up",
		how:     upTuning,
		what: func() []cli.Flag {
			return append([]cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "send to this `CHAT`", EnvVars: []string{"HAUL_UP_TO"}},
				stringFlag("caption", "", "caption of each message, or a template of it: {{.Dir}} {{.Name}} (see below)"),
				skipFlag(), splitFlag(), deleteSourceFlag(),
			}, messageFlags()...)
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 || c.String("to") == "" {
				return usagef("what, and where to? haul up FILE --to @name (flags stand before or after the files)")
			}
			if err := checkChats(c.String("to")); err != nil {
				return err
			}
			if err := checkSkipValue(c); err != nil {
				return err
			}
			if _, err := parseSending(c); err != nil {
				return err
			}
			if c.Bool("delete-source") && c.String("schedule") != "" {
				return usagef("--delete-source and --schedule exclude each other: nothing proves that Telegram has a message that it has yet to send")
			}
			_, err := parseMessages(c, time.Now())
			return err
		},
		normal: absolute,
		run:    uploadFiles,
	}
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name: "up", Aliases: []string{"upload"}, Usage: "upload files and folders, and send each file as a message", ArgsUsage: "PATH...", OnUsageError: usageError,
		Description: "An upload that was cut short goes on where it was, and sends one message. Of folders all files are sent, in\n" +
			"the order of their names, but for empty ones (Telegram takes none) and links.\n\n" +
			"Videos (MP4) and audio are sent as such, all else as documents, byte for byte. Pictures too: Telegram would compress\n" +
			"them; --as photo,video,audio has it do that. --album groups neighbours in a folder. The preview of clip.mp4 is made of\n" +
			"clip.thumb, clip.jpg, clip.jpeg, clip.png or clip.webp beside it, else by ffmpeg. Such a picture is sent as well, but for\n" +
			"clip.thumb.\n\n" +
			"A caption may be a Go template. It knows of each file\n" +
			"   .Name   report.pdf\n   .Stem   report\n   .Ext    .pdf\n   .Path   papers/2025/report.pdf, from the folder that was named\n" +
			"   .Dir    papers/2025\n   .Size   in bytes; {{size .Size}} is for people\n   .Date   of the last change: {{.Date.Format \"2006-01-02\"}}\n\n" +
			"--parse-mode markdown knows **bold** __italic__ ~~strikethrough~~ ||spoiler|| \x60code\x60 [text](URL) and blocks of code between\n" +
			"lines of \x60\x60\x60; a backslash makes the next character text. --parse-mode html knows <b> <i> <u> <s> <code> <pre> <blockquote>\n" +
			"<tg-spoiler> <a href=\"URL\">. What {{ }} puts in is text, whatever is in it.\n\n" +
			"Files larger than the account may send go in pieces, NAME.001 and so on, and a manifest; haul dl and haul join make\n" +
			"them one file again. --delete-source reads each file once more, to compare it with the server's hashes.\n\nExample:\n" +
			"   haul --datacenters dc.json up report.pdf --to @bigchannel --caption \"The report\"\n" +
			"   haul --datacenters dc.json up papers --to @bigchannel --caption \"{{.Dir}}\"",
		Flags:  upJob().flags(),
		Action: upJob().action,
	}
}

// uploadFiles sends the files that a job names and has not sent yet.
func uploadFiles(ctx context.Context, c *cli.Context, a *account, j *job) error {
	plan, err := parseMessages(c, j.since())
	if err != nil {
		return err
	}
	peer, err := a.client.Resolve(ctx, c.String("to"))
	if err != nil {
		return err
	}
	if err := plan.resolve(ctx, c, a, peer); err != nil {
		return err
	}
	show, err := newDisplay(c)
	if err != nil {
		return err
	}
	defer show.close()
	o, err := engineOptions(c, a)
	if err != nil {
		return err
	}
	if o.MaxUploadParts, err = a.client.UploadParts(ctx); err != nil {
		return err
	}
	var out *sending
	counts := j.watch(show)
	o.Events = func(ev transfer.Event) {
		if _, over := ev.(transfer.RunDone); over { // which is the last event
			out.end()
		}
		counts(ev)
	}
	e := transfer.New(a.client, o)
	if err := j.begin(); err != nil {
		return err
	}
	out, err = newSending(ctx, c, a, e, peer, show)
	if err != nil {
		return err
	}
	defer out.close()
	if out.existing != nil {
		if err := out.existing.reserve(ctx, sources(j.args, new(leftOut))); err != nil {
			return err
		}
	}
	var left leftOut
	report, err := e.Upload(ctx, out.split(plan.grouped(func(yield func(transfer.Upload, error) bool) {
		for s := range sources(j.args, &left) {
			u := transfer.Upload{Path: s.path, To: peer, Job: j.record.ID}
			plan.prepare(s, &u)
			err := out.prepare(ctx, s, &u)
			if !yield(u, err) || err != nil {
				return
			}
		}
		out.listed.Store(true)
	})))
	show.end()
	if err == nil && !c.Bool("json") && !c.Bool("quiet") {
		for _, f := range report.Done {
			_, _ = fmt.Fprintf(c.App.Writer, "%s is %s\n", printable(filepath.Base(f.Path)), plan.became(peer, f.MessageID))
		}
	}
	if text := left.String(); text != "" && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: left out: %s\n", text)
	}
	if !c.Bool("quiet") {
		plan.thumbs.say(c.App.ErrWriter)
	}
	out.say(c)
	return out.outcome(outcome(c, j, show, report, err))
}

// messageName is the link of a message, if it has one.
func messageName(p telegram.Peer, id int) string {
	if id == 0 { // sent by an earlier run that was killed, and not found again
		return "of unknown number"
	}
	if p.Username != "" {
		return "https://t.me/" + p.Username + "/" + strconv.Itoa(id)
	}
	return strconv.Itoa(id)
}
