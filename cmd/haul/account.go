package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// An account is one account's place in the store, opened and locked, with a
// connection to Telegram.
type account struct {
	name   string
	store  *checkpoint.Store
	vault  *vault.Vault
	client *telegram.Client      // nil while not connected
	lost   atomic.Pointer[error] // why Telegram has ended the takeout session
	log    *slog.Logger
	closes []func()
	// touched is told by updates where something has happened.
	touched follow.Touched
}

var accountName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func storeDir(c *cli.Context) (string, error) {
	if dir := c.String("store"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no place for the store: %w; name one with --store", err)
	}
	return filepath.Join(dir, "haul"), nil
}

// At test servers of one's own nobody checks the app; elsewhere it must be the user's own.
const (
	testAppID   = 1
	testAppHash = "00000000000000000000000000000000"
)

// openAccount opens the account that the flags name, and connects.
func openAccount(c *cli.Context) (*account, error) {
	cfg, err := clientConfig(c)
	if err != nil {
		return nil, err
	}
	a, err := openStore(c)
	if err != nil {
		return nil, err
	}
	if err := a.dial(c.Context, cfg); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// clientConfig is how the flags say to connect, but for what the account has.
func clientConfig(c *cli.Context) (telegram.Config, error) {
	var cfg telegram.Config
	if err := network(c, &cfg); err != nil {
		return cfg, err
	}
	cfg.AppID, cfg.AppHash = c.Int("app-id"), c.String("app-hash")
	if cfg.AppID == 0 && cfg.Datacenters.Test && c.String("datacenters") != "" {
		cfg.AppID, cfg.AppHash = testAppID, testAppHash
	}
	if cfg.AppID <= 0 || cfg.AppHash == "" {
		return cfg, usagef("an app id and hash of your own are needed: sign in at https://my.telegram.org, choose " +
			"\"API development tools\", make an app, and set HAUL_APP_ID and HAUL_APP_HASH (or --app-id and --app-hash) to what it shows")
	}
	cfg.PFS, cfg.AppVersion, cfg.MaxFloodWait = c.Bool("pfs"), version, maxFlood(c)
	cfg.OnFloodWait = func(method string, dc int, wait time.Duration) {
		if !c.Bool("json") && !c.Bool("quiet") {
			_, _ = fmt.Fprintf(c.App.ErrWriter, "Telegram asked to wait %v (%s at DC %d)\n", wait.Round(time.Second), method, dc)
		}
	}
	return cfg, nil
}

// openStore opens the account that the flags name, without connecting. One that
// is named has to be there: a misspelt name makes no folder.
func openStore(c *cli.Context) (*account, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	name, err := chosenAccount(c, dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "accounts", name)); c.String("account") != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no account %s in %s: %w", name, dir, telegram.ErrNotLoggedIn)
	}
	return openNamed(c, dir, name)
}

// makeStore is openStore for who signs in: it makes the account's place if
// there is none.
func makeStore(c *cli.Context) (*account, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	name, err := chosenAccount(c, dir)
	if err != nil {
		return nil, err
	}
	return openNamed(c, dir, name)
}

// openNamed opens an account of the store, without connecting.
func openNamed(c *cli.Context, store, name string) (*account, error) {
	log, closeLog, err := logger(c)
	if err != nil {
		return nil, err
	}
	a := &account{name: name, log: log, closes: []func(){closeLog}}
	if err := a.open(c, filepath.Join(store, "accounts", name)); err != nil {
		a.close()
		return nil, err
	}
	if path, why := a.store.SetAside(); path != "" && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: %v\nhaul: it was set aside as %s; what is on disk will be looked through instead\n", why, path)
	}
	return a, nil
}

const (
	chosenFile     = "account" // in the store: the account that accounts use has chosen
	defaultAccount = "default"
)

// chosenAccount is the account to use: that of the flags, or else the chosen one.
func chosenAccount(c *cli.Context, store string) (string, error) {
	name, from := c.String("account"), "--account"
	if name == "" {
		b, err := os.ReadFile(filepath.Join(store, chosenFile))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return defaultAccount, nil
		case err != nil:
			return "", err
		}
		name, from = strings.TrimSpace(string(b)), filepath.Join(store, chosenFile)
	}
	if !accountName.MatchString(name) {
		return "", usagef("%s %q: use letters, digits, - and _", from, name)
	}
	return name, nil
}

// dial connects the account, anew if it is connected.
func (a *account) dial(ctx context.Context, cfg telegram.Config) error {
	a.hangUp()
	cfg.Session, cfg.Log, cfg.OnTakeoutLost = a.vault, a.log, a.takeoutLost
	cfg.OnTouched = a.touched.Signal
	client, err := telegram.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	a.client = client
	return nil
}

// dialAnew is dial, also when the server has ended the login: the key of that
// one is forgotten by the first try.
func (a *account) dialAnew(ctx context.Context, cfg telegram.Config) error {
	err := a.dial(ctx, cfg)
	if errors.Is(err, telegram.ErrLoggedOut) || errors.Is(err, mtproto.ErrKeyUnknown) {
		return a.dial(ctx, cfg)
	}
	return err
}

// connect dials, and fails unless somebody is signed in.
func (a *account) connect(ctx context.Context, cfg telegram.Config) error {
	if err := a.dial(ctx, cfg); err != nil {
		return err
	}
	return a.signedIn()
}

func (a *account) hangUp() {
	if a.client != nil {
		_ = a.client.Close()
		a.client = nil
	}
}

// maxFlood is the longest flood wait that is waited out.
func maxFlood(c *cli.Context) time.Duration {
	if d := c.Duration("max-wait"); d > 0 {
		return d
	}
	return 24 * time.Hour
}

func (a *account) open(c *cli.Context, dir string) error {
	var err error
	if a.vault, err = prepareVault(c, dir); err != nil {
		return err
	}
	a.store, err = checkpoint.Open(filepath.Join(dir, "checkpoint"), checkpoint.Options{})
	return err
}

// signedIn fails unless somebody is.
func (a *account) signedIn() error { return a.client.CheckLogin() }

func (a *account) close() {
	a.hangUp()
	if a.store != nil {
		_ = a.store.Close()
	}
	for _, f := range a.closes {
		f()
	}
	a.store, a.closes = nil, nil
}

// withAccount runs f with the account of the flags, signed in.
func withAccount(c *cli.Context, f func(ctx context.Context, a *account) error) error {
	if err := applyCommandConfig(c); err != nil {
		return err
	}
	a, err := openAccount(c)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.signedIn(); err != nil {
		return err
	}
	return f(c.Context, a)
}
