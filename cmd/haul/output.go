package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/follow"
	"github.com/tghaul/haul/transfer/forward"
)

// A display shows the events of a run: as JSON, as bars, or as plain lines.
type display interface {
	event(e transfer.Event)
	close()
}

// newDisplay makes the displays that the flags ask for.
func newDisplay(c *cli.Context) (*displays, error) {
	shown := new(displays)
	errFile, isFile := c.App.ErrWriter.(*os.File)
	if path := c.String("report"); path != "" {
		r, err := openReport(c, path)
		if err != nil {
			return nil, err
		}
		shown.report = r
	}
	if address := c.String("metrics"); address != "" {
		m, err := serveMetrics(c.Context, address)
		if err != nil {
			shown.close()
			return nil, err
		}
		shown.all = append(shown.all, m)
		if !c.Bool("quiet") {
			_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: metrics at http://%s/metrics, profiles at /debug/pprof/\n", m.address)
		}
	}
	switch {
	case c.Bool("json"):
		shown.all = append(shown.all, &jsonDisplay{enc: json.NewEncoder(c.App.Writer)})
	case c.Bool("quiet"):
		shown.all = append(shown.all, &plainDisplay{out: c.App.ErrWriter, quiet: true})
	case isFile && term.IsTerminal(int(errFile.Fd())) && !c.Bool("no-progress"):
		shown.all = append(shown.all, newBars(errFile))
	default:
		shown.all = append(shown.all, &plainDisplay{out: c.App.Writer})
	}
	return shown, nil
}

// displays are several that show the same, and the report that may be written.
// Events may come to them from several goroutines.
type displays struct {
	mu     sync.Mutex // held while an event is shown
	all    []display
	report *reportFile // nil: none is asked for
	ended  sync.Once
}

func (d *displays) event(e transfer.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.all {
		one.event(e)
	}
	d.report.event(e)
}

// end ends what is shown, so that the screen is free; more calls do nothing.
func (d *displays) end() {
	d.ended.Do(func() {
		for _, one := range d.all {
			one.close()
		}
	})
}

// close is end, and leaves nothing behind of a report that was not finished.
func (d *displays) close() {
	d.end()
	d.report.discard()
}

type jsonDisplay struct{ enc *json.Encoder }

func (d *jsonDisplay) event(e transfer.Event) { _ = d.enc.Encode(e) } // a closed pipe is the reader's wish
func (d *jsonDisplay) close()                 {}

// plainDisplay prints a line for what is worth one.
type plainDisplay struct {
	out   io.Writer
	quiet bool // only failures
	last  time.Time
}

// plainPause is the time between two lines of progress.
const plainPause = 5 * time.Second

func (d *plainDisplay) event(e transfer.Event) {
	if line := lineOf(e); line != "" {
		if !d.quiet || isTrouble(e) {
			_, _ = fmt.Fprintln(d.out, line)
		}
		return
	}
	p, ok := e.(transfer.Progress)
	if !ok || d.quiet {
		return
	}
	now := p.Head().Time
	if d.last.IsZero() {
		d.last = now
	}
	if now.Sub(d.last) >= plainPause {
		d.last = now
		_, _ = fmt.Fprintf(d.out, "%s of %s, %s, %s/s\n", size(p.BytesDone), known(p), files(p.FilesDone, "done"), size(p.BytesRate))
	}
}

func (d *plainDisplay) close() {}

// isTrouble says whether an event is worth a line even to who wants quiet.
func isTrouble(e transfer.Event) bool {
	switch e.(type) {
	case transfer.FileFailed, sourceKept, joinFailed, transfer.Paused, archive.FileWrong, archive.LineBad, follow.WatchTrouble, follow.WatchLost, follow.HistoryGap:
		return true
	default:
		return false
	}
}

// lineOf is what an event says in a line, "" if nothing. Names of files and
// errors come from strangers: none moves the cursor.
func lineOf(e transfer.Event) string { return printable(wordsOf(e)) }

func wordsOf(e transfer.Event) string {
	switch e := e.(type) {
	case archive.FileWrong, archive.FileExtra, archive.LineBad:
		return verifyLine(e)
	case transfer.FileNote:
		return fmt.Sprintf("note: %s %s", e.Path, e.Text)
	case fileSplit, sourceKept:
		return sendingLine(e)
	case forward.Forwarded:
		return forwardedLine(e)
	case joined, notJoined, joinFailed:
		return joiningLine(e)
	case transfer.FileDone:
		if e.ResumedBytes > 0 {
			return fmt.Sprintf("%s  %s (%s were there)", e.Path, size(e.Size), size(e.ResumedBytes))
		}
		return fmt.Sprintf("%s  %s", e.Path, size(e.Size))
	case transfer.FileFailed:
		return fmt.Sprintf("FAILED %s: %s", e.Path, e.Error)
	case transfer.FloodWait:
		return fmt.Sprintf("Telegram asked to wait %.0f s: %s (%s)", e.Seconds, e.Scope, e.Reason)
	case transfer.LimitLearned:
		return learned(e)
	case transfer.Paused:
		return fmt.Sprintf("PAUSED, the disk is full: %s; it goes on by itself once there is room", e.Error)
	case transfer.Resumed:
		return fmt.Sprintf("there is room again after %.0f s: going on", e.Seconds)
	default:
		return watchLine(e)
	}
}

// learned says what a wait has taught.
func learned(e transfer.LimitLearned) string {
	switch {
	case e.InFlight > 0:
		return fmt.Sprintf("%s seems to take %d requests at a time: keeping to that", e.Scope, e.InFlight)
	case e.PerSecond > 0:
		return fmt.Sprintf("%s seems to take %.1f requests a second: keeping to that", e.Scope, e.PerSecond)
	default:
		return ""
	}
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < 3; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[i])
}
