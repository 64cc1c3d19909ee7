package transfer

import (
	"encoding/hex"
	"time"
)

// tellProgress sends a Progress event, unless the last one is too young.
func (r *run) tellProgress() {
	now := time.Now()
	// A ticker that was late is early the next time: a little is forgiven.
	if now.Sub(r.told) < r.o.ProgressInterval*9/10 {
		return
	}
	r.told = now
	r.o.Events(r.progress(now))
}

// progress is the present state of the run, as an event.
func (r *run) progress(now time.Time) Progress {
	p := Progress{
		Header:    header("progress", now),
		FilesDone: r.report.FilesDone, FilesFailed: r.report.FilesFailed, FilesSkipped: r.report.FilesSkipped,
		FilesKnown: r.filesKnown, ListComplete: r.over, BytesKnown: r.bytesKnown,
		BytesDone: r.bytesOver, Bytes: r.meter.total, BytesRate: r.meter.rate(now),
		Active: make([]FileProgress, 0, len(r.order)),
	}
	for _, e := range r.order {
		info := e.info()
		p.BytesDone += e.resumed + e.moved
		p.Active = append(p.Active, FileProgress{
			ID: info.id, Path: info.path, Bytes: e.resumed + e.moved, Size: info.size,
		})
	}
	return p
}

// A meter measures the rate of the last few seconds.
type meter struct {
	total   int64
	seconds [meterSeconds]int64 // bytes by second, as a ring
	first   time.Time           // when counting began
	last    int64               // the second that was counted last, since first
}

const meterSeconds = 8

func (m *meter) add(now time.Time, n int64) {
	m.advance(now)
	m.total += n
	m.seconds[m.last%meterSeconds] += n
}

// advance empties the seconds in which nothing came.
func (m *meter) advance(now time.Time) {
	if m.first.IsZero() {
		m.first = now
	}
	second := int64(now.Sub(m.first) / time.Second)
	for m.last < second {
		m.last++
		m.seconds[m.last%meterSeconds] = 0
		if second-m.last > meterSeconds {
			m.last = second - meterSeconds
		}
	}
}

// rate is in bytes a second.
func (m *meter) rate(now time.Time) int64 {
	m.advance(now)
	var sum int64
	for _, n := range m.seconds {
		sum += n
	}
	elapsed := min(now.Sub(m.first), meterSeconds*time.Second)
	if elapsed <= 0 {
		return 0
	}
	return int64(float64(sum) / max(elapsed.Seconds(), 0.25))
}

func hexSum(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
