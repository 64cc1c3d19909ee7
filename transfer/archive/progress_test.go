package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

var testPeer = telegram.Peer{Kind: telegram.PeerChannel, ID: 5, Username: "chat"}

func openTest(t *testing.T, dir string) *Archive {
	t.Helper()
	a, err := Open(dir, testPeer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// message is a text, edited at a time if that is not 0.
func message(id int, edited int32) *telegram.Message {
	raw := &api.Message{ID: int32(id), PeerID: &api.PeerChannel{ChannelID: 5}, Date: 1000, Message: `a text that says "id":7, "edit_date":99`}
	m := &telegram.Message{Peer: testPeer, ID: id, Date: time.Unix(1000, 0)}
	if edited != 0 {
		raw.EditDate = tl.Some(edited)
		m.Edited = time.Unix(int64(edited), 0)
	}
	m.Raw = tl.Marshal(raw)
	return m
}

func (a *Archive) mustAdd(t *testing.T, m *telegram.Message, want bool) {
	t.Helper()
	if added, err := a.AddMessage(m); err != nil || added != want {
		t.Errorf("message %d, edited %v: added %v, %v; want %v", m.ID, m.Edited, added, err, want)
	}
}

func all(t *Tracker) string { return fmt.Sprint(t.Gaps(Span{1, NoEnd})) }

// What was listed counts as done when its files are, and only then.
func TestTracker(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	a.mustAdd(t, message(100, 0), true) // what is above the last one is not taken for done
	tr := a.Track("")
	w := tr.Walk(Span{1, NoEnd}, false, true)
	for _, m := range []struct{ id, files int }{{100, 0}, {90, 1}, {80, 2}, {70, 0}} {
		w.Listed(m.id, m.files)
	}
	if got, want := all(tr), fmt.Sprint([]Span{{1, 69}, {80, 99}, {101, NoEnd}}); got != want {
		t.Errorf("before any file is there the gaps are %s, want %s", got, want)
	}
	tr.FileOver(90, true)
	tr.FileOver(80, true)
	tr.FileOver(80, false)
	tr.FileOver(7, true) // of no concern
	if got, want := all(tr), fmt.Sprint([]Span{{1, 69}, {80, 89}, {101, NoEnd}}); got != want {
		t.Errorf("with a file that has failed the gaps are %s, want %s", got, want)
	}
	if failed := tr.Failed(); !slices.Equal(failed, []int{80}) || !tr.Busy() {
		t.Errorf("failed are %v", failed)
	}
	w.Listed(60, 1)
	tr.More(60, 1)
	tr.FileOver(60, true)
	if !tr.Waiting(60) {
		t.Error("a message is over before all of its files are")
	}
	tr.FileOver(60, true)
	w.End()
	if err := tr.Save(false); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	tr = openTest(t, dir).Track("")
	if got, want := all(tr), fmt.Sprint([]Span{{80, 89}, {101, NoEnd}}); got != want {
		t.Errorf("the next run has the gaps %s, want %s", got, want)
	}
	up := tr.Walk(Span{80, 89}, true, true)
	up.Listed(80, 1)
	tr.FileOver(80, true)
	if got, want := all(tr), fmt.Sprint([]Span{{81, 89}, {101, NoEnd}}); got != want {
		t.Errorf("upwards the gaps are %s, want %s", got, want)
	}
	up.End()
	if got, want := all(tr), fmt.Sprint([]Span{{101, NoEnd}}); got != want || tr.Top() != 100 || tr.Newest() != 0 {
		t.Errorf("the gaps are %s, want %s; top %d, newest %d", got, want, tr.Top(), tr.Newest())
	}
	if err := tr.Save(true); err != nil || tr.Newest() != 100 {
		t.Errorf("finished at %d, %v", tr.Newest(), err)
	}
}

// A selection of everything holds for any other, and no other for any.
func TestTrackerSelections(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	walk := func(a *Archive, key string, in Span) {
		t.Helper()
		tr := a.Track(key)
		tr.Walk(in, false, false).End()
		if err := tr.Save(true); err != nil {
			t.Fatal(err)
		}
	}
	walk(a, "type=photo", Span{1, 10})
	walk(a, "", Span{20, 30})
	if got, want := all(a.Track("type=photo", "")), fmt.Sprint([]Span{{11, 19}, {31, NoEnd}}); got != want {
		t.Errorf("photos: %s, want %s", got, want)
	}
	if got, want := all(a.Track("")), fmt.Sprint([]Span{{1, 19}, {31, NoEnd}}); got != want {
		t.Errorf("everything: %s, want %s", got, want)
	}
	tr := a.Track("type=photo", "")
	tr.Reopen(25)
	tr.Reopen(5)
	if got, want := all(tr), fmt.Sprint([]Span{{5, 5}, {11, 19}, {25, 25}, {31, NoEnd}}); got != want {
		t.Errorf("opened again: %s, want %s", got, want)
	}
	if err := tr.Save(false); err != nil {
		t.Fatal(err)
	}
	if got, want := all(a.Track("")), fmt.Sprint([]Span{{1, 19}, {25, 25}, {31, NoEnd}}); got != want {
		t.Errorf("everything, opened again: %s, want %s", got, want)
	}
	for i := range 2 * maxSelections {
		walk(a, fmt.Sprint("from=", i), Span{1, 2})
	}
	if n := len(a.progress.Selections); n != maxSelections || a.progress.Selections[""] == nil {
		t.Errorf("%d selections are remembered, that of everything: %v", n, a.progress.Selections[""])
	}
}

// A record does not outlive the lists that it is about.
func TestProgressOfOtherLists(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"cut":     func(dir string) error { return os.Truncate(filepath.Join(dir, MessagesName), 10) },
		"gone":    func(dir string) error { return os.Remove(filepath.Join(dir, MessagesName)) },
		"version": func(dir string) error { return rewrite(dir, ProgressName, `"version":1`, `"version":2`) },
		"garbage": func(dir string) error { return os.WriteFile(filepath.Join(dir, ProgressName), []byte("{"), 0o600) },
		"ranges":  func(dir string) error { return rewrite(dir, ProgressName, "[1,", "[-1,") },
		"zeros": func(dir string) error {
			return rewrite(dir, MessagesName, `"message"`, "\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		},
	} {
		dir := t.TempDir()
		a := openTest(t, dir)
		a.mustAdd(t, message(5, 0), true)
		tr := a.Track("")
		tr.Walk(Span{1, 5}, false, false).End()
		tr.SetPts(77)
		if err := tr.Save(true); err != nil {
			t.Fatal(err)
		}
		if name == "zeros" { // what follows makes up for the size of what is lost
			a.mustAdd(t, message(4, 0), true)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		a = openTest(t, dir)
		if tr := a.Track(""); all(tr) != fmt.Sprint([]Span{{6, NoEnd}}) || tr.Pts() != 77 {
			t.Fatalf("%s: before, the gaps are %s", name, all(tr))
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(dir, "chat")); err != nil {
			t.Fatal(err)
		}
		if tr := openTest(t, dir).Track(""); all(tr) != fmt.Sprint([]Span{{1, NoEnd}}) || tr.Pts() != 0 || tr.Newest() != 0 {
			t.Errorf("%s: the gaps are %s, pts %d", name, all(tr), tr.Pts())
		}
	}
}

func rewrite(dir, name, from, to string) error {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), from) {
		return fmt.Errorf("no %q in %s", from, name)
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(string(b), from, to, 1)), 0o600)
}

// A file that is not there any more opens its message again.
func TestTrackerMissesFiles(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	for id, path := range map[int]string{4: "4_there", 6: "6_gone", 8: "8_short"} {
		a.entries[fileKey{id, 1, false}] = Entry{Message: id, Document: 1, Path: path, Size: 3}
	}
	for name, data := range map[string]string{"4_there": "abc", "8_short": "ab"} {
		if err := os.WriteFile(filepath.Join(dir, "chat", name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tr := a.Track("")
	tr.Walk(Span{1, 10}, false, false).End()
	if err := tr.Save(true); err != nil {
		t.Fatal(err)
	}
	if got, want := all(a.Track("")), fmt.Sprint([]Span{{6, 6}, {8, 8}, {11, NoEnd}}); got != want {
		t.Errorf("gaps %s, want %s", got, want)
	}
}

// A message has a line for each state of it that was seen, and the last counts.
func TestEditedAndDeleted(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	a.mustAdd(t, message(1, 0), true)
	a.mustAdd(t, message(2, 0), true)
	a.mustAdd(t, message(2, 0), false)
	a.mustAdd(t, message(2, 2000), true)
	a.mustAdd(t, message(2, 1500), false) // a state that is older
	if n, err := a.AddDeleted([]int{2, 1, 9}, time.Unix(5000, 0)); n != 2 || err != nil {
		t.Errorf("%d are noted as gone, %v", n, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = openTest(t, dir)
	if a.HasMessage(1) || a.HasMessage(2) || a.HasMessage(9) {
		t.Error("what is gone is there")
	}
	if n, err := a.AddDeleted([]int{1, 2}, time.Now()); n != 0 || err != nil {
		t.Errorf("%d are noted as gone twice, %v", n, err)
	}
	a.mustAdd(t, message(2, 2000), true) // it is to be seen again
	if !a.HasMessage(2) {
		t.Error("what is back is not there")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = openTest(t, dir)
	a.mustAdd(t, message(2, 2000), false)
	a.mustAdd(t, message(2, 3000), true)
	b, err := os.ReadFile(filepath.Join(dir, "chat", MessagesName))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		l, err := parseHistory([]byte(strings.TrimSpace(line)))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(l.id, l.edited, l.deleted))
	}
	want := []string{"1 0 false", "2 0 false", "2 2000 false", "1 0 true", "2 0 true", "2 2000 false", "2 3000 false"}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
	if !strings.Contains(string(b), `{"_":"haul.deleted","id":1,"noted":"1970-01-01T01:23:20Z"}`) {
		t.Errorf("no line for a deletion in\n%s", b)
	}
}

// A walk that brings everything tells which recorded messages did not come.
func TestMissing(t *testing.T) {
	a := openTest(t, t.TempDir())
	for _, id := range []int{1, 5000, 5001, 5003, 9000, 9100} {
		a.mustAdd(t, message(id, 0), true)
	}
	if a.top() != 9100 {
		t.Errorf("top is %d", a.top())
	}
	if _, err := a.AddDeleted([]int{5001}, time.Now()); err != nil {
		t.Fatal(err)
	}
	tr := a.Track("")
	down := tr.Walk(Span{1, NoEnd}, false, true)
	down.Listed(9000, 0)
	if got := down.Missing(); !slices.Equal(got, []int{9100}) {
		t.Errorf("missing at the top %v", got)
	}
	down.Listed(4000, 0)
	if got := down.Missing(); !slices.Equal(got, []int{5000, 5003}) {
		t.Errorf("missing %v", got)
	}
	down.End()
	if got := down.Missing(); !slices.Equal(got, []int{1}) {
		t.Errorf("missing at the end %v", got)
	}
	up := tr.Walk(Span{1, NoEnd}, true, true)
	up.Listed(1, 0)
	up.Listed(5002, 0)
	up.End()
	if got := up.Missing(); !slices.Equal(got, []int{5000, 5003, 9000, 9100}) {
		t.Errorf("missing upwards %v", got)
	}
	if w := tr.Walk(Span{1, 9000}, true, false); true {
		w.Listed(8000, 0)
		w.End()
		if w.Count() != 0 {
			t.Error("a list of some messages misses others")
		}
	}
}
