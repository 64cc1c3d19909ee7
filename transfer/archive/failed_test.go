package archive

import (
	"slices"
	"testing"
)

// What has failed of a message that is deleted is not tried for ever.
func TestFailedAndGone(t *testing.T) {
	tr := openTest(t, t.TempDir()).Track("")
	w := tr.Walk(Span{1, 9}, true, false)
	for _, id := range []int{3, 5, 7} {
		w.Listed(id, 1)
		tr.FileOver(id, false)
	}
	tr.Walk(Span{5, 5}, true, false).End() // it was asked for, and did not come
	if got := tr.Failed(); !slices.Equal(got, []int{3, 7}) {
		t.Errorf("failed are %v", got)
	}
	tr.Gone([]int{2, 7})
	if got := tr.Failed(); !slices.Equal(got, []int{3}) || !tr.Busy() {
		t.Errorf("failed are %v", got)
	}
}
