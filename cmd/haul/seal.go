package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/vault"
)

// passphraseVariable gives the passphrase that a session is sealed with, to
// who runs haul without a terminal.
const passphraseVariable = "HAUL_PASSPHRASE"

// sealText is what the help of login says of sealing.
const sealText = "The auth keys are kept sealed. --seal says where the key of the seal comes from: file (the default) keeps it in a\n" +
	"file beside them, which works unattended and protects from nobody who can read your files; keyring asks the\n" +
	"keyring of the system; passphrase needs HAUL_PASSPHRASE, or a person at a terminal, at each start.\n\n"

func sealFlag() cli.Flag {
	return stringFlag("seal", "", "keep the auth keys sealed by `WAY`: file, keyring or passphrase (default: as they are, or file)")
}

func parseWay(s string) (vault.Way, error) {
	for _, w := range vault.Ways() {
		if s == string(w) {
			return w, nil
		}
	}
	return "", usagef("%q is no way to seal: want file, keyring or passphrase", s)
}

// prepareVault opens the vault in an account's folder, STORE/accounts/NAME. It
// refuses a store that others can change, and gives the vault somebody to ask.
func prepareVault(c *cli.Context, dir string) (*vault.Vault, error) {
	for _, folder := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir)} {
		if err := vault.CheckFolder(folder); err != nil {
			return nil, err
		}
	}
	v, err := vault.Open(dir)
	if err != nil {
		return nil, err
	}
	v.Passphrase = func() (string, error) {
		return secret(c, passphraseVariable, fmt.Sprintf("Passphrase of account %s: ", filepath.Base(dir)))
	}
	return v, nil
}

// chooseSeal seals the account's keys as --seal of a login says. Without it
// they stay as they are.
func (a *account) chooseSeal(c *cli.Context) error {
	if c.String("seal") == "" {
		return nil
	}
	way, err := parseWay(c.String("seal"))
	if err != nil {
		return err
	}
	if now, err := a.vault.Way(); err != nil || now == way {
		return err
	}
	return a.vault.Seal(way, func() (string, error) { return newSecret(c, passphraseVariable, "passphrase") })
}

func accountsSealCommand() *cli.Command {
	return &cli.Command{
		Name: "seal", Usage: "change how the auth keys of an account are sealed", ArgsUsage: "file|keyring|passphrase", OnUsageError: usageError,
		Description: sealText +
			"With a passphrase already, seal passphrase changes it: HAUL_PASSPHRASE is the present one, HAUL_NEW_PASSPHRASE the\n" +
			"one from now on; without them both are asked for.\n\n" +
			"Example:\n   haul accounts seal keyring\n   haul -n work accounts seal passphrase",
		Action: sealAccount,
	}
}

func sealAccount(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("sealed by what? file, keyring or passphrase")
	}
	way, err := parseWay(c.Args().First())
	if err != nil {
		return err
	}
	return withStore(c, func(a *account) error {
		now, err := a.vault.Way()
		switch {
		case err != nil:
			return err
		case now == "":
			return errNoSession
		}
		if _, err := a.vault.Load(); err != nil { // asks for the present passphrase before the next one
			return err
		}
		variable := passphraseVariable
		if now == vault.Passphrase {
			variable = "HAUL_NEW_PASSPHRASE"
		}
		if err := a.vault.Seal(way, func() (string, error) { return newSecret(c, variable, "passphrase") }); err != nil {
			return err
		}
		if c.Bool("quiet") || c.Bool("json") {
			return nil
		}
		_, err = fmt.Fprintf(c.App.Writer, "sealed by %s\n", way)
		return err
	})
}

// errNoSession: the account has nothing that could be sealed or backed up.
var errNoSession = errors.New("there is no session in this account")

// vaultHint is what may be done about an error of a vault, "" of another one.
func vaultHint(err error) string {
	switch {
	case errors.Is(err, vault.ErrPassphrase) && os.Getenv(passphraseVariable) != "":
		return passphraseVariable + " is set; it gave the passphrase"
	case errors.Is(err, vault.ErrKeyring):
		return "where there is none, haul login --seal file or --seal passphrase keeps the keys without it"
	case errors.Is(err, vault.ErrKey):
		return "without it the session cannot be opened: haul accounts import restores a backup; else remove the file session and sign in again"
	case errors.Is(err, vault.ErrNewer):
		return "use the newer haul, or another account with -n"
	default:
		return ""
	}
}
