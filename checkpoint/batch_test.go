package checkpoint

import "testing"

// A batch that is used again holds on to nothing of what it had.
func TestResetLetsGo(t *testing.T) {
	t.Parallel()
	var b Batch
	for range 3 {
		b.PutJob(Job{ID: "j"})
	}
	room := cap(b.ops)
	b.Reset()
	if b.Len() != 0 || cap(b.ops) != room {
		t.Errorf("it has %d changes and room for %d, want 0 and %d", b.Len(), cap(b.ops), room)
	}
	for i, o := range b.ops[:room] {
		if o != (op{}) {
			t.Errorf("change %d is still held", i)
		}
	}
}
