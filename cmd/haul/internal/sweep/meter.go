package sweep

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const meterPause = 20 * time.Millisecond

// A meter measures what this process uses while it runs.
type meter struct {
	before time.Duration
	end    chan struct{}
	wait   sync.WaitGroup
	most   uint64 // bytes; read it when wait is over
}

func startMeter() *meter {
	debug.FreeOSMemory() // of the step before
	m := &meter{before: cpuTime(), end: make(chan struct{})}
	m.wait.Go(func() {
		tick := time.NewTicker(meterPause)
		defer tick.Stop()
		for {
			m.most = max(m.most, memory())
			select {
			case <-tick.C:
			case <-m.end:
				return
			}
		}
	})
	return m
}

// stop returns the CPU time and the most memory in MiB.
func (m *meter) stop() (cpu time.Duration, mib float64) {
	cpu = cpuTime() - m.before
	close(m.end)
	m.wait.Wait()
	return cpu, float64(max(m.most, memory())) / (1 << 20)
}

// memory is what Go has of the system, without what it has given back.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
