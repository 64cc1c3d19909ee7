package telegram

import (
	"net"
	"net/netip"
	"testing"
)

// The keys are known by the fingerprints that servers name.
func TestBuiltIn(t *testing.T) {
	for _, tt := range []struct {
		d           *Datacenters
		dcs         int
		fingerprint uint64
	}{
		{Production(), 5, 0xd09d1d85de64fd85},
		{Test(), 3, 0xb25898df208d2603},
	} {
		if err := tt.d.Check(); err != nil {
			t.Fatal(err)
		}
		keys, err := tt.d.keys()
		if err != nil || len(keys) != 1 || uint64(keys[0].Fingerprint()) != tt.fingerprint {
			t.Errorf("%s: keys %v, %v; want fingerprint %x", tt.d.Name, keys, err, tt.fingerprint)
		}
		families := map[int]map[bool]bool{}
		for _, dc := range tt.d.DC {
			host, _, err := net.SplitHostPort(dc.Address)
			if err != nil {
				t.Fatal(err)
			}
			if families[dc.ID] == nil {
				families[dc.ID] = map[bool]bool{}
			}
			families[dc.ID][netip.MustParseAddr(host).Is6()] = true
		}
		for id := 1; id <= tt.dcs; id++ {
			if len(families[id]) != 2 {
				t.Errorf("%s: DC %d has addresses of %d families, want IPv4 and IPv6", tt.d.Name, id, len(families[id]))
			}
		}
		if len(families) != tt.dcs {
			t.Errorf("%s: %d DCs, want %d", tt.d.Name, len(families), tt.dcs)
		}
	}
	if Production().Test || !Test().Test {
		t.Error("the environments are not marked as what they are")
	}
}
