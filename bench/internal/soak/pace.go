package soak

import (
	"fmt"
	"io"
	"time"
)

// paceTime is how often the pace is told, or a little less often.
const paceTime = time.Minute

// A pace tells how much is moved in a minute, so that a soak which slows down
// is seen to.
type pace struct {
	since    time.Time
	down, up int64 // of the totals then
}

// look is called between two lives.
func (p *pace) look(t *Totals, log io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	elapsed := time.Since(p.since)
	if elapsed < paceTime {
		return
	}
	const mib = 1 << 20
	_, _ = fmt.Fprintf(log, "soak: %.1f MiB/s down, %.1f MiB/s up\n",
		float64(t.Down-p.down)/mib/elapsed.Seconds(), float64(t.Up-p.up)/mib/elapsed.Seconds())
	p.since, p.down, p.up = time.Now(), t.Down, t.Up
}
