package virtual

import (
	"container/heap"
	"time"

	"github.com/tghaul/haul/telegram/dctest/flood"
)

// Workers runs the policy of most other tools: so many workers that each take
// the next part, and when they are told to wait, sleep alone and try again.
func Workers(n int, net Network, rules []flood.Rule, job Job, limit time.Duration, seed uint64) Result {
	w := newWorld(net, rules, seed)
	parts := job.Files * int((job.Size+partSize-1)/partSize)
	done := 0
	var work func(worker int)
	try := func(worker int) {
		w.request(worker, min(job.Size, partSize), func(a answer) {
			if a.wait > 0 {
				parts++ // it is still to be done
				w.after(a.wait, func() { work(worker) })
				return
			}
			done++
			work(worker)
		})
	}
	work = func(worker int) {
		if parts > 0 {
			parts--
			try(worker)
		}
	}
	for i := range n {
		work(i)
	}
	for len(w.queue) > 0 && w.now.Sub(epoch) < limit {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.f()
	}
	_, w.result.Inside = w.guard.Counts()
	w.result.Took = w.now.Sub(epoch)
	return w.result
}
