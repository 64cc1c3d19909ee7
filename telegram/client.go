package telegram

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/schema"
)

// A Config says whose client to be, and where. The zero value of a field is
// the default named there.
type Config struct {
	AppID   int    // required; from my.telegram.org
	AppHash string // required for logins

	// Session keeps the account. nil: a MemorySession, forgotten at the end.
	Session SessionStore
	// Datacenters is where to connect. Required.
	Datacenters *Datacenters

	Dial    mtproto.DialFunc  // nil: a net.Dialer
	Proxy   *proxy.Proxy      // nil: none. Dial reaches it
	Framing transport.Framing // zero: intermediate
	Plain   bool              // no obfuscation of the transport
	// Backup finds other addresses once no address of the home DC has answered,
	// if the Datacenters have a BackupDomain. nil: that is not tried.
	Backup BackupFunc
	// Phone of the account, in digits, for which a backup may have other
	// addresses. "": unknown.
	Phone string
	// PFS runs all sessions but those with CDN DCs on temporary keys. Those of
	// a DC share one, which is replaced in time while they go on.
	PFS bool
	// TempKeyLifetime is after which time servers forget temporary keys. 0: a day.
	TempKeyLifetime time.Duration

	// What the account's list of devices shows.
	DeviceModel   string // "": the operating system's name
	SystemVersion string // "": the architecture's name
	AppVersion    string // "": "1.0"

	// ConnectTimeout bounds the making of one session, over all tries of its
	// endpoints. 0: 60 seconds. Dial does not go on trying when no address
	// takes a connection: somebody may be waiting to be told.
	ConnectTimeout time.Duration
	// MaxFloodWait is the longest wait that Invoke obeys by itself; a longer
	// one is returned as error. 0: 10 minutes. Negative: none.
	MaxFloodWait time.Duration
	// OnFloodWait is told of each wait before it begins. May be called
	// concurrently and must not block.
	OnFloodWait func(method string, dc int, wait time.Duration)
	// OnTakeoutLost is told that the server has ended the takeout session, and
	// that the client goes on without. May be called concurrently and must not
	// block.
	OnTakeoutLost func(err error)
	// OnUpdate gets the boxed updates of the main session, as they arrive. It
	// must not block, nor keep the slice. nil: they are ignored.
	OnUpdate func(update tl.Raw)
	// OnTouched is told where something has happened, according to those updates:
	// in the channels with these marked ids and, if others is set, perhaps in
	// others of the account's chats too. Nothing may be concluded from silence.
	// It must not block. nil: updates are not looked at for this.
	OnTouched func(channels []int64, others bool)

	Log *slog.Logger // nil: nothing is logged
}

const (
	defaultMaxFloodWait   = 10 * time.Minute
	defaultConnectTimeout = time.Minute
)

// withDefaults fills in what is zero, and refuses what cannot work.
func (cfg Config) withDefaults() (Config, error) {
	switch {
	case cfg.Datacenters == nil:
		return cfg, ErrNoDatacenters
	case cfg.AppID <= 0 || cfg.AppID > 1<<31-1:
		return cfg, fmt.Errorf("telegram: app id %d: want the number from my.telegram.org", cfg.AppID)
	}
	if err := cfg.Datacenters.Check(); err != nil {
		return cfg, err
	}
	if p := cfg.Proxy; p != nil && p.Kind == proxy.MTProxy && (cfg.Plain || cfg.Framing == transport.Full) {
		return cfg, errors.New("telegram: an MTProxy takes only obfuscated transports")
	}
	if cfg.Framing == transport.Full && !cfg.Plain {
		return cfg, errors.New("telegram: the transport full cannot be obfuscated")
	}
	setDefault(&cfg.DeviceModel, runtime.GOOS)
	setDefault(&cfg.SystemVersion, runtime.GOARCH)
	setDefault(&cfg.AppVersion, "1.0")
	setDefault(&cfg.ConnectTimeout, defaultConnectTimeout)
	setDefault(&cfg.MaxFloodWait, defaultMaxFloodWait)
	cfg.MaxFloodWait = max(cfg.MaxFloodWait, 0)
	if cfg.Session == nil {
		cfg.Session = new(MemorySession)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// setDefault gives *v a value if it is zero.
func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// session is what a Client needs of *mtproto.Session. Tests have another one.
type session interface {
	mtproto.Invoker
	Close() error
	Done() <-chan struct{}
	Err() error
	KeyState() mtproto.KeyState
	DestroyKey(context.Context) error
}

// A Client is one account's connection to Telegram. It may be used
// concurrently. Close it when done.
type Client struct {
	cfg     Config
	keys    []*crypto.PublicKey
	dcs     *directory
	keep    *keeper
	floods  floodGates
	takeout takeoutID
	connect func(context.Context, mtproto.Options) (session, error)

	home   homeLine
	files  filePool
	guests guestBook
	shared commons
	cdn    cdnKeys
	config configCache

	// qr, of size 1, wakes LoginQR: somebody has accepted the code.
	qr       chan struct{}
	routes   *mtproto.Routes
	sealer   *crypto.Sealer
	troubles *troubles
	// clockTold is set once it was said that the local clock is wrong.
	clockTold atomic.Bool
	stop      context.CancelFunc // of the steward
	steady    sync.WaitGroup     // the steward

	ending ending // of the login, by the server
	freeze freeze
	// starting holds while Dial makes the first session, and backedUp once the
	// backup configuration was looked for.
	starting, backedUp atomic.Bool
	unreached          atomic.Int32 // times that no address took a connection, while starting

	closeOnce sync.Once
	closing   chan struct{}
	closeErr  error
}

// Dial connects to the account's home DC, or to the datacenters' one if
// nobody is signed in, and fetches the servers' configuration.
// ctx bounds Dial alone. Errors: ErrNoDatacenters, ErrDatacenters, ErrSession,
// ErrLoggedOut, those of the store, and of package mtproto.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	return dial(ctx, cfg, func(ctx context.Context, o mtproto.Options) (session, error) {
		s, err := mtproto.Connect(ctx, o)
		if err != nil {
			return nil, err // not s: a nil *Session is no nil session
		}
		return s, nil
	})
}

func dial(ctx context.Context, cfg Config, connect func(context.Context, mtproto.Options) (session, error)) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := cfg.Datacenters.keys()
	if err != nil {
		return nil, err
	}
	s, err := loadSession(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, keys: keys, connect: connect,
		dcs: &directory{
			test: cfg.Datacenters.Test, plain: cfg.Plain, file: cfg.Datacenters.endpoints(),
			static: cfg.Proxy != nil && cfg.Proxy.Kind == proxy.SOCKS5,
		},
		keep:   newKeeper(cfg.Session, s, cfg.Log),
		routes: new(mtproto.Routes),
		sealer: crypto.NewSealer(crypto.FromClient, crypto.Patience),
		qr:     make(chan struct{}, 1), closing: make(chan struct{}), troubles: newTroubles(),
	}
	c.floods.restore(s.Waits)
	c.recall()
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.steady.Go(func() { c.steward(run) })
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// start makes the main session and learns the servers' configuration.
func (c *Client) start(ctx context.Context) error {
	c.starting.Store(true)
	defer c.starting.Store(false)
	if _, err := c.homeSession(ctx); err != nil {
		return err
	}
	conf, err := c.Config(ctx)
	if err != nil {
		return err
	}
	if conf.TestMode != c.cfg.Datacenters.Test {
		return fmt.Errorf("%w: the server's environment is test: %v", ErrDatacenters, conf.TestMode)
	}
	return nil
}

// loadSession is the stored session, or a new one.
func loadSession(cfg Config) (*Session, error) {
	s, err := cfg.Session.Load()
	if err != nil {
		return nil, fmt.Errorf("telegram: load session: %w", err)
	}
	if s == nil {
		d := cfg.Datacenters
		return &Session{Version: sessionVersion, Test: d.Test, HomeDC: d.HomeDC}, nil
	}
	return s, s.check(cfg.Datacenters)
}

// Close ends all sessions of the client, waits for their goroutines, and saves
// the session. It may be called twice. The error is that of saving.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		close(c.closing)
		c.stop()
		c.steady.Wait()
		c.home.close()
		c.files.close()
		c.closeErr = c.keep.close()
	})
	return c.closeErr
}

// closed reports whether Close was called.
func (c *Client) closed() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// options are those that the sessions with a DC have in common. find lists its
// endpoints, now and before each later connection.
func (c *Client) options(dc int, find func() []mtproto.Endpoint) mtproto.Options {
	shared := c.shared.get(dc)
	return mtproto.Options{
		Endpoints: find(), Source: find, Routes: c.routes, Sealer: c.sealer,
		Dial: c.cfg.Dial, Proxy: c.cfg.Proxy, Framing: c.cfg.Framing, Plain: c.cfg.Plain,
		PublicKeys: c.keys, Key: c.keep.dc(dc).keyState(),
		OnKey: func(k mtproto.KeyState) {
			c.keep.onKey(dc, k)
			c.checkClock(k.TimeOffset)
		},
		OnEndpoint: c.endpointWorks,
		OnFailure:  func(error) { c.troubles.failed(dc) },
		GiveUp:     func(error) bool { return c.giveUpStart(dc) },
		Init:       c.initConnection, Wrap: c.takeout.wrap, Log: c.cfg.Log.With("dc", dc), Crowd: &shared.crowd,
		TempKeyLifetime: c.cfg.TempKeyLifetime, TempKeys: &shared.temps,
	}
}

// open makes a session with dc. The key it uses is kept when open returns.
// Errors: ErrUnreachable after ConnectTimeout, and those of mtproto.Connect.
func (c *Client) open(ctx context.Context, dc int, o mtproto.Options) (session, error) {
	bounded, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	var barred *proxy.Error
	s, err := c.connect(bounded, o)
	switch {
	case err == nil:
		k := s.KeyState()
		c.keep.onKey(dc, k)
		c.checkClock(k.TimeOffset)
		return s, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &barred):
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, barred)
	case errors.Is(err, mtproto.ErrUnreached):
		// Not %w: a deadline in it is that of one address, not the caller's.
		return nil, fmt.Errorf("%w: %v", ErrUnreachable, err) //nolint:errorlint // see above
	case bounded.Err() != nil:
		// Not %w: the deadline is not the caller's, and must not look like it.
		return nil, fmt.Errorf("%w within %v: %v", ErrUnreachable, c.cfg.ConnectTimeout, err) //nolint:errorlint // see above
	default:
		return nil, err
	}
}

// initConnection introduces the client to a server along with a query.
// See core.telegram.org/api/invoking.
func (c *Client) initConnection(q tl.Object) tl.Object {
	return &api.InvokeWithLayerRequest{
		Layer: schema.Layer,
		Query: &api.InitConnectionRequest{
			APIID: int32(c.cfg.AppID), DeviceModel: c.cfg.DeviceModel, SystemVersion: c.cfg.SystemVersion,
			AppVersion: c.cfg.AppVersion, SystemLangCode: "en", LangPack: "", LangCode: "en", Query: q,
			Proxy: c.clientProxy(),
		},
	}
}

// clientProxy tells the servers by which MTProxy the client comes.
func (c *Client) clientProxy() *api.InputClientProxy {
	p := c.cfg.Proxy
	if p == nil || p.Kind != proxy.MTProxy {
		return nil
	}
	host, port, err := net.SplitHostPort(p.Address)
	n, _ := strconv.Atoi(port)
	if err != nil || n <= 0 {
		return nil
	}
	return &api.InputClientProxy{Address: host, Port: int32(n)}
}

// initCDN is initConnection for CDN DCs, which learn nothing about the client.
func (c *Client) initCDN(q tl.Object) tl.Object {
	return &api.InvokeWithLayerRequest{
		Layer: schema.Layer,
		Query: &api.InitConnectionRequest{
			APIID: int32(c.cfg.AppID), DeviceModel: "n/a", SystemVersion: "n/a",
			AppVersion: c.cfg.AppVersion, Query: q,
		},
	}
}

// NewHash returns a SHA-256 of a file, computed beside the packets of the
// sessions as far as that is possible.
func (c *Client) NewHash() *crypto.Hash { return c.sealer.NewHash() }

// HomeDC is the id of the DC that the account lives at.
func (c *Client) HomeDC() int { return get(c.keep, func(s *Session) int { return s.HomeDC }) }

// LoggedIn reports whether an account is signed in, as far as is known here.
func (c *Client) LoggedIn() bool {
	return get(c.keep, func(s *Session) bool { return s.User != nil && s.DCs[s.HomeDC].Authorized })
}

// User is the account that is signed in, or was until the server ended that;
// nil if none ever was. It is what the server said last, see [Client.Self].
func (c *Client) User() *User {
	return get(c.keep, func(s *Session) *User {
		if s.User == nil {
			return nil
		}
		u := *s.User
		return &u
	})
}

// Account is the user id of [Client.User], or 0.
func (c *Client) Account() (userID int64) {
	if u := c.User(); u != nil {
		return u.ID
	}
	return 0
}

// IsBot reports whether the account is a bot's.
func (c *Client) IsBot() bool {
	u := c.User()
	return u != nil && u.Bot
}
