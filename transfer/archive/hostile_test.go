package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A record that says what cannot be does no harm, and is not believed.
func TestHostileProgress(t *testing.T) {
	nothing, five := []Span{{1, NoEnd}}, []Span{{6, NoEnd}}
	for text, want := range map[string]struct {
		gaps        []Span
		pts, newest int
	}{
		`{"version":1,"selections":null}`:                                                      {nothing, 0, 0},
		`{"version":1,"pts":7,"selections":{"":null}}`:                                         {nothing, 7, 0},
		`{"version":1,"pts":5000000000,"selections":{"":{"ranges":[[1,5]],"newest":5}}}`:       {nothing, 0, 0},
		`{"version":1,"pts":-1,"selections":{}}`:                                               {nothing, 0, 0},
		`{"version":1,"pts":7,"selections":{"":{"ranges":[[1,2147483647]],"newest":9000000}}}`: {five, 7, 5},
		`{"version":1,"selections":{"":{"ranges":[[8,9],[1,5],[20,30]],"newest":-3}}}`:         {five, 0, 0},
		`{"version":1,"selections":{"":{"ranges":[[4,5],[4,4],[1,2]]}}}`:                       {[]Span{{3, 3}, {6, NoEnd}}, 0, 0},
	} {
		dir := t.TempDir()
		a := openTest(t, dir)
		a.mustAdd(t, message(5, 0), true)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "chat", ProgressName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tr := openTest(t, dir).Track("")
		if all(tr) != fmt.Sprint(want.gaps) || tr.Pts() != want.pts || tr.Newest() != want.newest {
			t.Errorf("%s: gaps %s, pts %d, newest %d; want %+v", text, all(tr), tr.Pts(), tr.Newest(), want)
		}
		tr.Walk(Span{1, 5}, true, false).End()
		if err := tr.Save(true); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Ranges in falling order, a million of which fit into the file, are not put
// in one before the other.
func TestMergedSpans(t *testing.T) {
	var list []Span
	for id := 200_000; id > 0; id -= 2 {
		list = append(list, Span{id, id})
	}
	s := merged(append(list, Span{10, 11}, Span{1, 3}))
	if len(s) != 100_000-3+1 || s[0] != (Span{1, 4}) || s.top() != 200_000 {
		t.Errorf("%d spans, %v, up to %d", len(s), s[:5], s.top())
	}
}
