// Package dctest is a simulated Telegram: several DCs with media-only
// endpoints and a CDN DC, on loopback or in memory, speaking the real wire
// format and as strict as the real servers are. Tests, the demo, benchmarks
// and embedders share it, so it does not import testing.
//
// It shares only wire codecs with haul's client: neither mtproto nor telegram
// is imported, so that the two sides do not share their mistakes.
package dctest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// What every cluster knows unless its scenario says otherwise.
const (
	BotToken   = "1:sim"
	Phone      = "+9996620001"
	Code       = "22222"
	BigChannel = "bigchannel"
)

// Config describes a cluster. The zero value is a small useful one; see
// docs/formats.md for the scenario file, which is the same as JSON.
type Config struct {
	Seed              uint64          `json:"seed"`
	HomeDC            int             `json:"home_dc"`
	DCs               []DCConfig      `json:"dcs"`
	Accounts          []AccountConfig `json:"accounts"`
	Channels          []ChannelConfig `json:"channels"`
	Flood             []FloodRule     `json:"flood"`
	Faults            []Fault         `json:"faults"`
	ReferenceLifetime Duration        `json:"reference_lifetime"` // of file references; 24h if 0
	SaltLifetime      Duration        `json:"salt_lifetime"`      // 30m if 0
	RTT               Duration        `json:"rtt"`
	ConnBandwidth     int64           `json:"conn_bandwidth"` // bytes/s of a connection, 0 for no limit
	DCBandwidth       int64           `json:"dc_bandwidth"`   // bytes/s of a DC
	// AcceptOldHandshake also takes the forms of the key exchange that the
	// real servers have given up.
	AcceptOldHandshake bool `json:"accept_old_handshake"`
	// StrictEnvironment refuses clients that leave out the 10000 of test
	// servers when they name a DC: many can only be told addresses and keys.
	StrictEnvironment bool `json:"strict_environment"`

	StateDir string       `json:"-"` // keys, authorisations and uploads survive in it; none if ""
	Listen   string       `json:"-"` // address of each listener; "127.0.0.1:0" if ""
	InMemory bool         `json:"-"` // no sockets: only Dial reaches the cluster
	Log      *slog.Logger `json:"-"` // silent if nil
}

// A DCConfig is one DC.
type DCConfig struct {
	ID        int  `json:"id"`
	MediaOnly bool `json:"media_only"` // it also has a media-only endpoint
	CDN       bool `json:"cdn"`        // it is a CDN DC, and nothing else
}

// An AccountConfig is a bot, by its token, or a user, by phone and code.
type AccountConfig struct {
	Token   string `json:"token"`
	Phone   string `json:"phone"`
	Code    string `json:"code"`
	DC      int    `json:"dc"` // where it lives; the home DC if 0
	Premium bool   `json:"premium"`
}

// A ChannelConfig is a channel with messages, oldest first: Specials, then Files mixed.
type ChannelConfig struct {
	Username string     `json:"username"`
	Title    string     `json:"title"`
	Files    []FileSpec `json:"files"`
	// Specials adds what archives must cope with: an album, hostile file
	// names, a deleted file, protected content, a service message, texts.
	Specials   bool `json:"specials"`
	NoForwards bool `json:"noforwards"`
}

// A FileSpec is a number of messages with files of one kind.
type FileSpec struct {
	Kind    string `json:"kind"` // photo, video, audio, voice, document, text (no file)
	Count   int    `json:"count"`
	MinSize int64  `json:"min_size"` // bytes
	MaxSize int64  `json:"max_size"`
	DC      int    `json:"dc"`  // the home DC if 0
	CDN     bool   `json:"cdn"` // served behind a CDN redirect
}

// A Fault makes the cluster misbehave, at given requests or at a rate.
type Fault struct {
	// Kind: flood_wait, file_reference_expired, file_migrate, reset (of the
	// connection), bad_salt, short_part, error.
	Kind    string  `json:"kind"`
	Method  string  `json:"method"` // that it concerns; upload.getFile if ""
	DC      int     `json:"dc"`     // 0: all
	At      []int64 `json:"at"`     // numbers of requests of the method, from 1
	Rate    float64 `json:"rate"`   // share of the requests
	Seconds int     `json:"seconds"`
	Code    int     `json:"code"` // of error
	Message string  `json:"message"`
}

// A Duration is a time.Duration written as "1m30s".
type Duration time.Duration

// UnmarshalText reads the duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = errors.New("negative duration")
	}
	*d = Duration(v)
	return err
}

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// LoadScenario reads a scenario. Fields that it does not know are errors.
func LoadScenario(r io.Reader) (Config, error) {
	var c Config
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("scenario: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("scenario: something follows the object")
	}
	c.setDefaults()
	return c, c.check()
}

const defaultHome = 2

func (c *Config) setDefaults() {
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.HomeDC == 0 {
		c.HomeDC = defaultHome
	}
	if c.DCs == nil {
		c.DCs = []DCConfig{{ID: 1}, {ID: 2}, {ID: 4, MediaOnly: true}, {ID: 5}, {ID: 203, CDN: true}}
	}
	if c.Accounts == nil {
		c.Accounts = []AccountConfig{{Token: BotToken}, {Phone: Phone, Code: Code}}
	}
	if c.Channels == nil {
		c.Channels = []ChannelConfig{{
			Username: BigChannel, Title: "The big channel", Specials: true,
			Files: []FileSpec{
				{Kind: "photo", Count: 60, MinSize: 20 << 10, MaxSize: 400 << 10, DC: 4},
				{Kind: "document", Count: 40, MinSize: 1, MaxSize: 3 << 20},
				{Kind: "video", Count: 8, MinSize: 1 << 20, MaxSize: 6 << 20, DC: 4},
				{Kind: "voice", Count: 12, MinSize: 8 << 10, MaxSize: 60 << 10, DC: 1},
				{Kind: "audio", Count: 4, MinSize: 512 << 10, MaxSize: 2 << 20, DC: 5},
				{Kind: "document", Count: 2, MinSize: 2 << 20, MaxSize: 4 << 20, DC: 5, CDN: true},
				{Kind: "text", Count: 20},
			},
		}}
	}
	if c.ReferenceLifetime == 0 {
		c.ReferenceLifetime = Duration(24 * time.Hour)
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for i := range c.Accounts {
		if c.Accounts[i].DC == 0 {
			c.Accounts[i].DC = c.HomeDC
		}
	}
	for i := range c.Channels {
		for j := range c.Channels[i].Files {
			if f := &c.Channels[i].Files[j]; f.DC == 0 {
				f.DC = c.HomeDC
			}
		}
	}
	for i := range c.Faults {
		if f := &c.Faults[i]; f.Method == "" {
			f.Method = "upload.getFile"
		}
	}
}

// Bounds that keep numbers of messages and file ids apart.
const (
	maxChannels = 1 << 10
	maxMessages = 1 << 30
	maxFileSize = 4000 << 20
)

func (c *Config) check() error {
	plain := map[int]bool{}
	for _, dc := range c.DCs {
		if dc.ID < 1 || dc.ID > 999 {
			return fmt.Errorf("scenario: DC id %d", dc.ID)
		}
		plain[dc.ID] = !dc.CDN
	}
	if !plain[c.HomeDC] {
		return fmt.Errorf("scenario: home_dc %d is not one of dcs", c.HomeDC)
	}
	for i, a := range c.Accounts {
		if (a.Token == "") == (a.Phone == "") || !plain[a.DC] {
			return fmt.Errorf("scenario: account %d needs a token or a phone, and a DC of dcs", i)
		}
	}
	if len(c.Channels) > maxChannels {
		return fmt.Errorf("scenario: more than %d channels", maxChannels)
	}
	for _, ch := range c.Channels {
		if err := ch.check(plain); err != nil {
			return fmt.Errorf("scenario: channel %q: %w", ch.Username, err)
		}
	}
	for i, r := range c.Flood {
		if err := r.check(); err != nil {
			return fmt.Errorf("scenario: flood rule %d: %w", i, err)
		}
	}
	for i, f := range c.Faults {
		if !faultKinds[f.Kind] {
			return fmt.Errorf("scenario: fault %d has unknown kind %q", i, f.Kind)
		}
	}
	return nil
}

var faultKinds = map[string]bool{
	"flood_wait": true, "file_reference_expired": true, "file_migrate": true, "reset": true, "bad_salt": true,
	"short_part": true, "error": true,
}

func (ch *ChannelConfig) check(dcs map[int]bool) error {
	total := 0
	for i, f := range ch.Files {
		_, known := kinds[f.Kind]
		switch {
		case !known && f.Kind != "text":
			return fmt.Errorf("files %d: unknown kind %q", i, f.Kind)
		case f.Count < 0 || f.Count > maxMessages-total:
			return fmt.Errorf("files %d: count %d", i, f.Count)
		case f.MinSize < 0 || f.MaxSize < f.MinSize || f.MaxSize > maxFileSize:
			return fmt.Errorf("files %d: sizes %d to %d", i, f.MinSize, f.MaxSize)
		case !dcs[f.DC]:
			return fmt.Errorf("files %d: no DC %d", i, f.DC)
		}
		total += f.Count
	}
	return nil
}
