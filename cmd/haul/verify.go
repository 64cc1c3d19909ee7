package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "compare archives with their manifests", ArgsUsage: "DIR", OnUsageError: usageError,
		Description: "Reads every file of the archives in and below DIR, and says which are missing or not what they were.\n" +
			"That needs no account and no network. --repair fetches what is bad, and only that.\n\nExample:\n" +
			"   haul verify out\n   haul --datacenters dc.json verify out --repair",
		Flags: append([]cli.Flag{boolFlag("repair", "fetch the bad parts of wrong files, and missing files, again")}, transferFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("which folder? haul verify DIR")
			}
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			if c.Int("transfers") < 1 {
				return usagef("--transfers needs 1 or more")
			}
			if !c.Bool("repair") {
				return verify(c, nil)
			}
			// Who is not signed in wants to know before a night of reading.
			return withAccount(c, func(_ context.Context, a *account) error { return verify(c, a) })
		},
	}
}

// verify verifies, and repairs with the account if there is one.
func verify(c *cli.Context, a *account) error {
	show, err := newDisplay(c)
	if err != nil {
		return err
	}
	defer show.close()
	named := make(map[string]bool) // archives that are busy
	if a != nil {
		if err := tryLocks(c, named); err != nil {
			return err
		}
	}
	found, err := archive.Verify(c.Context, c.Args().First(), archive.VerifyOptions{Files: c.Int("transfers"), Events: show.event})
	show.end()
	if err != nil {
		return err
	}
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, "%s right, %d wrong, %d in no manifest; %s bad; %s read in %.1f s\n",
			are(found.FilesRight, "file"), found.FilesWrong, found.FilesExtra, badLines(found.LinesBad), size(found.Bytes), found.Seconds)
	}
	left := found.FilesWrong
	if a != nil && left > 0 {
		repaired, held, err := repair(c, a, found.Wrong, named)
		if err != nil {
			return err
		}
		if left -= repaired; held.err != nil && left == held.lines && found.LinesBad == 0 {
			return held.err
		}
	}
	if left > 0 || found.LinesBad > 0 {
		return &notRight{wrong: left, total: found.FilesRight + found.FilesWrong, lines: found.LinesBad, repair: a != nil}
	}
	return nil
}

// tryLocks names the archives that somebody writes to, before a night of reading.
// If that is all of them the error is a *archive.BusyError.
func tryLocks(c *cli.Context, named map[string]bool) error {
	busy, free, err := archive.Busy(c.Context, c.Args().First())
	if err == nil && free == 0 {
		err = busy[0]
	}
	if err == nil {
		nameBusy(c, busy, named)
	}
	return err
}

// nameBusy names archives that are not repaired, each once.
func nameBusy(c *cli.Context, busy []*archive.BusyError, named map[string]bool) {
	for _, b := range busy {
		if !named[b.Dir] {
			named[b.Dir] = true
			_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: %s; nothing is repaired there now\n", text(b))
		}
	}
}

// A heldBack is what a repair leaves to others: wrong lines of archives that are busy.
type heldBack struct {
	lines int
	err   error // a *archive.BusyError, or nil
}

// repair makes wrong files right, and returns how many.
func repair(c *cli.Context, a *account, wrong []archive.Wrong, named map[string]bool) (repaired int, held heldBack, err error) {
	repairs, err := archive.NewRepairs(wrong, func(ctx context.Context, chat int64, ids []int) (map[int][]telegram.File, error) {
		peer, err := a.client.Resolve(ctx, strconv.FormatInt(chat, 10))
		if err != nil {
			return nil, err
		}
		return a.client.RefreshFiles(ctx, peer, ids)
	})
	if err != nil {
		return 0, held, err
	}
	defer func() { err = errors.Join(err, repairs.Close()) }()
	busy, lines := repairs.Busy()
	nameBusy(c, busy, named)
	if len(busy) > 0 {
		held = heldBack{lines, busy[0]}
	}
	if lines == len(wrong) {
		return 0, held, nil
	}
	show, err := newDisplay(c)
	if err != nil {
		return 0, held, err
	}
	defer show.close()
	e, err := engine(c, a, show.event)
	if err != nil {
		return 0, held, err
	}
	report, err := e.Download(c.Context, repairs.Downloads(c.Context))
	show.end()
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, "%s repaired (%s), %d could not be; %s received in %.1f s\n",
			count(report.FilesDone, "file"), size(report.Bytes), report.FilesFailed, size(report.BytesReceived), report.Seconds)
	}
	return repairs.Done(), held, err
}

// verifyLine is what an event of verify says in a line.
func verifyLine(e transfer.Event) string {
	switch e := e.(type) {
	case archive.FileWrong:
		what := map[archive.Problem]string{
			archive.Missing: "missing", archive.NotFile: "is no file", archive.WrongSize: "has the wrong size",
			archive.WrongHash: "has the wrong SHA-256", archive.Unreadable: "cannot be read",
		}[e.Problem]
		if e.Error != "" {
			what += ": " + e.Error
		}
		return fmt.Sprintf("WRONG %s: %s", e.Path, what)
	case archive.LineBad:
		return fmt.Sprintf("BAD LINE %s:%d: %s", e.Path, e.Line, e.Error)
	case archive.FileExtra:
		if e.Unfinished {
			return e.Path + " is unfinished"
		}
		return e.Path + " is in no manifest"
	default:
		return ""
	}
}

// badLines are a number of lines of manifests, and a verb.
func badLines(n int) string {
	if n == 1 {
		return "1 line of manifests is"
	}
	return fmt.Sprintf("%d lines of manifests are", n)
}

// notRight ends haul verify when something is wrong.
type notRight struct {
	wrong, total, lines int
	repair              bool
}

func (e *notRight) Error() string {
	text := fmt.Sprintf("%d of %d files are wrong", e.wrong, e.total)
	if e.lines > 0 {
		text += fmt.Sprintf(", and %s bad", badLines(e.lines))
	}
	return text
}

func (e *notRight) hint() string {
	switch {
	case e.wrong == 0:
		return "nothing is known of the files of those lines; take the lines out and archive again"
	case e.repair:
		return "run it again to try those files once more; what is repaired stays repaired"
	default:
		return "haul verify DIR --repair fetches what is bad, and only that"
	}
}
