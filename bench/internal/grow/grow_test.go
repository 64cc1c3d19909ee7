package grow

import (
	"strconv"
	"testing"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
)

// The measurements do what they say, whatever the numbers.
func TestGrow(t *testing.T) {
	clock := time.Duration(0)
	cpu := func() time.Duration { clock += 80 * time.Millisecond; return clock }
	for _, files := range []int{1, 3, 500} {
		if took, err := Scheduler(files, 40, cpu); err != nil || took != 2*time.Millisecond {
			t.Errorf("scheduler with %d files: %v, %v, want 80 ms over 40 parts", files, took, err)
		}
	}
	if took, err := Checkpoint(5, 20, cpu); err != nil || took != 4*time.Millisecond {
		t.Errorf("checkpoint: %v, %v, want 80 ms over 20 parts", took, err)
	}
}

// BenchmarkScheduler is for a profile of what grows.
func BenchmarkScheduler(b *testing.B) {
	for _, files := range []int{100, 1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(files), func(b *testing.B) {
			if _, err := Scheduler(files, b.N, rig.CPU); err != nil {
				b.Fatal(err)
			}
		})
	}
}
