package virtual

import (
	"math/rand/v2"
	"time"

	"github.com/tghaul/haul/telegram/dctest/flood"
)

// Kinds are the kinds of flood rules.
var Kinds = []string{"token_bucket", "fixed_window", "sliding_window", "concurrency", "growing"}

// A Case is a rule of a random strength, with the network that it is met on.
type Case struct {
	Rule    flood.Rule
	Network Network
	// Rate is what the rule permits in the long run, in requests a second.
	Rate float64
}

// NewCase draws a case. Rates are such that the rule is what limits the
// transfer, and not the network.
func NewCase(kind string, seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 99))
	between := func(a, b float64) float64 { return a + rng.Float64()*(b-a) }
	c := Case{
		Rule:    flood.Rule{Method: method, Kind: kind, Wait: []int{0, 0, 3, 5, 10}[rng.IntN(5)]},
		Network: Network{RTT: seconds(between(0.02, 0.15)), Service: seconds(between(0.02, 0.1))},
	}
	c.Rate = between(2, 20)
	switch kind {
	case "token_bucket", "growing":
		c.Rule.Rate, c.Rule.Burst = c.Rate, 3+rng.IntN(100)
	case "fixed_window", "sliding_window":
		window := between(5, 60)
		c.Rule.Window, c.Rule.Burst = flood.Duration(seconds(window)), int(c.Rate*window)
		c.Rate = float64(c.Rule.Burst) / window
	case "concurrency":
		c.Rule.Burst = 2 + rng.IntN(12)
		c.Network.Service = seconds(between(0.1, 0.5))
		// Each place is free again as soon as the next request can know of it.
		c.Rate = float64(c.Rule.Burst) / (c.Network.Service + c.Network.RTT).Seconds()
	}
	return c
}

// Rules are the rules that the server applies.
func (c *Case) Rules() []flood.Rule { return []flood.Rule{c.Rule} }

// LongLine is a line with a long round trip, on which one connection gets an
// eighth of what the DC gives.
var LongLine = Network{RTT: 80 * time.Millisecond, Service: time.Millisecond, ConnRate: 4 << 20, DCRate: 32 << 20}

// Share is what was served between two moments, as a share of what the rule
// permitted.
func (c *Case) Share(r Result, from, to time.Duration) float64 {
	return float64(Count(r.Served, from, to)) / c.Permitted(r.Served, from, to)
}

// Permitted is how many requests the rule permits between two moments, given
// what was served before: an allowance that was used up just before from is
// not there again at once. It is an average over where windows happen to end.
func (c *Case) Permitted(served []time.Duration, from, to time.Duration) float64 {
	total := c.Rate * (to - from).Seconds()
	window := time.Duration(c.Rule.Window)
	switch c.Rule.Kind {
	case "fixed_window":
		start := served[0] + (from-served[0])/window*window // of the window at from
		left := float64(c.Rule.Burst - Count(served, start, from))
		return left + c.Rate*(to-start-window).Seconds()
	case "sliding_window":
		total += float64(c.Rule.Burst) / 2
		for _, t := range served {
			if t > from-window && t <= from {
				total -= (t + window - from).Seconds() / window.Seconds()
			}
		}
	}
	return total
}

// Count is how many of the moments lie between two.
func Count(at []time.Duration, from, to time.Duration) int {
	n := 0
	for _, t := range at {
		if t >= from && t < to {
			n++
		}
	}
	return n
}
