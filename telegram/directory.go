package telegram

import (
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// A Use says what a file session is for. Downloads may have endpoints of their own.
type Use int

// Uses of file sessions.
const (
	Download Use = iota
	Upload
)

// String is "download" or "upload".
func (u Use) String() string {
	if u == Upload {
		return "upload"
	}
	return "download"
}

// A directory knows the endpoints of each DC: those that the servers list
// come first, then those of the datacenters file, for a list may name addresses
// that only its own network can reach; then those of the backup configuration.
type directory struct {
	test   bool
	plain  bool // no obfuscation: endpoints that demand it are of no use
	static bool // stable addresses first: the proxy may have a list of those it allows

	mu     sync.Mutex
	file   []mtproto.Endpoint
	list   []mtproto.Endpoint // from help.getConfig
	backup []mtproto.Endpoint
}

// setOptions replaces the servers' list. Both address families come in turn;
// other ports than the listed ones come last.
func (d *directory) setOptions(options []api.DcOption) {
	var families [2][]mtproto.Endpoint
	var others []mtproto.Endpoint
	for _, o := range options {
		e, ok := d.endpoint(o)
		if !ok {
			continue
		}
		family := 0
		if o.Ipv6 {
			family = 1
		}
		families[family] = append(families[family], e)
		if !o.ThisPortOnly && !o.Cdn {
			others = append(others, otherPorts(e, o)...)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(inTurn(families[0], families[1]), others...)
}

// otherPorts are the endpoints of an option on the ports that it does not name.
func otherPorts(e mtproto.Endpoint, o api.DcOption) (list []mtproto.Endpoint) {
	for _, port := range ports() {
		if port != int(o.Port) {
			e.Address = net.JoinHostPort(o.IPAddress, strconv.Itoa(port))
			list = append(list, e)
		}
	}
	return list
}

// inTurn takes one of a, one of b, and so on.
func inTurn(a, b []mtproto.Endpoint) (list []mtproto.Endpoint) {
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 {
			list, a = append(list, a[0]), a[1:]
		}
		if len(b) > 0 {
			list, b = append(list, b[0]), b[1:]
		}
	}
	return list
}

// listed is the servers' list in the form that is kept.
func (d *directory) listed() []DC {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []DC
	for _, e := range d.list {
		list = append(list, dcOf(e))
	}
	return list
}

// recall takes a list that was kept. What cannot be used of it is left out.
func (d *directory) recall(list []DC) {
	kept := &Datacenters{Test: d.test}
	for _, dc := range list {
		if dc.check() == nil && (!d.plain || dc.Secret == "") {
			kept.DC = append(kept.DC, dc)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = kept.endpoints()
}

// setBackup replaces the endpoints of the backup configuration.
func (d *directory) setBackup(list []mtproto.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backup = list
}

// endpoint is a dcOption that this client can use. See core.telegram.org/constructor/dcOption.
func (d *directory) endpoint(o api.DcOption) (mtproto.Endpoint, bool) {
	if o.ID < 1 || o.ID > maxDCID || o.Port < 1 || o.Port > 65535 || net.ParseIP(o.IPAddress) == nil {
		return mtproto.Endpoint{}, false
	}
	secret, ok := optionSecret(o.Secret)
	if !ok || d.plain && (o.TcpoOnly || len(o.Secret) > 0) {
		return mtproto.Endpoint{}, false
	}
	return mtproto.Endpoint{
		DC: int(o.ID), Test: d.test, MediaOnly: o.MediaOnly, CDN: o.Cdn, Static: o.Static,
		Address: net.JoinHostPort(o.IPAddress, strconv.Itoa(int(o.Port))), Secret: secret,
	}, true
}

// find lists a DC's endpoints that ok accepts, the better ones first, each address once.
func (d *directory) find(dc int, ok func(mtproto.Endpoint) bool) []mtproto.Endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []mtproto.Endpoint
	for _, e := range slices.Concat(d.list, d.file, d.backup) {
		if e.DC != dc || !ok(e) {
			continue
		}
		if !slices.ContainsFunc(found, func(f mtproto.Endpoint) bool { return f.Address == e.Address }) {
			found = append(found, e)
		}
	}
	if d.static {
		slices.SortStableFunc(found, func(a, b mtproto.Endpoint) int {
			switch {
			case a.Static == b.Static:
				return 0
			case a.Static:
				return -1
			default:
				return 1
			}
		})
	}
	return found
}

// ordinary are the endpoints for everything. A DC that has only media-only
// ones is spoken to through those.
func (d *directory) ordinary(dc int) []mtproto.Endpoint {
	if list := d.find(dc, func(e mtproto.Endpoint) bool { return !e.CDN && !e.MediaOnly }); len(list) > 0 {
		return list
	}
	return d.find(dc, func(e mtproto.Endpoint) bool { return !e.CDN })
}

// files are the endpoints for a file session. If there are media-only ones,
// downloads use only these; uploads never do.
func (d *directory) files(dc int, use Use) []mtproto.Endpoint {
	if use == Download {
		if list := d.find(dc, func(e mtproto.Endpoint) bool { return !e.CDN && e.MediaOnly }); len(list) > 0 {
			return list
		}
	}
	return d.ordinary(dc)
}

// cdn are the endpoints of a CDN DC.
func (d *directory) cdn(dc int) []mtproto.Endpoint {
	return d.find(dc, func(e mtproto.Endpoint) bool { return e.CDN })
}
