package dctest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"

	"github.com/tghaul/haul/telegram/dctest/flood"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/telegram/dctest/proxy"
)

// A Cluster is a running simulated Telegram. Its methods may be called concurrently.
type Cluster struct {
	cfg      Config
	world    *world
	accounts []*account
	rsa      [2]*rsa.PrivateKey // of DCs, and of CDN DCs
	dcs      map[int]*mtserver.DC
	keys     map[int]*mtserver.KeyStore
	open     func(dc DCConfig, mediaOnly bool) error // another endpoint
	flood    *flood.Guard
	faults   *faultPlan
	stats    *counters
	stop     context.CancelFunc
	running  errgroup.Group
	network  *proxy.Proxy // in front of it, nil if it is good
	spoolDir string       // of uploads
	closed   sync.Once
	closeErr error

	done <-chan struct{} // closed when the cluster is to end

	mu        sync.Mutex
	endpoints []endpoint
	ports     int                       // addresses given out in memory
	memory    map[string]func(net.Conn) // by address, when in memory
	logins    map[keyAt]login
	dead      map[keyAt]error // what keys are told that were signed out
	frozen    map[int64]bool  // accounts
	signIns
	inits     map[int64]int // layer by auth key
	exported  map[int64]exported
	exports   int64
	takeouts  takeouts
	emails    emails
	uploads   map[uploadKey]*upload
	randomIDs map[uploadKey]bool
	scheduled []scheduled // messages, as they came
	listeners map[*mtserver.Session]listener
	moved     map[int64]int // DC by file
	onCDN     map[int64]bool
}

// Datacenters is the document that tells a client of the cluster.
type Datacenters struct {
	Name       string   `json:"name"`
	HomeDC     int      `json:"home_dc"`
	Test       bool     `json:"test"`
	DC         []DC     `json:"dc"`
	PublicKeys []string `json:"public_keys"`
}

// DC is one address in Datacenters.
type DC struct {
	ID        int    `json:"id"`
	Address   string `json:"address"`
	MediaOnly bool   `json:"media_only"`
	CDN       bool   `json:"cdn"`
	Secret    string `json:"secret"`
}

// rsaKeys are made once: that takes a while, and which ones they are matters
// to nobody. One is for DCs, the other for CDN DCs.
var rsaKeys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return keys, err
		}
		keys[i] = k
	}
	return keys, nil
})

// underway is how long after a flood wait was answered, besides the round trip,
// a request may be begun by a client that has not read that yet.
const underway = 400 * time.Millisecond

// Start starts a cluster. It runs until Close, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Cluster{
		cfg: cfg, dcs: map[int]*mtserver.DC{}, keys: map[int]*mtserver.KeyStore{}, memory: map[string]func(net.Conn){},
		flood: flood.NewGuard(cfg.Flood, time.Duration(cfg.RTT)+underway), stats: newCounters(),
		logins: map[keyAt]login{}, dead: map[keyAt]error{}, frozen: map[int64]bool{}, signIns: newSignIns(), inits: map[int64]int{}, exported: map[int64]exported{}, takeouts: newTakeouts(), emails: newEmails(),
		uploads: map[uploadKey]*upload{}, randomIDs: map[uploadKey]bool{},
		listeners: map[*mtserver.Session]listener{}, moved: map[int64]int{}, onCDN: map[int64]bool{},
	}
	c.world = newWorld(&c.cfg)
	c.faults = newFaultPlan(cfg.Faults, c.world.random(0, 2).Float64)
	for i, a := range cfg.Accounts {
		c.accounts = append(c.accounts, &account{cfg: a, id: a.id(i)})
	}
	if err := c.openSpool(); err != nil {
		return nil, fmt.Errorf("place for uploads: %w", err)
	}
	var err error
	if c.rsa, err = c.loadState(); err != nil {
		return nil, errors.Join(err, c.closeSpool())
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.done = ctx.Done()
	if err := c.serve(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	c.schedule()
	return c, nil
}

// serve makes the DCs and their endpoints.
func (c *Cluster) serve(ctx context.Context) error {
	if err := c.startNetwork(); err != nil {
		return err
	}
	c.open = func(dc DCConfig, mediaOnly bool) error { return c.endpoint(ctx, dc, mediaOnly) }
	for _, dc := range c.cfg.DCs {
		key := c.rsa[0]
		if dc.CDN {
			key = c.rsa[1]
		}
		if c.keys[dc.ID] == nil {
			c.keys[dc.ID] = mtserver.NewKeyStore()
		}
		c.dcs[dc.ID] = mtserver.NewDC(mtserver.Config{
			ID: dc.ID, Test: true, CDN: dc.CDN, RSA: key, Keys: c.keys[dc.ID], Handler: c, Log: c.cfg.Log, Now: c.now,
			AcceptOldHandshake: c.cfg.AcceptOldHandshake, AnyEnvironment: !c.cfg.StrictEnvironment, SaltLifetime: time.Duration(c.cfg.SaltLifetime),
			Faults: c.wireFaults(), Patience: c.patience(),
			Shape: mtserver.Shape{RTT: time.Duration(c.cfg.RTT), ConnBandwidth: c.cfg.ConnBandwidth, DCBandwidth: c.cfg.DCBandwidth},
		})
		if err := c.open(dc, false); err != nil {
			return err
		}
		if dc.MediaOnly {
			if err := c.open(dc, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// patience is how long a DC's packets wait for others. Virtual time has no use for it.
func (c *Cluster) patience() time.Duration {
	if c.cfg.InMemory {
		return 0
	}
	return crypto.Patience
}

// cutAnswer is how many bytes of an answer that breaks off leave.
const cutAnswer = 40

// now is the servers' time.
func (c *Cluster) now() time.Time { return time.Now().Add(time.Duration(c.cfg.ClockSkew)) }

// wireFaults are the faults of the scenario that concern connections.
func (c *Cluster) wireFaults() mtserver.Faults {
	var f mtserver.Faults
	if c.faults.has("reset") {
		f.DropConn = func(p mtserver.Point) bool {
			_, strikes := c.faults.next(methodName(p.Method), p.DC, "reset")
			return strikes
		}
	}
	if c.faults.has("cut_answer") {
		f.CutAnswer = func(p mtserver.Point) (int, bool) {
			_, strikes := c.faults.next(methodName(p.Method), p.DC, "cut_answer")
			return cutAnswer, strikes
		}
	}
	if c.faults.has("transport_error") {
		f.TransportError = func(p mtserver.Point) int32 {
			fault, _ := c.faults.next("", p.DC, "transport_error")
			return int32(fault.Code)
		}
	}
	if c.faults.has("bad_salt") {
		f.BadSalt = func(p mtserver.Point) bool {
			_, strikes := c.faults.next("", p.DC, "bad_salt")
			return strikes
		}
	}
	return f
}

// endpoint serves a DC at one more address, until ctx ends.
func (c *Cluster) endpoint(ctx context.Context, dc DCConfig, mediaOnly bool) error {
	ctx, stop := context.WithCancel(ctx)
	e := endpoint{DC{ID: dc.ID, MediaOnly: mediaOnly, CDN: dc.CDN}, stop}
	if c.cfg.InMemory {
		c.remember(ctx, e)
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.cfg.Listen)
	if err == nil {
		if e.Address, err = c.front(l.Addr().String()); err != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if err != nil {
		stop()
		return fmt.Errorf("DC %d: %w", dc.ID, err)
	}
	c.mu.Lock()
	c.endpoints = append(c.endpoints, e)
	c.mu.Unlock()
	server := c.dcs[dc.ID]
	c.running.Go(func() error {
		defer stop()
		err := server.Serve(ctx, l, mediaOnly)
		if ctx.Err() != nil || errors.Is(err, mtserver.ErrClosed) {
			return nil
		}
		return err
	})
	return nil
}

// remember is endpoint in memory.
func (c *Cluster) remember(ctx context.Context, e endpoint) {
	server := c.dcs[e.ID]
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(1000+c.ports))
	c.ports++
	c.endpoints = append(c.endpoints, e)
	c.memory[e.Address] = func(nc net.Conn) {
		c.running.Go(func() error {
			_ = server.ServeConn(ctx, nc, e.MediaOnly) // how a connection ends is its client's business
			return nil
		})
	}
}

// Dial opens a connection to an address of the cluster, as net.Dialer does.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if !c.cfg.InMemory {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	c.mu.Lock()
	serve, ok := c.memory[address]
	c.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dctest: nobody listens on %s", address)
	}
	return c.dialMemory(serve), nil
}

// Close ends the cluster, saves its state if it has a place for it, and waits
// for its goroutines. It may be called more than once.
func (c *Cluster) Close() error {
	c.closed.Do(func() {
		c.stop()
		if c.network != nil {
			c.closeErr = c.network.Close()
		}
		for _, dc := range c.dcs {
			_ = dc.Close()
		}
		c.closeErr = errors.Join(c.closeErr, c.running.Wait(), c.saveState(), c.closeSpool())
	})
	return c.closeErr
}

// Datacenters tells clients where the cluster is and by which keys to know it.
func (c *Cluster) Datacenters() Datacenters {
	d := Datacenters{Name: "sim", HomeDC: c.cfg.HomeDC, Test: true, DC: c.addresses()}
	for _, dc := range c.cfg.DCs {
		if !dc.CDN { // keys of CDN DCs come from help.getCdnConfig
			d.PublicKeys = []string{c.dcs[dc.ID].PublicKey().PEM()}
		}
	}
	return d
}

// WriteFile writes the document to a file, all or nothing.
func (d Datacenters) WriteFile(path string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// FileInfo is what the cluster says of a file.
type FileInfo struct {
	ID        int64
	Channel   string
	MessageID int
	Name      string
	Kind      string
	Size      int64
	DC        int
	CDN       bool
	Protected bool // must not be saved
	SHA256    string
}

// Files lists the files of all channels. The sums take a while for big ones.
func (c *Cluster) Files() []FileInfo {
	var list []FileInfo
	for _, ch := range c.world.channels {
		c.mu.Lock()
		top := ch.ids.top
		c.mu.Unlock()
		for id := 1; id <= top; id++ {
			c.mu.Lock()
			m := c.world.message(ch, id)
			c.mu.Unlock()
			if m == nil || m.file == nil || m.file.deleted || m.post != 0 { // copies of posts are listed as posts
				continue
			}
			info := c.info(m.file)
			info.Channel, info.MessageID, info.Protected = ch.cfg.Username, id, m.noForwards
			list = append(list, info)
		}
	}
	return list
}

// LastMessage is the id of the newest message of a channel, 0 if there is none.
func (c *Cluster) LastMessage(channel string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.world.channels {
		if ch.cfg.Username == channel && ch.ids.count() > 0 {
			return ch.ids.nth(0)
		}
	}
	return 0
}

// Uploaded lists the files that clients have sent.
func (c *Cluster) Uploaded() []FileInfo {
	c.mu.Lock()
	files := append([]*worldFile(nil), c.world.uploaded...)
	c.mu.Unlock()
	var list []FileInfo
	for _, f := range files {
		list = append(list, c.info(f))
	}
	return list
}

func (c *Cluster) info(f *worldFile) FileInfo {
	info := FileInfo{ID: f.id, Name: f.fileName(), Kind: f.kindName(), Size: f.size, DC: f.dc, CDN: f.cdn}
	info.SHA256 = c.sum(f)
	return info
}

func (c *Cluster) isCDN(dc int) bool {
	for _, d := range c.cfg.DCs {
		if d.ID == dc {
			return d.CDN
		}
	}
	return false
}

// isPlain says whether dc is a DC of the cluster, and no CDN DC.
func (c *Cluster) isPlain(dc int) bool {
	_, known := c.dcs[dc]
	return known && !c.isCDN(dc)
}

// cdnDC picks a CDN DC, 0 if there is none.
func (c *Cluster) cdnDC() int {
	var ids []int
	for _, d := range c.cfg.DCs {
		if d.CDN {
			ids = append(ids, d.ID)
		}
	}
	if ids == nil {
		return 0
	}
	return ids[mathrand.IntN(len(ids))]
}
