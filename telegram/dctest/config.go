// Package dctest is a simulated Telegram: several DCs with media-only
// endpoints and a CDN DC, on loopback or in memory, speaking the real wire
// format and as strict as the real servers are. Tests, the demo, benchmarks
// and embedders share it, so it does not import testing.
//
// It shares only wire codecs with haul's client: neither mtproto nor telegram
// is imported, so that the two sides do not share their mistakes.
//
//	cluster, err := dctest.Start(ctx, dctest.Config{})
//	if err != nil {
//		return err
//	}
//	defer cluster.Close()
//	err = cluster.Datacenters().WriteFile("dc.json")
package dctest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/flood"
)

// What every cluster knows unless its scenario says otherwise.
const (
	BotToken   = "1:sim"
	Phone      = "+9996620001"
	Code       = "22222"
	EmailCode  = "555555" // proves an e-mail address
	BigChannel = "bigchannel"
)

// Config describes a cluster. The zero value is a small useful one. A scenario
// file is the same as JSON; docs/formats.md describes its fields.
type Config struct {
	Seed              uint64          `json:"seed"`    // 1 if 0; equal seeds make equal files and messages
	HomeDC            int             `json:"home_dc"` // 2 if 0
	DCs               []DCConfig      `json:"dcs"`
	Accounts          []AccountConfig `json:"accounts"`
	Channels          []ChannelConfig `json:"channels"`
	Flood             []FloodRule     `json:"flood"`
	Faults            []Fault         `json:"faults"`
	Network           []NetworkFault  `json:"network"`
	ReferenceLifetime Duration        `json:"reference_lifetime"` // of file references; 24h if 0
	SaltLifetime      Duration        `json:"salt_lifetime"`      // 30m if 0
	ClockSkew         Duration        `json:"clock_skew"`         // by how much the servers' clock is ahead of ours; in Go it may be negative
	RTT               Duration        `json:"rtt"`
	ConnBandwidth     int64           `json:"conn_bandwidth"` // bytes/s of a connection, each way; 0: no limit
	DCBandwidth       int64           `json:"dc_bandwidth"`   // bytes/s of a DC, each way; 0: no limit
	CodeLifetime      Duration        `json:"code_lifetime"`  // of login codes; 5m if 0
	CodeTimeout       Duration        `json:"code_timeout"`   // until a code may be asked for again; 60s if 0
	CodesPerDay       int             `json:"codes_per_day"`  // for one phone; 20 if 0
	UploadParts       int             `json:"upload_parts"`   // of one upload, at most, twice as many with Premium; 4000 if 0
	// LoginTokenLifetime is how long a QR code can be scanned; 30s if 0.
	LoginTokenLifetime Duration `json:"login_token_lifetime"`
	// TakeoutLifetime is how long an export session holds; 0: until it is finished.
	TakeoutLifetime Duration `json:"takeout_lifetime"`
	// AcceptOldHandshake also takes the forms of the key exchange that the
	// real servers have given up.
	AcceptOldHandshake bool `json:"accept_old_handshake"`
	// StrictEnvironment refuses clients that leave out the 10000 of test
	// servers when they name a DC: many can only be told addresses and keys.
	StrictEnvironment bool `json:"strict_environment"`

	StateDir string       `json:"-"` // keys, authorisations, uploads and what was sent survive in it; none if ""
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
	Name    string `json:"name"` // "Sim", or "Sim Bot", if ""
	DC      int    `json:"dc"`   // where it lives; the home DC if 0
	Premium bool   `json:"premium"`

	Password string `json:"password"` // two-step password; "": none
	Hint     string `json:"hint"`     // of the password
	// CodeType is how codes come: app (if ""), sms, call, flash_call,
	// missed_call, email, set_up_email, fragment, firebase, sms_word,
	// sms_phrase; or payment, to get none.
	CodeType string `json:"code_type"`
	// ResendTypes are how they come when asked for again, one after the other:
	// sms and call if nil. One of sms, call, flash_call, missed_call, fragment.
	ResendTypes []string `json:"resend_types"`
	// EmailResetAfter is how long it takes to give a login e-mail up. 0: it is
	// done at once.
	EmailResetAfter Duration `json:"email_reset_after"`
	Banned          bool     `json:"banned"` // PHONE_NUMBER_BANNED
	// ScanAfter makes the user scan the QR code of every client, this long
	// after it has shown the first one. 0: none.
	ScanAfter Duration `json:"scan_after"`
	// TakeoutDelay is how long the account has to wait with its first export
	// session after it was asked for. 0: not at all. TakeoutAllowAfter is when
	// the user consents to it, which ends the wait. 0: never.
	TakeoutDelay      Duration `json:"takeout_delay"`
	TakeoutAllowAfter Duration `json:"takeout_allow_after"`
}

// A ChannelConfig is a channel with messages, oldest first: the specials, then
// the files, mixed. All accounts are members and may post.
type ChannelConfig struct {
	Username string     `json:"username"` // "": private
	Title    string     `json:"title"`
	Files    []FileSpec `json:"files"`
	// Specials puts in front what archives must cope with: an album, hostile
	// file names, a deleted file, protected content, a service message, texts,
	// ids without a message, an empty file.
	Specials   bool `json:"specials"`
	NoForwards bool `json:"noforwards"` // all of it is protected content
	// Topics make it a supergroup with topics, by their titles, over which and
	// the General one the files are spread. The messages that began them come
	// between specials and files.
	Topics []string `json:"topics"`
	// Comments are what is written about the files' messages, in a private
	// group that comes into being with the channel: first the copies of those
	// messages, then the comments, mixed and spread over them.
	Comments []FileSpec `json:"comments"`
	Invite   string     `json:"invite"` // hash of its invite link; "": none
	// ClosedTopics are those of Topics in which nobody may write.
	ClosedTopics []string `json:"closed_topics"`
	// Forbidden is what members may not send: all, media, photos, videos, audios,
	// voices, docs. No account is an administrator then.
	Forbidden []string `json:"forbidden"`
	SlowMode  Duration `json:"slow_mode"` // between two messages, or albums, of an account
	// Events are what happens in it while the cluster runs.
	Events []Event `json:"events"`
	// How it stands in the accounts' lists of chats.
	Pinned   bool `json:"pinned"`
	Archived bool `json:"archived"`
	Unread   int  `json:"unread"`
}

// A FileSpec is a number of messages with files of one kind.
type FileSpec struct {
	Kind    string `json:"kind"` // photo, video, audio, voice, document, animation, round, sticker, text (no file)
	Count   int    `json:"count"`
	MinSize int64  `json:"min_size"` // bytes; photos and videos are as large as their format needs
	MaxSize int64  `json:"max_size"` // bytes; min_size if 0
	DC      int    `json:"dc"`       // the home DC if 0
	CDN     bool   `json:"cdn"`      // served behind a CDN redirect to clients that can follow
}

// Types of the flood rules, which have a package of their own.
type (
	// A FloodRule limits how often an account may call a method.
	FloodRule = flood.Rule
	// A Duration is a time.Duration written as "1m30s".
	Duration = flood.Duration
)

const defaultHome = 2

// withDefaults returns a copy with every default filled in.
func (c Config) withDefaults() Config {
	c.Seed = cmp.Or(c.Seed, 1)
	c.HomeDC = cmp.Or(c.HomeDC, defaultHome)
	if c.DCs == nil {
		c.DCs = []DCConfig{{ID: 1}, {ID: 2}, {ID: 4, MediaOnly: true}, {ID: 5}, {ID: 203, CDN: true}}
	}
	if c.Accounts == nil {
		c.Accounts = []AccountConfig{{Token: BotToken}, {Phone: Phone, Code: Code}}
	}
	if c.Channels == nil {
		c.Channels = []ChannelConfig{c.bigChannel()}
	}
	c.ReferenceLifetime = cmp.Or(c.ReferenceLifetime, Duration(24*time.Hour))
	c.CodeLifetime = cmp.Or(c.CodeLifetime, Duration(5*time.Minute))
	c.CodeTimeout = cmp.Or(c.CodeTimeout, Duration(time.Minute))
	c.CodesPerDay = cmp.Or(c.CodesPerDay, 20)
	c.UploadParts = cmp.Or(c.UploadParts, maxParts)
	c.LoginTokenLifetime = cmp.Or(c.LoginTokenLifetime, Duration(30*time.Second))
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:0")
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Accounts = slices.Clone(c.Accounts)
	for i := range c.Accounts {
		c.Accounts[i].setDefaults(c.HomeDC)
	}
	c.Channels = slices.Clone(c.Channels)
	for i := range c.Channels {
		c.Channels[i].Files = c.filesWithDefaults(c.Channels[i].Files)
		c.Channels[i].Comments = c.filesWithDefaults(c.Channels[i].Comments)
	}
	c.Faults = slices.Clone(c.Faults)
	for i := range c.Faults {
		c.Faults[i].Method = cmp.Or(c.Faults[i].Method, "upload.getFile")
	}
	return c
}

func (c *Config) filesWithDefaults(files []FileSpec) []FileSpec {
	files = slices.Clone(files)
	for j := range files {
		files[j].DC = cmp.Or(files[j].DC, c.HomeDC)
		files[j].MaxSize = cmp.Or(files[j].MaxSize, files[j].MinSize)
	}
	return files
}

func (a *AccountConfig) setDefaults(home int) {
	a.DC = cmp.Or(a.DC, home)
	a.CodeType = cmp.Or(a.CodeType, "app")
	if a.ResendTypes == nil {
		a.ResendTypes = []string{"sms", "call"}
	}
	name := "Sim"
	if a.Token != "" {
		name = "Sim Bot"
	}
	a.Name = cmp.Or(a.Name, name)
}

// bigChannel is the default channel: files of all kinds on all the DCs that
// there are, and some behind the CDN if there is one.
func (c *Config) bigChannel() ChannelConfig {
	ch := ChannelConfig{
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
	}
	for i := range ch.Files {
		f := &ch.Files[i]
		if !slices.ContainsFunc(c.DCs, func(dc DCConfig) bool { return dc.ID == f.DC && !dc.CDN }) {
			f.DC = c.HomeDC
		}
		f.CDN = f.CDN && slices.ContainsFunc(c.DCs, func(dc DCConfig) bool { return dc.CDN })
	}
	return ch
}

// Bounds that keep numbers of messages and file ids apart.
const (
	maxDCID     = 999
	maxChannels = 1 << 10 // the groups that comments are in included
	maxTopics   = 1000
	maxMessages = 1 << 30
	maxFileSize = 4000 << 20
)

// ErrConfig is wrapped by errors about a Config or a scenario that makes no sense.
var ErrConfig = errors.New("dctest: invalid scenario")

// check reports the first thing wrong with a Config that has its defaults.
func (c *Config) check() error {
	plain, cdn, err := c.checkDCs()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.Channels) > maxChannels/2 {
		return fmt.Errorf("%w: %d channels, want %d at most", ErrConfig, len(c.Channels), maxChannels/2)
	}
	checks := [][]func() error{
		each(c.Accounts, "accounts", func(a *AccountConfig) error { return a.check(plain) }),
		each(c.Channels, "channels", func(ch *ChannelConfig) error { return ch.check(plain, cdn) }),
		each(c.Flood, "flood", (*FloodRule).Check),
		each(c.Faults, "faults", (*Fault).check),
		each(c.Network, "network", (*NetworkFault).check),
	}
	for _, check := range slices.Concat(checks...) {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	if c.UploadParts < 0 {
		return fmt.Errorf("%w: upload_parts is %d", ErrConfig, c.UploadParts)
	}
	if c.CodesPerDay < 0 {
		return fmt.Errorf("%w: codes_per_day is %d", ErrConfig, c.CodesPerDay)
	}
	if c.ConnBandwidth < 0 || c.DCBandwidth < 0 {
		return fmt.Errorf("%w: a bandwidth is negative", ErrConfig)
	}
	return c.checkNames()
}

// each makes a check of each item, with errors that name its place.
func each[T any](list []T, name string, check func(*T) error) (checks []func() error) {
	for i := range list {
		checks = append(checks, func() error {
			if err := check(&list[i]); err != nil {
				return fmt.Errorf("%s[%d]: %w", name, i, err)
			}
			return nil
		})
	}
	return checks
}

// checkDCs returns which DCs hold accounts and files, and whether there is a CDN DC.
func (c *Config) checkDCs() (plain map[int]bool, cdn bool, err error) {
	plain = map[int]bool{}
	for i, dc := range c.DCs {
		if _, twice := plain[dc.ID]; twice {
			return nil, false, fmt.Errorf("dcs[%d]: id %d is there twice", i, dc.ID)
		}
		if dc.ID < 1 || dc.ID > maxDCID {
			return nil, false, fmt.Errorf("dcs[%d]: id %d is not in 1..%d", i, dc.ID, maxDCID)
		}
		if dc.CDN && dc.MediaOnly {
			return nil, false, fmt.Errorf("dcs[%d]: a CDN DC has no media-only endpoint", i)
		}
		plain[dc.ID] = !dc.CDN
		cdn = cdn || dc.CDN
	}
	if !plain[c.HomeDC] {
		return nil, false, fmt.Errorf("home_dc %d is not an ordinary one of dcs", c.HomeDC)
	}
	return plain, cdn, nil
}

func (a *AccountConfig) check(dcs map[int]bool) error {
	switch {
	case a.Token == "" && a.Phone == "" || a.Token != "" && a.Phone != "":
		return errors.New("want either a token or a phone")
	case !dcs[a.DC]:
		return fmt.Errorf("dc %d is not an ordinary one of dcs", a.DC)
	case a.Token != "" && (a.Password != "" || a.Banned || a.ScanAfter != 0 || a.TakeoutDelay != 0):
		return errors.New("password, banned, scan_after and takeout_delay are for users, by phone")
	case a.TakeoutAllowAfter != 0 && a.TakeoutDelay == 0:
		return errors.New("takeout_allow_after without a takeout_delay")
	case a.Hint != "" && a.Password == "":
		return errors.New("a hint without a password")
	}
	return a.checkCode()
}

func (ch *ChannelConfig) check(dcs map[int]bool, cdn bool) error {
	if ch.Username != "" && !validUsername(ch.Username) {
		return fmt.Errorf("username %q is none", ch.Username)
	}
	for _, title := range ch.ClosedTopics {
		if !slices.Contains(ch.Topics, title) {
			return fmt.Errorf("closed_topics: there is no topic %q", title)
		}
	}
	for _, right := range ch.Forbidden {
		if sendRights[right] == "" {
			return fmt.Errorf("forbidden: %q is nothing that can be", right)
		}
	}
	if len(ch.Topics) > maxTopics {
		return fmt.Errorf("%d topics, want %d at most", len(ch.Topics), maxTopics)
	}
	for i := range ch.Events {
		if err := ch.Events[i].check(dcs); err != nil {
			return fmt.Errorf("events[%d]: %w", i, err)
		}
	}
	posts, err := checkFiles("files", ch.Files, dcs, cdn)
	if err != nil {
		return err
	}
	comments, err := checkFiles("comments", ch.Comments, dcs, cdn)
	switch {
	case err != nil:
		return err
	case len(ch.Comments) > 0 && (posts == 0 || len(ch.Topics) > 0 || comments > maxMessages-posts):
		return errors.New("comments are for channels that have files, not for groups with topics")
	}
	return nil
}

// checkFiles checks a list of files, and counts their messages.
func checkFiles(list string, files []FileSpec, dcs map[int]bool, cdn bool) (total int, err error) {
	for i, f := range files {
		_, known := kinds[f.Kind]
		switch {
		case !known && f.Kind != textKind:
			err = fmt.Errorf("%s[%d]: unknown kind %q", list, i, f.Kind)
		case f.Count < 0 || f.Count > maxMessages-total:
			err = fmt.Errorf("%s[%d]: count %d is not in 0..%d", list, i, f.Count, maxMessages-total)
		case f.MinSize < 0 || f.MaxSize < f.MinSize || f.MaxSize > maxFileSize:
			err = fmt.Errorf("%s[%d]: sizes %d to %d, want 0 <= min_size <= max_size <= %d", list, i, f.MinSize, f.MaxSize, int64(maxFileSize))
		case !dcs[f.DC]:
			err = fmt.Errorf("%s[%d]: dc %d is not an ordinary one of dcs", list, i, f.DC)
		case f.CDN && !cdn:
			err = fmt.Errorf("%s[%d]: cdn, but none of dcs is a CDN DC", list, i)
		}
		if err != nil {
			return 0, err
		}
		total += f.Count
	}
	return total, nil
}

// checkNames makes sure that no two accounts or channels go by the same name.
func (c *Config) checkNames() error {
	seen, ids := map[string]bool{}, map[int64]bool{}
	for i, a := range c.Accounts {
		if ids[a.id(i)] && !seen[a.Token] {
			return fmt.Errorf("%w: two bots have the id %d in their tokens", ErrConfig, a.id(i))
		}
		ids[a.id(i)] = true
		name := cmp.Or(a.Token, digits(a.Phone))
		if seen[name] {
			return fmt.Errorf("%w: two accounts have the token or phone of one", ErrConfig)
		}
		seen[name] = true
	}
	for _, ch := range c.Channels {
		name := "@" + strings.ToLower(ch.Username)
		if ch.Username != "" && seen[name] {
			return fmt.Errorf("%w: two channels are called %s", ErrConfig, ch.Username)
		}
		seen[name] = true
	}
	return nil
}

// validUsername applies the rules for names: letters, digits and underscores,
// a letter first, no underscore last and no two in a row.
func validUsername(name string) bool {
	if name == "" || len(name) > 32 || strings.HasSuffix(name, "_") || strings.Contains(name, "__") {
		return false
	}
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}
