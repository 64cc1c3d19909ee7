package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer"
)

// failuresShown is how many failed files are named at the end of a run. Each was
// named when it failed, and --report has them all.
const failuresShown = 20

// outcome turns a report into the program's result: it prints what was not done
// and the sums, and completes the file of --report.
func outcome(c *cli.Context, j *job, show *displays, r *transfer.Report, err error) error {
	show.end()
	if !c.Bool("json") && !c.Bool("quiet") {
		moved := "received"
		if j.record.Command == "up" {
			moved = "sent"
		}
		summarize(c.App.Writer, r, moved)
	}
	if err == nil && r.FilesFailed > 0 {
		err = failuresOf(r, j)
	}
	return errors.Join(err, show.report.finish(j, r, err))
}

// failuresOf is the error of a run that came to its end, but not with all files.
func failuresOf(r *transfer.Report, j *job) *someFailed {
	return &someFailed{
		failed: r.FilesFailed, total: r.FilesDone + r.FilesFailed + r.FilesSkipped, job: j.record.ID,
		hopeful: r.Retryable > 0,
	}
}

// count is a number of things: 1 file, 2 files.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// are is count with its verb: 1 file is, 2 files are.
func are(n int, thing string) string {
	if n == 1 {
		return count(n, thing) + " is"
	}
	return count(n, thing) + " are"
}

// summarize says what a run has done, and what not. moved is what became of the
// bytes of parts.
func summarize(w io.Writer, r *transfer.Report, moved string) {
	if len(r.Failed) > 0 {
		_, _ = fmt.Fprintln(w, "\nfailed:")
	}
	for _, f := range r.Failed[:min(len(r.Failed), failuresShown)] {
		again := ""
		if !f.Retryable {
			again = " (trying again will not help)"
		}
		_, _ = fmt.Fprintf(w, "  %s  %s  %s%s\n", printable(f.Path), size(f.Size), printable(text(f.Err)), again)
	}
	if more := r.FilesFailed - min(len(r.Failed), failuresShown); more > 0 {
		_, _ = fmt.Fprintf(w, "  and %d more; --report FILE lists them all\n", more)
	}
	_, _ = fmt.Fprintf(w, "%s done (%s), %d were there, %d failed; %s %s in %.1f s",
		count(r.FilesDone, "file"), size(r.Bytes), r.FilesSkipped, r.FilesFailed, size(r.BytesReceived), moved, r.Seconds)
	switch r.FloodWaits {
	case 0:
	case 1:
		_, _ = fmt.Fprint(w, ", 1 wait for Telegram")
	default:
		_, _ = fmt.Fprintf(w, ", %d waits for Telegram", r.FloodWaits)
	}
	_, _ = fmt.Fprintln(w)
}
