package telegram

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl/api"
)

// Addresses of DCs change under a running client. The steward is the goroutine
// that keeps up: it fetches the list anew when the servers say that it has
// changed, and when a DC does not answer any more. Only when the home DC has
// not answered at any of its addresses does it look for the backup
// configuration. Sessions ask the directory before each connection, and so
// find what it has found.

const (
	// relistStart and relistMax bound the pauses between fetches of the list
	// while a DC does not answer; they double. backupEvery is the same for the
	// backup configuration.
	relistStart = 5 * time.Second
	relistMax   = 5 * time.Minute
	backupEvery = 5 * time.Minute
	// unreachedRounds is how often each address is tried, when none of them
	// takes a connection, before the backup configuration is looked for.
	unreachedRounds = 2
	// askTimeout bounds one session's answer, and one fetch of the backup.
	askTimeout = 15 * time.Second
)

// troubles count the failures of connections since a DC last answered.
type troubles struct {
	poke chan struct{} // of size 1: there is something for the steward to do

	mu       sync.Mutex
	changed  bool        // the servers said that their list has changed
	failures map[int]int // by DC
	healed   bool        // there were none for a moment
}

func newTroubles() *troubles {
	return &troubles{poke: make(chan struct{}, 1), failures: make(map[int]int)}
}

func (t *troubles) wake() {
	select {
	case t.poke <- struct{}{}:
	default: // the one that waits will see this too
	}
}

func (t *troubles) listChanged() {
	t.mu.Lock()
	t.changed = true
	t.mu.Unlock()
	t.wake()
}

func (t *troubles) failed(dc int) {
	t.mu.Lock()
	t.failures[dc]++
	t.mu.Unlock()
	t.wake()
}

// silent notes that a DC has not been reached by any of its n endpoints.
func (t *troubles) silent(dc, n int) {
	t.mu.Lock()
	t.failures[dc] = max(t.failures[dc], n)
	t.mu.Unlock()
	t.wake()
}

func (t *troubles) answered(dc int) {
	t.mu.Lock()
	delete(t.failures, dc)
	t.healed = t.healed || len(t.failures) == 0
	t.mu.Unlock()
}

// take is what there is to do. That the list has changed, and that all was well
// since, is told of once.
func (t *troubles) take() (changed, healed bool, failures map[int]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, healed = t.changed, t.healed
	t.changed, t.healed = false, false
	return changed, healed, maps.Clone(t.failures)
}

// steward runs until ctx ends.
func (c *Client) steward(ctx context.Context) {
	var relisted, backedUp time.Time
	pause := relistStart
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.troubles.poke:
		}
		changed, healed, failures := c.troubles.take()
		now := time.Now()
		if healed {
			pause = relistStart
		}
		if changed || len(failures) > 0 && now.Sub(relisted) >= pause {
			switch asked, err := c.relist(ctx, changed, failures); {
			case err != nil && ctx.Err() == nil:
				c.cfg.Log.Info("list of data centers not fetched", "err", err)
			case asked:
				relisted, pause = now, min(2*pause, relistMax)
			}
		}
		home := c.HomeDC()
		if failures[home] >= max(2, len(c.dcs.ordinary(home))) && now.Sub(backedUp) >= backupEvery {
			backedUp = now
			err := c.fetchBackup(ctx)
			c.backedUp.Store(true)
			if err != nil && ctx.Err() == nil {
				c.cfg.Log.Warn("no address of the home DC answers, and the backup configuration is of no help", "err", err)
			}
		}
	}
}

// giveUpStart decides, when no endpoint of a DC has taken a connection, whether
// Dial shall say so now: not before the backup configuration was looked for.
func (c *Client) giveUpStart(dc int) bool {
	if !c.starting.Load() {
		return false
	}
	if c.cfg.Backup == nil || c.cfg.Datacenters.BackupDomain == "" || c.backedUp.Load() {
		return true
	}
	if c.unreached.Add(1) >= unreachedRounds {
		c.troubles.silent(dc, max(unreachedRounds, len(c.dcs.ordinary(dc))))
	}
	return false
}

// relist fetches the list. That it has changed is a matter between the home DC,
// if that answers, and all who want the configuration now. Otherwise the first
// session that answers is asked: help.getConfig needs no authorisation, so that
// any DC will do. asked is false if there is nobody to ask.
func (c *Client) relist(ctx context.Context, changed bool, failures map[int]int) (asked bool, err error) {
	home := c.home.get()
	if changed && home.alive() && failures[home.dc] == 0 {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if _, err := c.Config(ctx); err == nil {
			return true, nil
		}
	}
	lines := c.files.alive()
	if home.alive() {
		lines = append([]line{home}, lines...)
	}
	for _, l := range lines {
		if failures[l.dc] > 0 {
			continue
		}
		var conf *api.Config
		asked = true
		if conf, err = askConfig(ctx, l); err == nil {
			c.setConfig(conf)
			return true, nil
		}
	}
	return asked, err
}

func askConfig(ctx context.Context, l line) (*api.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return mtproto.Call(ctx, l, &api.HelpGetConfigRequest{})
}

// setConfig takes what the servers say of themselves.
func (c *Client) setConfig(conf *api.Config) {
	c.dcs.setOptions(conf.DCOptions)
	c.config.set(conf)
	c.keep.update(func(s *Session) {
		servers := s.Servers.clone()
		servers.Of, servers.DCs, servers.BackupDomain = fingerprint(c.cfg.Datacenters), c.dcs.listed(), conf.DCTxtDomainName
		s.Servers = servers
	})
}

// endpointWorks notes that a DC has answered at an address.
func (c *Client) endpointWorks(e mtproto.Endpoint) {
	c.troubles.answered(e.DC)
	key := goodKey(e)
	if get(c.keep, func(s *Session) bool { return s.Servers != nil && s.Servers.Good[key] == e.Address }) {
		return
	}
	c.keep.update(func(s *Session) {
		servers := s.Servers.clone()
		servers.Of, servers.Good[key] = fingerprint(c.cfg.Datacenters), e.Address
		s.Servers = servers
	})
}

func goodKey(e mtproto.Endpoint) int {
	if e.MediaOnly {
		return -e.DC
	}
	return e.DC
}

// Servers are what was learned of the servers' addresses, for the next start.
type Servers struct {
	// Of tells which Datacenters it was learned from: with others it is void.
	Of           string `json:"of"`
	DCs          []DC   `json:"dcs,omitempty"` // the servers' list
	BackupDomain string `json:"backup_domain,omitempty"`
	// Good are the addresses that answered last, by DC; negative: of media-only
	// endpoints.
	Good map[int]string `json:"good,omitempty"`
}

// clone is a copy that shares nothing which changes; of nil, an empty one.
func (s *Servers) clone() *Servers {
	n := new(Servers)
	if s != nil {
		*n = *s
	}
	n.DCs = slices.Clone(n.DCs)
	if n.Good = maps.Clone(n.Good); n.Good == nil {
		n.Good = make(map[int]string)
	}
	return n
}

// fingerprint tells Datacenters apart.
func fingerprint(d *Datacenters) string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // it has nothing that JSON cannot hold
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// recall takes what an earlier run has learned, if it is about the same
// Datacenters, and else forgets it.
func (c *Client) recall() {
	servers := get(c.keep, func(s *Session) *Servers { return s.Servers })
	if servers == nil {
		return
	}
	if servers.Of != fingerprint(c.cfg.Datacenters) {
		c.keep.update(func(s *Session) { s.Servers = nil })
		return
	}
	c.dcs.recall(servers.DCs)
	for _, address := range servers.Good {
		c.routes.Prefer(address)
	}
}

// fetchBackup adds the endpoints of the backup configuration to those that are
// known. They are tried last.
func (c *Client) fetchBackup(ctx context.Context) error {
	d := c.cfg.Datacenters
	domain := d.BackupDomain
	if learned := get(c.keep, func(s *Session) *Servers { return s.Servers }); learned != nil && learned.BackupDomain != "" && domain != "" {
		domain = learned.BackupDomain
	}
	if c.cfg.Backup == nil || domain == "" {
		return nil // there is none
	}
	keys, err := crypto.ParsePublicKeys([]byte(d.BackupKey))
	if err != nil || len(keys) == 0 {
		return fmt.Errorf("%w: no key for it", ErrDatacenters)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	txt, err := c.cfg.Backup(ctx, domain)
	if err != nil {
		return err
	}
	rules, err := openBackup(txt, keys[0], time.Now().Add(c.keep.dc(c.HomeDC()).TimeOffset))
	if err != nil {
		return err
	}
	list := backupEndpoints(rules, c.cfg.Phone, d.Test)
	c.dcs.setBackup(list)
	c.cfg.Log.Info("backup configuration fetched", "domain", domain, "endpoints", len(list))
	return nil
}

// clockTolerance is how far the local clock may be off without a word.
const clockTolerance = time.Minute

// checkClock says once that the local clock is wrong. Nothing else depends on
// it: sessions count by the server's clock.
func (c *Client) checkClock(offset time.Duration) {
	if offset.Abs() < clockTolerance || c.clockTold.Swap(true) {
		return
	}
	way := "behind"
	if offset < 0 {
		way = "ahead"
	}
	c.cfg.Log.Warn("the clock of this machine is wrong; the server's is used", way, offset.Abs().Round(time.Second))
}

// dcOf is an endpoint in the form of a datacenters file.
func dcOf(e mtproto.Endpoint) DC {
	d := DC{ID: e.DC, Address: e.Address, MediaOnly: e.MediaOnly, CDN: e.CDN, Static: e.Static}
	if e.Secret.Key != nil {
		d.Secret = hex.EncodeToString(e.Secret.Bytes())
	}
	return d
}

// optionSecret reads the secret of a dcOption, which may be none.
func optionSecret(b []byte) (transport.Secret, bool) {
	if len(b) == 0 {
		return transport.Secret{}, true
	}
	s, err := transport.DecodeSecret(b)
	return s, err == nil
}
