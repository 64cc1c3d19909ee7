package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/telegram"
)

func accountsCommand() *cli.Command {
	return &cli.Command{
		Name: "accounts", Usage: "list the accounts of the store", OnUsageError: usageError,
		Description: "Each account has a folder of its own in the store, with its keys, its jobs and its lock. -n NAME names the\n" +
			"one to use; haul accounts use NAME chooses it for when none is named.\n\n" +
			"Example:\n   haul accounts\n   haul accounts use work\n   haul accounts remove old\n" +
			"   haul accounts export account.backup",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("haul accounts %s: use, remove, export, import and seal are possible", c.Args().First())
			}
			return listAccounts(c)
		},
		Subcommands: []*cli.Command{
			{
				Name: "use", Usage: "choose the account for when none is named", ArgsUsage: "NAME", OnUsageError: usageError,
				Description: "Example:\n   haul accounts use work", Action: useAccount,
			},
			{
				Name: "remove", Usage: "delete an account's folder: keys, jobs, all", ArgsUsage: "NAME", OnUsageError: usageError,
				Description: "Files that were downloaded stay. An account that is signed in is to be logged out first: with --force its\n" +
					"login is left to the server, where another device can end it.\n\nExample:\n   haul accounts remove old",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "also if it is signed in"}},
				Action: removeAccount,
			},
			accountsExportCommand(), accountsImportCommand(), accountsSealCommand(),
		},
	}
}

func logoutCommand() *cli.Command {
	return &cli.Command{
		Name: "logout", Usage: "end the login, on the server and on disk", OnUsageError: usageError,
		Description: "The auth keys are destroyed. Jobs and what was downloaded stay. What also stays, sealed, is a token that spares\n" +
			"this account the code of its next login from here; haul accounts remove deletes that too.\n\nExample:\n   haul logout -n work",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 { // the account that is meant may not be the one that is chosen
				return usagef("haul logout takes no arguments: -n NAME names the account")
			}
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			return logout(c)
		},
	}
}

func logout(c *cli.Context) error {
	cfg, err := clientConfig(c)
	if err != nil {
		return err
	}
	a, err := openStore(c)
	if err != nil {
		return err
	}
	defer a.close()
	s, err := a.vault.Load()
	switch {
	case err != nil:
		return err
	case s == nil || s.User == nil:
		return fmt.Errorf("account %s: %w", a.name, telegram.ErrNotLoggedIn)
	}
	if err := a.dialAnew(c.Context, cfg); err != nil {
		return fmt.Errorf("the server was not told, so nothing was deleted: %w", err)
	}
	if err := a.client.LogOut(c.Context); err != nil {
		return err
	}
	switch {
	case c.Bool("json"):
		return json.NewEncoder(c.App.Writer).Encode(struct {
			Event   string    `json:"event"`
			Time    time.Time `json:"time"`
			Account string    `json:"account"`
		}{"logged_out", time.Now(), a.name})
	case !c.Bool("quiet"):
		_, err = fmt.Fprintf(c.App.Writer, "%s is logged out\n", describe(s.User))
	}
	return err
}

func whoamiCommand() *cli.Command {
	return &cli.Command{
		Name: "whoami", Usage: "ask Telegram who is signed in", OnUsageError: usageError,
		Description: "Example:\n   haul whoami",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("haul whoami takes no arguments: -n NAME names the account")
			}
			return withAccount(c, func(ctx context.Context, a *account) error {
				user, err := a.client.Self(ctx)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return json.NewEncoder(c.App.Writer).Encode(a.who(user, a.client.HomeDC()))
				}
				_, err = fmt.Fprintf(c.App.Writer, "%s, home DC %d\n", describe(user), a.client.HomeDC())
				return err
			})
		},
	}
}

// An accountRow is what is known of an account without asking Telegram.
type accountRow struct {
	Account  string `json:"account"`
	Chosen   bool   `json:"chosen"`
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	Phone    string `json:"phone,omitempty"` // masked
	Bot      bool   `json:"bot,omitempty"`
	Premium  bool   `json:"premium,omitempty"`
	HomeDC   int    `json:"home_dc,omitempty"`
	State    string `json:"state"`
}

func listAccounts(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	chosen, err := chosenAccount(c, dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "accounts"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var rows []accountRow
	for _, e := range entries {
		if e.IsDir() && accountName.MatchString(e.Name()) {
			row := readAccount(filepath.Join(dir, "accounts", e.Name()))
			row.Account, row.Chosen = e.Name(), e.Name() == chosen
			rows = append(rows, row)
		}
	}
	if c.Bool("json") {
		enc := json.NewEncoder(c.App.Writer)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	return printAccounts(c, rows)
}

// A neighbour is a user who is signed in in another account of the store.
type neighbour struct {
	account string
	user    *telegram.User
}

// others are the users that are signed in beside the account, at the same
// Telegram. Accounts that cannot be read without asking somebody are left out.
func (a *account) others(c *cli.Context) (list []neighbour, err error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	own, err := a.vault.Load()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "accounts"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == a.name || !accountName.MatchString(e.Name()) {
			continue
		}
		v, err := vault.Open(filepath.Join(dir, "accounts", e.Name()))
		if err != nil {
			continue
		}
		s, err := v.Load()
		if err != nil || s == nil || s.User == nil || s.User.Bot || !s.DCs[s.HomeDC].Authorized || own != nil && own.Test != s.Test {
			continue
		}
		list = append(list, neighbour{e.Name(), s.User})
	}
	return list, nil
}

// States of an account in the list.
const (
	stateIn      = "signed in"
	stateOut     = "not signed in"
	stateEnded   = "login ended by Telegram"
	statePending = "login begun"
	stateLocked  = "sealed with a passphrase"
)

// readAccount reads the session of an account. One that cannot be read says so
// as its state, and keeps no other from being listed.
func readAccount(dir string) accountRow {
	v, err := vault.Open(dir)
	if err != nil {
		return accountRow{State: err.Error()}
	}
	s, err := v.Load()
	switch {
	case errors.Is(err, vault.ErrLocked): // nobody is asked only to see a list
		return accountRow{State: stateLocked}
	case err != nil:
		return accountRow{State: err.Error()}
	case s == nil:
		return accountRow{State: stateOut}
	case s.User == nil && s.Pending != nil:
		return accountRow{State: statePending, Phone: maskPhone(s.Pending.Phone)}
	case s.User == nil:
		return accountRow{State: stateOut}
	}
	row := accountRow{
		ID: fmt.Sprint(s.User.ID), Name: s.User.Name, Username: s.User.Username, Phone: maskPhone(s.User.Phone),
		Bot: s.User.Bot, Premium: s.User.Premium, HomeDC: s.HomeDC, State: stateIn,
	}
	if !s.DCs[s.HomeDC].Authorized {
		row.State = stateEnded
	}
	return row
}

func printAccounts(c *cli.Context, rows []accountRow) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(c.App.Writer, "no accounts; haul login makes one")
		return err
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tACCOUNT\tWHO\tID\tPHONE\tKIND\tSTATE")
	for _, r := range rows {
		mark, who, kind, state := "", r.Name, "", r.State
		if r.Chosen {
			mark = "*"
		}
		if r.Username != "" {
			who = strings.TrimSpace(who + " @" + r.Username)
		}
		switch {
		case r.Bot:
			kind = "bot"
		case r.Premium:
			kind = "user, Premium"
		case r.ID != "":
			kind = "user"
		}
		if r.HomeDC != 0 {
			state += fmt.Sprintf(", home DC %d", r.HomeDC)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, r.Account, printable(who), r.ID, r.Phone, kind, state)
	}
	return w.Flush()
}

// namedAccount is the argument of accounts use and accounts remove: an account
// that exists.
func namedAccount(c *cli.Context) (store, name string, err error) {
	if c.NArg() != 1 {
		return "", "", usagef("which account? haul accounts lists them")
	}
	if store, err = storeDir(c); err != nil {
		return "", "", err
	}
	name = c.Args().First()
	if fi, err := os.Stat(filepath.Join(store, "accounts", name)); !accountName.MatchString(name) || err != nil || !fi.IsDir() {
		return "", "", usagef("there is no account %q; haul accounts lists them", name)
	}
	return store, name, nil
}

func useAccount(c *cli.Context) error {
	store, name, err := namedAccount(c)
	if err != nil {
		return err
	}
	path := filepath.Join(store, chosenFile)
	if err := os.WriteFile(path+".new", []byte(name+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func removeAccount(c *cli.Context) error {
	store, name, err := namedAccount(c)
	if err != nil {
		return err
	}
	a, err := openNamed(c, store, name) // and so nobody else has it open
	if err != nil {
		return err
	}
	defer a.close()
	if !c.Bool("force") {
		s, err := a.vault.Load()
		switch {
		case err != nil:
			return fmt.Errorf("%w; --force removes it anyway", err)
		case s != nil && s.User != nil && s.DCs[s.HomeDC].Authorized:
			return usagef("account %s is signed in: haul logout -n %s first, or --force to leave that login to the server", name, name)
		}
	}
	if err := a.vault.Remove(); err != nil && !c.Bool("force") {
		return fmt.Errorf("%w; --force removes the rest anyway", err)
	}
	a.close()
	if err := os.RemoveAll(filepath.Join(store, "accounts", name)); err != nil {
		return err
	}
	if b, err := os.ReadFile(filepath.Join(store, chosenFile)); err == nil && strings.TrimSpace(string(b)) == name {
		return os.Remove(filepath.Join(store, chosenFile))
	}
	return nil
}
