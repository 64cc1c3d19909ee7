package telegram

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
)

// A Reach is what came of asking one endpoint by one transport.
type Reach struct {
	mtproto.Endpoint
	Framing transport.Framing
	Plain   bool // not obfuscated
	mtproto.Probed
	Err error // why there is no answer
}

// Probe asks DCs whether they answer, without an account and without making a
// key: one address for each host that cfg and s, the stored session or nil,
// know of each DC, by the transport of cfg; and the home DC by the other
// transports and on the other ports too. All are asked side by side, for as
// long as timeout allows. The home DC's come first, then the others in order.
// Errors: those of a cfg that cannot work.
func Probe(ctx context.Context, cfg Config, s *Session, timeout time.Duration) ([]Reach, error) {
	setDefault(&cfg.AppID, 1) // nothing of it is sent
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := cfg.Datacenters.keys()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	list := probes(cfg, s)
	var asking sync.WaitGroup
	for i := range list {
		r := &list[i]
		asking.Go(func() {
			o := mtproto.Options{
				Dial: cfg.Dial, Proxy: cfg.Proxy, Framing: r.Framing, Plain: r.Plain, PublicKeys: keys,
			}
			r.Probed, r.Err = mtproto.Probe(ctx, o, r.Endpoint)
		})
	}
	asking.Wait()
	return list, nil
}

// probes are the questions that Probe asks.
func probes(cfg Config, s *Session) (list []Reach) {
	home := cfg.Datacenters.HomeDC
	d := &directory{test: cfg.Datacenters.Test, plain: cfg.Plain, file: cfg.Datacenters.endpoints()}
	if s != nil {
		home = s.HomeDC
		if s.Servers != nil && s.Servers.Of == fingerprint(cfg.Datacenters) {
			d.recall(s.Servers.DCs)
		}
	}
	all := append(d.list, d.file...)
	relayed := cfg.Proxy != nil && cfg.Proxy.Kind == proxy.MTProxy
	usual := Reach{Framing: cfg.Framing, Plain: cfg.Plain}
	var first, rest []Reach
	seen := make(map[probeKey]bool)
	for _, e := range all {
		k := keyOf(e, relayed)
		if seen[k] {
			continue
		}
		seen[k] = true
		r := usual
		r.Endpoint = e
		if e.DC == home {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(first) == 0 {
		return rest
	}
	first = append(first, otherWays(first[0], all, relayed)...)
	return append(first, rest...)
}

// A probeKey is equal for endpoints of which one is asked.
type probeKey struct {
	dc         int
	media, cdn bool
	host       string
}

// keyOf takes the endpoints of a DC for one if an MTProxy finds the address.
func keyOf(e mtproto.Endpoint, relayed bool) probeKey {
	k := probeKey{dc: e.DC, media: e.MediaOnly, cdn: e.CDN}
	if !relayed {
		k.host, _, _ = net.SplitHostPort(e.Address) // a checked one has both
	}
	return k
}

// otherWays are the other ports of the host that r asks, and the other
// transports that can be used in place of r's.
func otherWays(r Reach, all []mtproto.Endpoint, relayed bool) (list []Reach) {
	seen := map[string]bool{r.Address: true}
	for _, e := range all {
		if !relayed && !seen[e.Address] && keyOf(e, false) == keyOf(r.Endpoint, false) {
			seen[e.Address] = true
			list = append(list, Reach{Endpoint: e, Framing: r.Framing, Plain: r.Plain})
		}
	}
	if r.Plain || relayed {
		return list // a server of one's own, or a proxy with a secret, takes what it takes
	}
	for _, f := range []transport.Framing{transport.Intermediate, transport.PaddedIntermediate, transport.Abridged} {
		if f != r.Framing {
			list = append(list, Reach{Endpoint: r.Endpoint, Framing: f})
		}
	}
	return list
}
