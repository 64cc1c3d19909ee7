package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

// ProgressName is the file of an archive that says how far its chat was gone
// through, so that the next run need not do so again.
const ProgressName = "progress.json"

const (
	progressVersion = 1
	// maxSelections is how many selections are remembered, those used last: ones
	// that count back from today are new every day.
	maxSelections = 32
	maxProgress   = 16 << 20
)

// A progress is what the file says. It is only ever behind: what it says was
// done is durable.
type progress struct {
	Version int `json:"version"`
	// Chat is the marked id. 0: early versions did not say.
	Chat int64 `json:"chat,omitempty"`
	// Sizes of the lists when this was written. If one is smaller now, it was
	// cut or replaced, and nothing of this holds.
	Manifest int64 `json:"manifest_bytes"`
	Messages int64 `json:"messages_bytes"`
	// Pts is a state of the channel: what has happened before it is in
	// messages.jsonl, as far as it lies in ranges. 0: none.
	Pts        int                       `json:"pts,omitempty"`
	Selections map[string]*selectionDone `json:"selections"`
}

// A selectionDone is how far a chat was gone through under one selection.
type selectionDone struct {
	// Ranges are ids of which every message is in messages.jsonl and every file
	// that the selection means is complete.
	Ranges spans `json:"ranges"`
	// Newest is the highest id in Ranges when a run was last finished, which
	// means that nothing of it was left. 0: none was. It is lower if a message
	// was edited since, and what came by that is to be fetched.
	Newest int       `json:"newest,omitempty"`
	Used   time.Time `json:"used"`
}

func newProgress() *progress {
	return &progress{Version: progressVersion, Selections: make(map[string]*selectionDone)}
}

// readProgress reads the file. One that cannot be read, or is of another
// version, says nothing: then everything is gone through once more.
func readProgress(root *os.Root) *progress {
	fi, err := root.Lstat(ProgressName)
	if err != nil || fi.Size() > maxProgress || !fi.Mode().IsRegular() {
		return newProgress()
	}
	b, err := root.ReadFile(ProgressName)
	p := newProgress()
	if err != nil || json.Unmarshal(b, p) != nil || p.Version != progressVersion {
		return newProgress()
	}
	if p.Selections == nil || p.Pts < 0 || p.Pts > math.MaxInt32 {
		return newProgress()
	}
	for key, s := range p.Selections {
		if s == nil {
			delete(p.Selections, key)
			continue
		}
		s.Ranges = merged(s.Ranges)
	}
	return p
}

// checkProgress forgets what was recorded if the lists are not those that it
// was recorded of. It is called once, when they are open.
func (a *Archive) checkProgress() error {
	for _, l := range []struct {
		f    *os.File
		size int64
	}{{a.manifest, a.progress.Manifest}, {a.history, a.progress.Messages}} {
		size, err := sizeOf(l.f)
		if err != nil {
			return err
		}
		if size < l.size || a.damaged {
			a.progress = newProgress()
			return nil
		}
	}
	a.progress.clamp(a.top())
	return nil
}

// sizeOf is the size of a list, 0 of one that is not there.
func sizeOf(f *os.File) (int64, error) {
	if f == nil {
		return 0, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// clamp leaves out what is above the highest recorded message: there are none
// there that could be done, only such as may come.
func (p *progress) clamp(top int) {
	for _, s := range p.Selections {
		s.Ranges = s.Ranges.upTo(top)
		s.Newest = max(min(s.Newest, top), 0)
	}
}

// A Tracker follows how far a run has come with the chat of an archive, under
// one selection. It is safe for concurrent use. There is one at a time.
type Tracker struct {
	a   *Archive
	key string

	mu      sync.Mutex
	done    spans // of the selection
	wider   spans // of selections of more, which hold for this one too
	waiting map[int]*pending
	failed  map[int]bool // messages of which a file has failed since they were listed
	pts     int
	dirty   bool // something is to be saved
}

// A pending is a listed message, with the ids for which it stands, of which
// files are under way.
type pending struct {
	span   []Span
	files  int
	failed bool
}

// Track begins to follow a run. The selection is told by a text that is equal
// for equal ones; what is done for one of the wider ones is done for it too.
// Files that the manifest has and the disk has not are looked for once more:
// their messages are open again.
func (a *Archive) Track(selection string, wider ...string) *Tracker {
	t := &Tracker{a: a, key: selection, waiting: make(map[int]*pending), failed: make(map[int]bool), pts: a.progress.Pts}
	if s := a.progress.Selections[selection]; s != nil {
		t.done = slices.Clone(s.Ranges)
	}
	for _, key := range wider {
		if s := a.progress.Selections[key]; s != nil {
			for _, x := range s.Ranges {
				t.wider.add(x)
			}
		}
	}
	for _, id := range a.lost() {
		t.reopen(id)
	}
	return t
}

// lost are the messages of files that the manifest has and the disk has not.
func (a *Archive) lost() (messages []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		if e.Thumb != "" { // not every run is about those; verify is
			continue
		}
		at, err := a.beside.of(&e)
		if err != nil {
			messages = append(messages, e.Message)
			continue
		}
		fi, err := at.root.Lstat(at.path)
		if err != nil || fi.Mode().IsRegular() && fi.Size() != e.Size {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// Gaps are the ids of a span that are not known to be done, rising.
func (t *Tracker) Gaps(in Span) []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	both := slices.Clone(t.done)
	for _, s := range t.wider {
		both.add(s)
	}
	return both.gaps(in)
}

// Newest is the highest id that was done when a run of the selection was last
// finished; 0: none was.
func (t *Tracker) Newest() int {
	if s := t.a.progress.Selections[t.key]; s != nil {
		return s.Newest
	}
	return 0
}

// Top is the highest id that is done, 0 if none is.
func (t *Tracker) Top() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.done.top(), t.wider.top())
}

// Pts is the state of the channel that is recorded, 0 for none.
func (t *Tracker) Pts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pts
}

// SetPts has a state of the channel recorded by the next Save. What has
// happened up to it must be listed, reopened or noted before.
func (t *Tracker) SetPts(pts int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = t.dirty || t.pts != pts
	t.pts = pts
}

// Reopen says that a message is not done, whatever the selection. If it was for
// one, none was finished beyond it.
func (t *Tracker) Reopen(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.done.has(id) || t.wider.has(id)
	for _, s := range t.a.progress.Selections {
		was = was || s.Ranges.has(id)
	}
	t.reopen(id)
	if !was {
		return
	}
	for _, s := range t.a.progress.Selections {
		s.Newest = min(s.Newest, id-1)
	}
}

// reopen takes a message out of what is done: t.mu is held, or nobody else has t.
func (t *Tracker) reopen(id int) {
	t.dirty = true
	t.done.remove(id)
	t.wider.remove(id)
	for _, s := range t.a.progress.Selections {
		s.Ranges.remove(id)
	}
}

// FileOver takes in that a file of a message is complete, or has failed.
func (t *Tracker) FileOver(message int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.waiting[message]
	if p == nil {
		return
	}
	p.failed = p.failed || !ok
	if p.files--; p.files > 0 {
		return
	}
	delete(t.waiting, message)
	if p.failed {
		t.failed[message] = true
		return
	}
	t.dirty = true
	for _, s := range p.span {
		t.done.add(s)
	}
}

// Failed are the messages of which files have failed since they were listed
// last, rising.
func (t *Tracker) Failed() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []int
	for id := range t.failed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Gone says that messages are not there any more: what has failed of them will
// not be had.
func (t *Tracker) Gone(ids []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.failed, id)
	}
}

// Busy reports whether files are under way or have failed.
func (t *Tracker) Busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting) > 0 || len(t.failed) > 0
}

// More says that a listed message of which files are under way has more of them.
func (t *Tracker) More(id, files int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.waiting[id]; p != nil {
		p.files += files
	}
}

// Waiting reports whether files of a message are under way.
func (t *Tracker) Waiting(id int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting[id] != nil
}

// Open reports whether a message is neither done nor under way, nor has failed.
func (t *Tracker) Open(id int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting[id] == nil && !t.failed[id] && !t.done.has(id) && !t.wider.has(id)
}

// listed takes in a message with the ids for which it stands.
func (t *Tracker) listed(id int, span Span, files int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.waiting[id]
	if p == nil && files == 0 {
		delete(t.failed, id)
		t.dirty = t.dirty || !t.done.has(span.From) || !t.done.has(span.To)
		t.done.add(span)
		return
	}
	if p == nil {
		p = new(pending)
		t.waiting[id] = p
	}
	p.span, p.files = append(p.span, span), p.files+files
	delete(t.failed, id)
}

// Save makes the archive's lists durable, and then records how far the run has
// come. finished says that the run has left nothing.
func (t *Tracker) Save(finished bool) error {
	t.mu.Lock()
	done, pts, dirty := slices.Clone(t.done), t.pts, t.dirty || finished
	t.dirty = false
	t.mu.Unlock() // what is done later is for the next Save: its lines may not be durable
	if !dirty {
		return nil
	}
	err := t.save(done, pts, finished)
	if err != nil {
		t.mu.Lock()
		t.dirty = true
		t.mu.Unlock()
	}
	return err
}

func (t *Tracker) save(done spans, pts int, finished bool) error {
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.manifest == nil || a.history == nil {
		return fmt.Errorf("archive: %w", fs.ErrClosed)
	}
	var sizes [2]int64
	for i, f := range []*os.File{a.manifest, a.history} {
		fi, err := f.Stat()
		if err = errors.Join(err, f.Sync()); err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		sizes[i] = fi.Size()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := a.progress
	p.Chat, p.Manifest, p.Messages, p.Pts = a.chat, sizes[0], sizes[1], pts
	s := p.Selections[t.key]
	if s == nil {
		s = new(selectionDone)
		p.Selections[t.key] = s
	}
	s.Ranges, s.Used = done, time.Now().UTC()
	if finished {
		s.Newest = max(done.top(), s.Newest)
	}
	p.forget()
	return a.writeProgress()
}

// forget leaves out the selections that were not used for the longest time.
func (p *progress) forget() {
	for len(p.Selections) > maxSelections {
		oldest, at := "", time.Time{}
		for key, s := range p.Selections {
			if key != "" && (at.IsZero() || s.Used.Before(at)) {
				oldest, at = key, s.Used
			}
		}
		delete(p.Selections, oldest)
	}
}

// writeProgress replaces the file, so that one of both is there at any time.
func (a *Archive) writeProgress() error {
	b, err := json.Marshal(a.progress)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	fresh := ProgressName + ".new"
	f, err := a.root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = a.root.Rename(fresh, ProgressName)
	}
	if err != nil {
		return fmt.Errorf("archive: %w", errors.Join(err, a.root.Remove(fresh)))
	}
	syncFolder(a.root)
	return nil
}

// A Walk is one listing of a span of a chat, in one direction. It is used by
// one goroutine.
type Walk struct {
	t         *Tracker
	rest      Span // what is not listed yet
	ascending bool
	complete  bool
	missing   []int
}

// Walk begins a listing of a span. complete says that all messages there are
// will be listed; then those that are recorded and do not come are missing.
func (t *Tracker) Walk(in Span, ascending, complete bool) *Walk {
	return &Walk{t: t, rest: in, ascending: ascending, complete: complete}
}

// Listed takes in the next message, which is in messages.jsonl by now, and how
// many of its files are to be fetched. FileOver has to be called for each. It
// stands for the ids between it and the one before it, too. One that lies outside
// of the span is of no concern, unless it has files to be fetched.
func (w *Walk) Listed(id, files int) { w.listed(id, files, false) }

// ListedOpen is Listed for a message that is not done even when these files are:
// a later run is to look at it again.
func (w *Walk) ListedOpen(id, files int) { w.listed(id, files, true) }

func (w *Walk) listed(id, files int, open bool) {
	span := Span{id, id}
	switch {
	case id < w.rest.From || id > w.rest.To: // beside the span, where an album may be cut off
		if files == 0 {
			return
		}
	case w.ascending:
		span.From, w.rest.From = w.rest.From, id+1
	default:
		if w.rest.To != NoEnd {
			span.To = w.rest.To
		} else { // above the newest there may be others by now, but none that is recorded
			w.look(Span{id + 1, w.t.a.top()}, 0)
		}
		w.rest.To = id - 1
	}
	w.look(span, id)
	switch {
	case !open:
	case w.ascending:
		span.To = id - 1
	default:
		span.From = id + 1
	}
	w.t.listed(id, span, files)
}

// End says that the list has ended by itself: what remains of the span has no messages.
func (w *Walk) End() {
	rest := w.rest
	if rest.To == NoEnd {
		if rest.To = max(w.t.a.top(), rest.From-1); !w.complete {
			return
		}
		w.look(rest, 0) // recorded ones above the newest that there is
		return
	}
	w.look(rest, 0)
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.dirty = true
	w.t.done.add(rest)
	maps.DeleteFunc(w.t.failed, func(id int, _ bool) bool { return rest.From <= id && id <= rest.To })
}

// look notes which recorded messages of a span other than id have not come.
func (w *Walk) look(span Span, id int) {
	if !w.complete || span.From > span.To {
		return
	}
	a := w.t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages.each(span.From, span.To, func(known int) {
		if known != id && !a.deleted[known] {
			w.missing = append(w.missing, known)
		}
	})
}

// Missing are the recorded messages that should have come and did not, since
// the last call. They are deleted, or not to be seen any more.
func (w *Walk) Missing() []int {
	ids := w.missing
	w.missing = nil
	return ids
}

// Count is how many messages Missing would return.
func (w *Walk) Count() int { return len(w.missing) }

// each calls use for the ids of a set from one to another, rising.
func (s *idSet) each(from, to int, use func(id int)) {
	for id := max(from, 0); id <= min(to, math.MaxInt32); id++ {
		p := s.pages[id>>12]
		if p == nil {
			if len(s.pages) == 0 {
				return
			}
			id |= pageIDs - 1
			continue
		}
		if p[id>>6&63] == 0 {
			id |= 63
			continue
		}
		if s.has(id) {
			use(id)
		}
	}
}

// top is the highest recorded id.
func (a *Archive) top() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	top := 0
	for page := range a.messages.pages {
		if page<<12 >= top&^(pageIDs-1) {
			a.messages.each(page<<12, page<<12+pageIDs-1, func(id int) { top = max(top, id) })
		}
	}
	return top
}
