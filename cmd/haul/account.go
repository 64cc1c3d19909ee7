package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/telegram"
)

// An account is one account's place in the store, opened and locked, with a
// connection to Telegram.
type account struct {
	store  *checkpoint.Store
	vault  *vault.Vault
	client *telegram.Client // nil while not connected
	log    *slog.Logger
	closes []func()
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

// Of a test environment nobody checks the app; elsewhere it must be the user's own.
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
	if c.String("datacenters") == "" {
		return telegram.Config{}, telegram.ErrNoDatacenters
	}
	datacenters, err := telegram.LoadDatacenters(c.String("datacenters"))
	if err != nil {
		return telegram.Config{}, usagef("%w", err)
	}
	appID, appHash := c.Int("app-id"), c.String("app-hash")
	if datacenters.Test && appID == 0 {
		appID, appHash = testAppID, testAppHash
	}
	if appID <= 0 || appHash == "" {
		return telegram.Config{}, usagef("an app id and hash of your own are needed: get them at my.telegram.org, " +
			"\"API development tools\", and set HAUL_APP_ID and HAUL_APP_HASH")
	}
	return telegram.Config{
		AppID: appID, AppHash: appHash, Datacenters: datacenters, PFS: c.Bool("pfs"), AppVersion: version, MaxFloodWait: maxFlood(c),
		OnFloodWait: func(method string, dc int, wait time.Duration) {
			if !c.Bool("json") && !c.Bool("quiet") {
				_, _ = fmt.Fprintf(c.App.ErrWriter, "Telegram asked to wait %v (%s at DC %d)\n", wait.Round(time.Second), method, dc)
			}
		},
	}, nil
}

// openStore opens the account that the flags name, without connecting.
func openStore(c *cli.Context) (*account, error) {
	name := c.String("account")
	if !accountName.MatchString(name) {
		return nil, usagef("--account %q: use letters, digits, - and _", name)
	}
	log, closeLog, err := logger(c)
	if err != nil {
		return nil, err
	}
	a := &account{log: log, closes: []func(){closeLog}}
	dir, err := storeDir(c)
	if err == nil {
		err = a.open(c, filepath.Join(dir, "accounts", name))
	}
	if err != nil {
		a.close()
		return nil, err
	}
	if path, why := a.store.SetAside(); path != "" && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: %v\nhaul: it was set aside as %s; what is on disk will be looked through instead\n", why, path)
	}
	return a, nil
}

// dial connects the account, anew if it is connected.
func (a *account) dial(ctx context.Context, cfg telegram.Config) error {
	a.hangUp()
	cfg.Session, cfg.Log = a.vault, a.log
	client, err := telegram.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	a.client = client
	return nil
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
func (a *account) signedIn() error {
	if !a.client.LoggedIn() {
		return telegram.ErrNotLoggedIn
	}
	return nil
}

func (a *account) close() {
	a.hangUp()
	if a.store != nil {
		_ = a.store.Close()
	}
	for _, f := range a.closes {
		f()
	}
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

func loginCommand() *cli.Command {
	return &cli.Command{
		Name: "login", Usage: "sign in", OnUsageError: usageError,
		Description: "Signs in with the token of a bot. Other ways to sign in come later.\n\n" + importText + sealText + "Example:\n" +
			"   haul --datacenters dc.json login -T bot --token 1:sim" + importExamples,
		ArgsUsage: "[SESSION]",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "type", Aliases: []string{"T"}, Value: "bot", Usage: "how to sign in: bot or import", EnvVars: []string{"HAUL_LOGIN_TYPE"}},
			&cli.StringFlag{Name: "token", Usage: "token of the bot, from @BotFather", EnvVars: []string{"HAUL_TOKEN"}},
			sealFlag(),
		}, importFlags()...),
		Action: func(c *cli.Context) error {
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			switch {
			case c.String("type") == "import":
				return loginImport(c)
			case c.String("type") != "bot":
				return usagef("-T %s: want bot or import", c.String("type"))
			case c.String("token") == "":
				return usagef("--token or HAUL_TOKEN is needed")
			}
			a, err := openAccount(c)
			if err != nil {
				return err
			}
			defer a.close()
			if err := a.chooseSeal(c); err != nil {
				return err
			}
			user, err := a.client.LoginBot(c.Context, c.String("token"))
			if err != nil {
				return err
			}
			if !c.Bool("quiet") && !c.Bool("json") {
				_, err = fmt.Fprintf(c.App.Writer, "signed in as @%s (bot %d)\n", user.Username, user.ID)
			}
			return err
		},
	}
}

func accountsCommand() *cli.Command {
	return &cli.Command{
		Name: "accounts", Usage: "list the accounts of the store", OnUsageError: usageError,
		Description: "Example:\n   haul accounts\n   haul accounts export account.backup",
		Subcommands: []*cli.Command{accountsExportCommand(), accountsImportCommand(), accountsSealCommand()},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("haul accounts %s: export, import and seal are possible", c.Args().First())
			}
			dir, err := storeDir(c)
			if err != nil {
				return err
			}
			entries, err := os.ReadDir(filepath.Join(dir, "accounts"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			for _, e := range entries {
				if err := showAccount(c, filepath.Join(dir, "accounts", e.Name()), e.Name()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func showAccount(c *cli.Context, dir, name string) error {
	v, err := vault.Open(dir)
	if err != nil {
		return err
	}
	s, err := v.Load()
	state := "not signed in"
	if errors.Is(err, vault.ErrLocked) { // nobody is asked only to see a list
		state, err = sealName(vault.Passphrase), nil
	}
	if err != nil {
		return err
	}
	if s != nil && s.User != nil {
		state = fmt.Sprintf("%d @%s, home DC %d", s.User.ID, s.User.Username, s.HomeDC)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s\t%s\n", name, state)
	return err
}
