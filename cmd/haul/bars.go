package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// bars is a terminal: a line for the total, one for each file under way, and
// below them one for each reason to wait, with a countdown. They use no colours.
// Its methods are called by one goroutine at a time; mpb draws from its own.
type bars struct {
	progress *mpb.Progress
	total    *mpb.Bar
	files    map[string]*mpb.Bar
	waits    map[string]*waitLine

	mu    sync.Mutex // guards what follows
	state transfer.Progress
}

// A waitLine counts a wait down. Its fields do not change.
type waitLine struct {
	bar   *mpb.Bar
	scope string    // what Telegram holds back
	until time.Time // zero: nobody knows
	what  string    // what is waited for, if it is no flood wait
}

const (
	barsPause  = 150 * time.Millisecond // between two pictures
	barFiles   = 6                      // more bars than that help nobody
	nameWidth  = 34                     // columns of a name, at most
	barWidth   = 30                     // of the bar itself, at most
	barLeast   = 10                     // below that it says nothing and is left out
	nameShare  = 3                      // a name takes a third of the line, at most
	narrow     = 60                     // columns; with fewer each figure counts
	paddingBar = 2                      // mpb puts a space on each side of a bar
)

func newBars(out io.Writer) *bars {
	b := &bars{files: map[string]*mpb.Bar{}, waits: map[string]*waitLine{}}
	b.progress = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth), mpb.WithRefreshRate(barsPause))
	b.total = b.add(0, "total", func(decor.Statistics) []string { return b.figures() }, mpb.BarPriority(1<<20))
	return b
}

// add adds a line: a name, a bar where there is room for one, and figures,
// of which the last ones go first where there is none.
func (b *bars) add(total int64, name string, figures func(decor.Statistics) []string, options ...mpb.BarOption) *mpb.Bar {
	style := mpb.BarStyle().Build()
	filler := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		if s.AvailableWidth < barLeast {
			return nil
		}
		return style.Fill(w, s)
	})
	return b.progress.New(total, built{filler}, append(options,
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string {
			width := min(nameWidth, s.AvailableWidth/nameShare)
			short := shorten(name, width)
			if s.AvailableWidth < narrow {
				return short
			}
			return runewidth.FillRight(short, width)
		})),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string { return fit(figures(s), s.AvailableWidth-paddingBar) })))...)
}

// built is a filler that needs no building.
type built struct{ filler mpb.BarFiller }

func (b built) Build() mpb.BarFiller { return b.filler }

// fit joins as many of the figures as there is room for, the first in any case.
func fit(figures []string, width int) string {
	line := ""
	for i, f := range figures {
		if i > 0 {
			f = "  " + f
		}
		if i > 0 && utf8.RuneCountInString(line+f) > width {
			break
		}
		line += f
	}
	return line
}

// figures stand behind the total.
func (b *bars) figures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.state
	figures := []string{size(p.BytesDone) + " / " + known(p)}
	if p.BytesRate > 0 || len(p.Active) > 0 {
		figures = append(figures, size(p.BytesRate)+"/s")
	}
	if left := remaining(p); left != "" {
		figures = append(figures, left)
	}
	if p.FilesFailed > 0 {
		figures = append(figures, files(p.FilesFailed, "failed"))
	}
	return append(figures, files(p.FilesDone, "done"))
}

// remaining is how long the rest takes, if that can be said.
func remaining(p transfer.Progress) string {
	left := p.BytesKnown - p.BytesDone
	switch {
	case !p.ListComplete: // nobody knows how much will come
		return ""
	case left <= 0 || p.BytesRate <= 0:
		return ""
	default:
		return (time.Duration(left/p.BytesRate) * time.Second).String() + " left"
	}
}

// known is the size of all files; with a plus while the list goes on.
func known(p transfer.Progress) string {
	if p.ListComplete {
		return size(p.BytesKnown)
	}
	return size(p.BytesKnown) + "+"
}

func files(n int, what string) string {
	if n == 1 {
		return "1 file " + what
	}
	return fmt.Sprintf("%d files %s", n, what)
}

func (b *bars) event(e transfer.Event) {
	switch e := e.(type) {
	case transfer.Progress:
		b.update(e)
	case transfer.FloodWait:
		b.wait(e.Scope, e.Scope, e.Time.Add(time.Duration(e.Seconds*float64(time.Second))))
	case transfer.FileNote:
		b.write(lineOf(e))
	case transfer.Paused:
		b.write(lineOf(e))
		b.waitFor(e.Reason, "waiting for room on the disk", time.Time{})
	case transfer.RunDone:
		b.finish(e)
	case transfer.Resumed:
		b.write(lineOf(e))
		b.waited(e.Reason)
	case follow.Watching:
		b.waitFor("watch", watchingLine(e), time.Time{})
	case follow.ChatChanged:
		b.write(lineOf(e))
	case follow.WatchTrouble:
		b.waitFor(e.Name, e.Name+" cannot be asked for what is new, trying again in", e.Time.Add(time.Duration(e.Seconds*float64(time.Second))))
	case follow.WatchRecovered:
		b.waited(e.Name)
	default:
		if _, extra := e.(archive.FileExtra); extra || isTrouble(e) {
			b.write(lineOf(e))
		}
	}
}

// write puts a line above the bars.
func (b *bars) write(line string) { _, _ = b.progress.Write([]byte(line + "\n")) }

// wait shows that Telegram holds something back, and how long still.
func (b *bars) wait(key, scope string, until time.Time) {
	b.show(key, &waitLine{scope: scope, until: until})
}

// waitFor shows what is waited for, until a moment if that is known.
func (b *bars) waitFor(key, what string, until time.Time) {
	b.show(key, &waitLine{what: printable(what), until: until})
}

func (b *bars) show(key string, w *waitLine) {
	b.waited(key)
	w.bar = b.progress.New(0, nil, mpb.BarPriority(1<<21), mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return w.text(time.Now(), s.AvailableWidth) })))
	b.waits[key] = w
}

// waited takes the line of a wait away.
func (b *bars) waited(scope string) {
	if w := b.waits[scope]; w != nil {
		w.bar.Abort(true)
		delete(b.waits, scope)
	}
}

// text is the line in so many columns.
func (w *waitLine) text(now time.Time, width int) string {
	if w.what != "" && w.until.IsZero() {
		return runewidth.Truncate(w.what, width, "…")
	}
	left := countdown(max(0, w.until.Sub(now)))
	if w.what != "" {
		return runewidth.Truncate(w.what, width-len(left)-1, "…") + " " + left
	}
	line := fmt.Sprintf("Telegram asked to wait %s: %s", left, w.scope)
	if len(line) > width {
		line = fmt.Sprintf("wait %s: %s", left, w.scope)
	}
	return line
}

// countdown is a time in whole seconds, rounded up.
func countdown(left time.Duration) string {
	left = (left + time.Second - 1).Truncate(time.Second)
	if left < time.Minute {
		return fmt.Sprintf("%d s", left/time.Second)
	}
	return left.String()
}

func (b *bars) update(p transfer.Progress) {
	b.mu.Lock()
	b.state = p
	b.mu.Unlock()
	b.total.SetTotal(p.BytesKnown, false)
	b.total.SetCurrent(p.BytesDone)
	for scope, w := range b.waits {
		if !w.until.IsZero() && !w.until.After(p.Time) {
			b.waited(scope)
		}
	}
	active := map[string]bool{}
	for _, f := range p.Active[:min(len(p.Active), barFiles)] {
		active[f.Path] = true
		bar := b.files[f.Path]
		if bar == nil {
			bar = b.add(f.Size, f.Path, func(s decor.Statistics) []string {
				return []string{size(s.Current) + " / " + size(s.Total)}
			}, mpb.BarRemoveOnComplete())
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

// finish makes the last picture that of the end.
func (b *bars) finish(e transfer.RunDone) {
	b.mu.Lock()
	p := b.state
	b.mu.Unlock()
	b.update(lastPicture(p, e))
}

// lastPicture is the progress at the end of a run. Nothing is left of a run that
// has all its files, whatever was not counted; one that was cut short stays as it is.
func lastPicture(p transfer.Progress, e transfer.RunDone) transfer.Progress {
	p.FilesDone, p.FilesFailed, p.FilesSkipped, p.BytesRate, p.Active = e.FilesDone, e.FilesFailed, e.FilesSkipped, 0, nil
	if p.ListComplete && e.FilesDone+e.FilesSkipped >= p.FilesKnown {
		p.BytesDone = p.BytesKnown
	}
	return p
}

func (b *bars) close() {
	for _, bar := range b.files {
		bar.Abort(true)
	}
	for _, scope := range slices.SortedFunc(maps.Keys(b.waits), cmp.Compare[string]) {
		b.waited(scope)
	}
	b.total.Abort(false)
	b.progress.Wait()
}

// shorten keeps the end of a name, which tells more than its beginning.
func shorten(name string, width int) string {
	name = printable(name)
	if runewidth.StringWidth(name) <= width-1 { // a space stands behind it
		return name
	}
	return runewidth.TruncateLeft(name, runewidth.StringWidth(name)-width+2, "…")
}
