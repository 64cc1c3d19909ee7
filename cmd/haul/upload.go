package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

func upJob() jobKind {
	return jobKind{
		command: "up",
		how:     tuningFlags,
		what: func() []cli.Flag {
			return []cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "send to this `CHAT`", EnvVars: []string{"HAUL_UP_TO"}},
				stringFlag("caption", "", "caption of each message, or a template of it: {{.Dir}} {{.Name}} (see below)"),
				skipFlag(), splitFlag(), deleteSourceFlag(),
			}
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 || c.String("to") == "" {
				return usagef("what, and where to? haul up FILE --to @name (flags stand before or after the files)")
			}
			if _, err := parseSending(c); err != nil {
				return err
			}
			_, err := parseCaption(c.String("caption"))
			return err
		},
		normal: absolute,
		run:    uploadFiles,
	}
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name: "up", Aliases: []string{"upload"}, Usage: "upload files and folders, and send each file as a document", ArgsUsage: "PATH...", OnUsageError: usageError,
		Description: "An upload that was cut short goes on where it was, and sends one message. Of folders all files are sent, in\n" +
			"the order of their names, but for empty ones (Telegram takes none) and links.\n\n" +
			"A caption may be a Go template. It knows of each file\n" +
			"   .Name   report.pdf\n   .Stem   report\n   .Ext    .pdf\n   .Path   papers/2025/report.pdf, from the folder that was named\n" +
			"   .Dir    papers/2025\n   .Size   in bytes; {{size .Size}} is for people\n   .Date   of the last change: {{.Date.Format \"2006-01-02\"}}\n\n" +
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
	caption, err := parseCaption(c.String("caption"))
	if err != nil {
		return err
	}
	peer, err := a.client.Resolve(ctx, c.String("to"))
	if err != nil {
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
	o.Events = j.watch(show)
	e := transfer.New(a.client, o)
	if err := j.begin(); err != nil {
		return err
	}
	plan, err := newSending(ctx, c, a, e, peer, show)
	if err != nil {
		return err
	}
	defer plan.close()
	var left leftOut
	report, err := e.Upload(ctx, plan.split(func(yield func(transfer.Upload, error) bool) {
		for s := range sources(j.args, &left) {
			text, err := caption.of(s)
			if err != nil {
				yield(transfer.Upload{}, err)
				return
			}
			u := transfer.Upload{Path: s.path, To: peer, Caption: text, Job: j.record.ID}
			if err := plan.prepare(ctx, s, &u); !yield(u, err) {
				return
			}
		}
	}))
	show.end()
	if err == nil && !c.Bool("json") && !c.Bool("quiet") {
		for _, f := range report.Done {
			_, _ = fmt.Fprintf(c.App.Writer, "%s is message %s\n", printable(filepath.Base(f.Path)), messageName(peer, f.MessageID))
		}
	}
	if text := left.String(); text != "" && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: left out: %s\n", text)
	}
	plan.say(c)
	return plan.outcome(outcome(c, j, show, report, err))
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
