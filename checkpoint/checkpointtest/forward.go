package checkpointtest

import (
	"reflect"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
)

// testForward: how far each chat of a job is, until the job is forgotten.
func testForward(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	begun := checkpoint.Forward{Upto: 7, Max: 99, Messages: 3, IDs: []int{8, 9}, RandomIDs: []int64{-1, 1 << 62}, At: at}
	other := checkpoint.Forward{Upto: 1, Done: true, At: at}
	commit(t, c, func(b *checkpoint.Batch) {
		b.PutForward("ab", 0, other)
		b.PutForward("ab", 0, begun)
		b.PutForward("ab", 1, other)
		b.PutForward("a", 0, other)
	})
	c = reopen(t, c)
	check := func(job string, n int, want *checkpoint.Forward) {
		t.Helper()
		got, found, err := c.Forward(job, n)
		if err != nil || found != (want != nil) || found && !reflect.DeepEqual(got, *want) {
			t.Errorf("Forward(%q, %d) = %+v, %v, %v; want %+v", job, n, got, found, err, want)
		}
	}
	check("ab", 0, &begun)
	check("ab", 1, &other)
	check("ab", 2, nil)
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetSent("a") })
	check("ab", 0, &begun)
	check("a", 0, nil)
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetJob("ab") })
	check("ab", 0, nil)
	check("ab", 1, nil)
}
