package mtproto

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// An Endpoint is an address of a DC.
type Endpoint struct {
	DC        int
	Test      bool
	MediaOnly bool
	CDN       bool
	Static    bool   // the address is stable; better where a proxy has a list of those it allows
	Address   string // host:port
	Secret    transport.Secret
}

// WireDC is the id of the DC as the key exchange and the obfuscation header
// have it: +10000 for test servers, negative for media-only endpoints.
func (e Endpoint) WireDC() int32 {
	id := int32(e.DC)
	if e.Test {
		id += 10000
	}
	if e.MediaOnly && !e.CDN {
		id = -id
	}
	return id
}

// A DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc = proxy.DialFunc

// A FutureSalt is a server salt and the time it holds for.
type FutureSalt struct {
	ValidSince, ValidUntil time.Time // by the server's clock
	Salt                   int64
}

// A KeyState is what a later session needs to go on with the same auth key. It
// is a secret. Salt and TimeOffset are first guesses and may be old.
type KeyState struct {
	Key        *crypto.AuthKey
	Salt       int64
	TimeOffset time.Duration // server time minus local time
	Salts      []FutureSalt
	Created    time.Time
}

// Defaults of Options.
const (
	DefaultPingInterval    = 10 * time.Second
	DefaultTempKeyLifetime = 24 * time.Hour
)

// Options of Connect.
type Options struct {
	// Endpoints are of one DC, the better ones first. Several are tried side by
	// side, each a little later than the one before; the first that stands is used.
	Endpoints []Endpoint
	// Source is asked for Endpoints anew before each connection, if not nil: it
	// may know newer ones. It must not block. If it has none, Endpoints serve.
	Source func() []Endpoint
	// Routes remember which endpoints work, over all sessions that share them;
	// nil: the session's own.
	Routes *Routes
	// Sealer encrypts and decrypts, for all sessions that share it; nil: the
	// session's own.
	Sealer  *crypto.Sealer
	Dial    DialFunc     // a net.Dialer if nil
	Proxy   *proxy.Proxy // nil: none
	Framing transport.Framing
	Plain   bool // no obfuscation
	// PublicKeys are the RSA keys that the DC is known by. They are needed to make keys.
	PublicKeys []*crypto.PublicKey
	// Key is the DC's permanent key; if Key.Key is nil, Connect makes one.
	Key KeyState
	// PFS runs the session on a temporary key, bound to the permanent one.
	PFS             bool
	TempKeyLifetime time.Duration // DefaultTempKeyLifetime if 0
	// TempKeys are shared with the other sessions of the client with this DC,
	// with PFS: a permanent key is bound to one temporary key at a time. New
	// ones if nil.
	TempKeys *TempKeys
	// Init wraps a query in invokeWithLayer and initConnection. It is applied
	// until the server has answered a call on this session and key.
	Init      func(query tl.Object) tl.Object
	NoUpdates bool // wrap each query in invokeWithoutUpdates
	// Wrap puts a wrapper around the query of each call, inside of all others,
	// when the call is made; it may return the query as it is. nil: none.
	Wrap func(query tl.Object) tl.Object
	// OnUpdate gets what the server sends unasked. It must not block, and may be nil.
	OnUpdate func(update tl.Raw)
	// OnKey is told of what should be kept: a new key, salts, time. It must not
	// block or call the session, and may be nil.
	OnKey func(KeyState)
	// Crowd is shared with the other sessions of the DC. A new one if nil.
	Crowd *Crowd
	// OnEndpoint is told of the endpoint when something that passed every check
	// has come from it, once for each connection; OnFailure why no endpoint
	// would do, or why one that took the connection did not answer. Neither may
	// block or call the session; they may be nil.
	OnEndpoint func(Endpoint)
	OnFailure  func(error)
	// GiveUp is asked, until the session has had a connection, each time that
	// no endpoint has taken one. If it says so, Connect returns ErrUnreached with
	// the reason. It must not block or call the session. nil: Connect goes on
	// trying for as long as its context lasts.
	GiveUp func(error) bool
	// PingInterval is the time between pings; a connection on which nothing
	// arrives, or nothing that answers what was sent, for two and a half of it
	// is given up. DefaultPingInterval if 0.
	PingInterval time.Duration
	Log          *slog.Logger // silent if nil
	Rand         io.Reader    // crypto/rand if nil
}

func (o *Options) setDefaults() {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Crowd == nil {
		o.Crowd = new(Crowd)
	}
	if o.PingInterval <= 0 {
		o.PingInterval = DefaultPingInterval
	}
	if o.TempKeys == nil {
		o.TempKeys = new(TempKeys)
	}
	if o.TempKeyLifetime <= 0 {
		o.TempKeyLifetime = DefaultTempKeyLifetime
	}
	if o.Init == nil {
		o.Init = func(q tl.Object) tl.Object { return q }
	}
	if o.Wrap == nil {
		o.Wrap = func(q tl.Object) tl.Object { return q }
	}
	if o.OnUpdate == nil {
		o.OnUpdate = func(tl.Raw) {}
	}
	if o.OnKey == nil {
		o.OnKey = func(KeyState) {}
	}
	if o.OnEndpoint == nil {
		o.OnEndpoint = func(Endpoint) {}
	}
	if o.OnFailure == nil {
		o.OnFailure = func(error) {}
	}
	if o.GiveUp == nil {
		o.GiveUp = func(error) bool { return false }
	}
	if o.Routes == nil {
		o.Routes = new(Routes)
	}
	if o.Sealer == nil {
		o.Sealer = crypto.NewSealer(crypto.FromClient, crypto.Patience)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
}
