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
	for _, files := range []int{5, 500} {
		if took, err := Checkpoint(files, 20, cpu); err != nil || took != 4*time.Millisecond {
			t.Errorf("checkpoint with %d files: %v, %v, want 80 ms over 20 parts", files, took, err)
		}
		if took, err := Scattered(files, 20, cpu); err != nil || took != 4*time.Millisecond {
			t.Errorf("scattered over %d files: %v, %v, want 80 ms over 20 parts", files, took, err)
		}
	}
}

// The benchmarks are for profiles of what grows.
func BenchmarkScheduler(b *testing.B)  { measure(b, Scheduler) }
func BenchmarkCheckpoint(b *testing.B) { measure(b, Checkpoint) }
func BenchmarkScattered(b *testing.B)  { measure(b, Scattered) }

func measure(b *testing.B, f func(files, parts int, cpu func() time.Duration) (time.Duration, error)) {
	for _, files := range []int{1, 100, 10_000, 100_000} {
		b.Run(strconv.Itoa(files), func(b *testing.B) {
			took, err := f(files, b.N, rig.CPU)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds())/1000, "cpu-µs/part") // without what is done before
		})
	}
}
