package telegram

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
)

// TestProbe asks a cluster without an account: every endpoint answers, by every
// transport at home, with its round trip and the time of its clock.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt, skew = 80 * time.Millisecond, 3 * time.Hour
		r := newReach(t, dctest.Config{RTT: dctest.Duration(rtt), ClockSkew: dctest.Duration(skew)})
		got, err := Probe(t.Context(), r.cfg, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for _, a := range got {
			asked[a.Framing.String()]++
			if a.Err != nil || a.RTT != rtt || !a.CDN && !a.Known {
				t.Errorf("DC %d by %v: round trip %v, known %v, %v", a.DC, a.Framing, a.RTT, a.Known, a.Err)
			}
			if off := (a.Offset - skew).Abs(); off > time.Millisecond {
				t.Errorf("DC %d: clock %v ahead, want %v", a.DC, a.Offset, skew)
			}
		}
		if got[0].DC != 2 || asked["intermediate"] != 6 || asked["padded"] != 1 || asked["abridged"] != 1 {
			t.Errorf("asked %v, DC %d first", asked, got[0].DC)
		}
		for _, dc := range []string{"1", "2", "4", "5", "203"} {
			if n := r.cluster.Stats().DCs[dc].KeyExchanges; n != 0 {
				t.Errorf("%d keys were made at DC %s, want none", n, dc)
			}
		}
	})
}

// TestProbeTrouble: whatever does not answer costs no more than the timeout,
// and the other endpoints are asked all the same.
func TestProbeTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		dead := r.cfg.Datacenters.DC[0].Address
		dial := r.cfg.Dial
		r.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == dead {
				near, far := net.Pipe()
				context.AfterFunc(t.Context(), func() { _ = far.Close() })
				go func() { // takes everything, answers nothing
					for b := make([]byte, 1024); ; {
						if _, err := far.Read(b); err != nil {
							return
						}
					}
				}()
				return near, nil
			}
			return dial(ctx, network, address)
		}
		start := time.Now()
		got, err := Probe(t.Context(), r.cfg, nil, 4*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v, want 4s", took)
		}
		for _, a := range got {
			if (a.Err != nil) != (a.Address == dead) {
				t.Errorf("%s: %v", a.Address, a.Err)
			}
			if a.Err != nil && !strings.Contains(a.Err.Error(), "no answer within 4s") {
				t.Errorf("%s: %v", a.Address, a.Err)
			}
		}
	})
}

// TestProbeThroughProxy: an MTProxy is asked for each DC once, and what is
// wrong with it is told by its type.
func TestProbeThroughProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		secret := secretOf(t, fakeSecret)
		r.behind(relay.Config{Kind: relay.MTProxy, Secret: secret}, &proxy.Proxy{Kind: proxy.MTProxy, Secret: secret})
		got, err := Probe(t.Context(), r.cfg, nil, time.Minute)
		if err != nil || len(got) != 6 {
			t.Fatalf("%d asked, %v; want one for each DC and a media-only one", len(got), err)
		}
		for _, a := range got {
			if a.Err != nil {
				t.Errorf("DC %d: %v", a.DC, a.Err)
			}
		}
		r.cfg.Proxy.Secret = secretOf(t, "ee"+strings.Repeat("ab", 16)+"612e62")
		got, err = Probe(t.Context(), r.cfg, nil, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range got {
			if !errors.Is(a.Err, proxy.ErrSecret) {
				t.Errorf("DC %d with a wrong secret: %v", a.DC, a.Err)
			}
		}
	})
}
