package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// A display shows the events of a run: as JSON, as bars, or as plain lines.
type display interface {
	event(e transfer.Event)
	close()
}

// newDisplay is the one that the flags ask for. Events may come to it from
// several goroutines.
func newDisplay(c *cli.Context) display { return &sharedDisplay{display: oneDisplay(c)} }

// A sharedDisplay shows one event at a time.
type sharedDisplay struct {
	mu sync.Mutex
	display
}

func (d *sharedDisplay) event(e transfer.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.display.event(e)
}

func oneDisplay(c *cli.Context) display {
	errFile, isFile := c.App.ErrWriter.(*os.File)
	switch {
	case c.Bool("json"):
		return &jsonDisplay{enc: json.NewEncoder(c.App.Writer)}
	case c.Bool("quiet"):
		return &plainDisplay{out: c.App.ErrWriter, quiet: true}
	case isFile && term.IsTerminal(int(errFile.Fd())) && !c.Bool("no-progress"):
		return newBars(errFile)
	default:
		return &plainDisplay{out: c.App.Writer}
	}
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
		_, _ = fmt.Fprintf(d.out, "%s of %s, %d files done, %s/s\n", size(p.BytesDone), size(p.BytesKnown), p.FilesDone, size(p.BytesRate))
	}
}

func (d *plainDisplay) close() {}

// isTrouble says whether an event is worth a line even to who wants quiet.
func isTrouble(e transfer.Event) bool {
	switch e.(type) {
	case transfer.FileFailed, transfer.Paused, archive.FileWrong, archive.LineBad:
		return true
	default:
		return false
	}
}

// lineOf is what an event says in a line, "" if nothing.
func lineOf(e transfer.Event) string {
	switch e := e.(type) {
	case archive.FileWrong, archive.FileExtra, archive.LineBad:
		return verifyLine(e)
	case transfer.FileDone:
		if e.ResumedBytes > 0 {
			return fmt.Sprintf("%s  %s (%s were there)", e.Path, size(e.Size), size(e.ResumedBytes))
		}
		return fmt.Sprintf("%s  %s", e.Path, size(e.Size))
	case transfer.FileFailed:
		return fmt.Sprintf("FAILED %s: %s", e.Path, e.Error)
	case transfer.FloodWait:
		return fmt.Sprintf("Telegram asked to wait %.0f s (%s, %s)", e.Seconds, e.Scope, e.Reason)
	case transfer.LimitLearned:
		return learned(e)
	case transfer.Paused:
		return fmt.Sprintf("PAUSED, the disk is full: %s; it goes on by itself once there is room", e.Error)
	case transfer.Resumed:
		return fmt.Sprintf("there is room again after %.0f s: going on", e.Seconds)
	default:
		return ""
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

// bars is a terminal: the total, and a bar for each file under way.
type bars struct {
	progress *mpb.Progress
	total    *mpb.Bar
	status   atomic.Value // string: what stands behind the total, for mpb's goroutine
	files    map[string]*mpb.Bar
	wait     string
	until    time.Time
}

const (
	barWidth  = 72
	barFiles  = 6 // more bars than that help nobody
	nameWidth = 34
)

func newBars(out io.Writer) *bars {
	b := &bars{files: map[string]*mpb.Bar{}}
	b.progress = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth), mpb.WithRefreshRate(150*time.Millisecond))
	b.total = b.progress.AddBar(0,
		mpb.BarPriority(1<<20),
		mpb.PrependDecorators(decor.Name("total", decor.WC{W: nameWidth, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string { return b.summary(s) })))
	return b
}

// summary stands behind the total.
func (b *bars) summary(s decor.Statistics) string {
	status, _ := b.status.Load().(string)
	return fmt.Sprintf(" %s / %s%s", size(s.Current), size(s.Total), status)
}

func (b *bars) event(e transfer.Event) {
	switch e := e.(type) {
	case transfer.Progress:
		b.update(e)
	case transfer.FloodWait:
		b.wait, b.until = fmt.Sprintf("waiting for Telegram: %s", e.Scope), e.Time.Add(time.Duration(e.Seconds*float64(time.Second)))
	default:
		_, extra := e.(archive.FileExtra)
		_, resumed := e.(transfer.Resumed)
		if isTrouble(e) || extra || resumed {
			_, _ = b.progress.Write([]byte(lineOf(e) + "\n"))
		}
	}
}

func (b *bars) update(p transfer.Progress) {
	b.total.SetTotal(p.BytesKnown, false)
	b.total.SetCurrent(p.BytesDone)
	status := fmt.Sprintf("  %s/s", size(p.BytesRate))
	if left := p.BytesKnown - p.BytesDone; p.BytesRate > 0 && left > 0 {
		status += "  " + (time.Duration(left/p.BytesRate) * time.Second).String() + " left"
	}
	status += fmt.Sprintf("  %d files", p.FilesDone)
	if left := b.until.Sub(p.Time); left > 0 {
		status += fmt.Sprintf("  %s, %d s", b.wait, int(left.Seconds())+1)
	}
	b.status.Store(status)
	active := map[string]bool{}
	for _, f := range p.Active[:min(len(p.Active), barFiles)] {
		active[f.Path] = true
		bar := b.files[f.Path]
		if bar == nil {
			bar = b.progress.AddBar(f.Size, mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(shorten(f.Path), decor.WC{W: nameWidth, C: decor.DindentRight})),
				mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string { return " " + size(s.Current) + " / " + size(s.Total) })))
			b.files[f.Path] = bar
		}
		bar.SetCurrent(min(f.Bytes, f.Size))
	}
	for path, bar := range b.files {
		if !active[path] {
			bar.Abort(true)
			delete(b.files, path)
		}
	}
}

func (b *bars) close() {
	for _, bar := range b.files {
		bar.Abort(true)
	}
	b.total.Abort(false)
	b.progress.Wait()
}

func shorten(name string) string {
	runes := []rune(name)
	if len(runes) <= nameWidth-2 {
		return name
	}
	return "…" + string(runes[len(runes)-nameWidth+3:])
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
