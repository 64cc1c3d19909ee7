package telegram

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
)

// floodGates keep calls of a method away from a DC that asked to wait with it.
// They concern the calls that Client.Invoke makes; file parts have the
// governor of the transfer engine. The zero value has no gate closed.
type floodGates struct {
	mu    sync.Mutex
	gates map[floodScope]floodGate
}

type floodScope struct {
	dc     int
	method string
}

type floodGate struct {
	until time.Time
	err   *mtproto.RPCError // what closed it
}

// shut keeps the scope closed for at least d.
func (g *floodGates) shut(s floodScope, d time.Duration, err *mtproto.RPCError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gates == nil {
		g.gates = make(map[floodScope]floodGate)
	}
	if until := time.Now().Add(d); until.After(g.gates[s].until) {
		g.gates[s] = floodGate{until: until, err: err}
	}
}

// pass waits until the scope is open. If that is longer than limit it returns
// at once what the server would answer: the wait with the seconds that remain.
func (g *floodGates) pass(ctx context.Context, s floodScope, limit time.Duration) error {
	for {
		gate, left := g.left(s)
		if left <= 0 {
			return nil
		}
		if left > limit+time.Second { // the second: jitter of a wait that was within the limit
			err := *gate.err
			err.Arg = int((left + time.Second - 1) / time.Second)
			return &err
		}
		if err := pause(ctx, left); err != nil {
			return err
		}
	}
}

func (g *floodGates) left(s floodScope) (floodGate, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate, ok := g.gates[s]
	if !ok {
		return gate, 0
	}
	left := time.Until(gate.until)
	if left <= 0 {
		delete(g.gates, s)
	}
	return gate, left
}

// restore closes the gates that waits of an earlier run hold. Reckoned from
// now, they do not move if the clock is set meanwhile.
func (g *floodGates) restore(waits []FloodWait) {
	now := time.Now()
	for _, w := range waits {
		if left := min(w.Until.Sub(now), maxWaitSeconds*time.Second); left > 0 {
			g.shut(floodScope{w.DC, w.Method}, left, &mtproto.RPCError{Method: w.Method, Code: 420, Type: w.Type})
		}
	}
}

// waits are those that hold a gate.
func (g *floodGates) waits() (list []FloodWait) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for s, gate := range g.gates {
		if gate.until.After(now) {
			list = append(list, FloodWait{DC: s.dc, Method: s.method, Type: gate.err.Type, Until: gate.until.UTC()})
		}
	}
	slices.SortFunc(list, func(a, b FloodWait) int { return a.Until.Compare(b.Until) })
	return list
}
