package dctest

import (
	"net"
	"time"

	"github.com/tghaul/haul/telegram/dctest/proxy"
)

// A NetworkFault makes the network in front of the cluster misbehave: it
// befalls connections, a share of them or those with given numbers. See
// proxy.Fault, of which it is the form in a scenario.
type NetworkFault struct {
	Kind           string   `json:"kind"` // reset, half_open, stall, trickle, latency, fragment, corrupt
	Rate           float64  `json:"rate"` // share of the connections, 0 to 1
	At             []int64  `json:"at"`   // which connections, from 1
	After          int64    `json:"after"`
	Within         int64    `json:"within"`
	Direction      string   `json:"direction"` // up, down or both; both if ""
	Times          int      `json:"times"`     // at most so often; 0: no limit
	For            Duration `json:"for"`
	BytesPerSecond int      `json:"bytes_per_second"`
	Delay          Duration `json:"delay"`
	Jitter         Duration `json:"jitter"`
}

func (f *NetworkFault) fault() proxy.Fault {
	return proxy.Fault{
		Kind: f.Kind, Rate: f.Rate, At: f.At, After: f.After, Within: f.Within, Direction: f.Direction, Times: f.Times,
		For: time.Duration(f.For), BytesPerSecond: f.BytesPerSecond, Delay: time.Duration(f.Delay), Jitter: time.Duration(f.Jitter),
	}
}

func (f *NetworkFault) check() error {
	p := f.fault()
	return p.Check()
}

// startNetwork makes the network that the scenario asks for. Clients are told
// its addresses in place of the cluster's own.
func (c *Cluster) startNetwork() error {
	if len(c.cfg.Network) == 0 {
		return nil
	}
	cfg := proxy.Config{Seed: c.cfg.Seed, Log: c.cfg.Log}
	for i := range c.cfg.Network {
		cfg.Faults = append(cfg.Faults, c.cfg.Network[i].fault())
	}
	var err error
	c.network, err = proxy.New(cfg)
	return err
}

// dialMemory is Dial for a cluster in memory: serve gets its end.
func (c *Cluster) dialMemory(serve func(net.Conn)) net.Conn {
	ours, theirs := net.Pipe()
	if c.network == nil {
		serve(theirs)
		return ours
	}
	near, far := net.Pipe()
	serve(far)
	c.running.Go(func() error {
		c.network.Carry(theirs, near)
		return nil
	})
	return ours
}

// front puts the network in front of an address.
func (c *Cluster) front(address string) (string, error) {
	if c.network == nil {
		return address, nil
	}
	return c.network.Front(address)
}
