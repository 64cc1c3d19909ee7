package telegram

import (
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/transport"
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
// come first, those of the datacenters file remain as a last resort. (A list
// may name addresses that only its own network can reach.)
type directory struct {
	test  bool
	plain bool // no obfuscation: endpoints that demand it are of no use

	mu   sync.Mutex
	file []mtproto.Endpoint
	list []mtproto.Endpoint // from help.getConfig
}

// setOptions replaces the servers' list.
func (d *directory) setOptions(options []api.DcOption) {
	var v4, v6 []mtproto.Endpoint
	for _, o := range options {
		e, ok := d.endpoint(o)
		switch {
		case !ok:
		case o.Ipv6:
			v6 = append(v6, e)
		default:
			v4 = append(v4, e)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(v4, v6...)
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
		DC: int(o.ID), Test: d.test, MediaOnly: o.MediaOnly, CDN: o.Cdn,
		Address: net.JoinHostPort(o.IPAddress, strconv.Itoa(int(o.Port))), Secret: secret,
	}, true
}

// optionSecret reads the secret of a dcOption: none, 16 bytes, or 17 that
// begin with dd. Fake TLS is not known.
func optionSecret(b []byte) (transport.Secret, bool) {
	switch {
	case len(b) == 0:
		return transport.Secret{}, true
	case len(b) == 16:
		return transport.Secret{Key: slices.Clone(b)}, true
	case len(b) == 17 && b[0] == 0xdd:
		return transport.Secret{Key: slices.Clone(b[1:]), Padded: true}, true
	default:
		return transport.Secret{}, false
	}
}

// find lists a DC's endpoints that ok accepts, the better ones first, each address once.
func (d *directory) find(dc int, ok func(mtproto.Endpoint) bool) []mtproto.Endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []mtproto.Endpoint
	for _, e := range slices.Concat(d.list, d.file) {
		if e.DC != dc || !ok(e) {
			continue
		}
		if !slices.ContainsFunc(found, func(f mtproto.Endpoint) bool { return f.Address == e.Address }) {
			found = append(found, e)
		}
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
