package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/vault"
)

// backupVariable gives the passphrase of a backup, which is another one than
// that of the store.
const backupVariable = "HAUL_BACKUP_PASSPHRASE"

func accountsExportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a backup of an account's session", ArgsUsage: "FILE", OnUsageError: usageError,
		Description: "The backup has the auth keys and the known chats, sealed with a passphrase of its own, which is asked for or is\n" +
			"HAUL_BACKUP_PASSPHRASE; not the jobs. An existing file is not overwritten. Restore it only when the original is\n" +
			"gone: Telegram destroys a session that it sees in two places.\n\n" +
			"Example:\n   haul accounts export account.backup\n   haul -n work accounts export work.backup",
		Action: exportAccount,
	}
}

func accountsImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "restore an account's session from a backup", ArgsUsage: "FILE", OnUsageError: usageError,
		Description: "Reads what haul accounts export has written, into an account that nobody is signed in with. Sessions of other\n" +
			"clients are for haul login -T import.\n\nExample:\n   haul -n work accounts import work.backup",
		Flags:  []cli.Flag{sealFlag()},
		Action: importAccount,
	}
}

// twoPlaces warns of the one thing that ends a copied session.
const twoPlaces = "haul: use it in one place only: Telegram ends a session that it sees in two (AUTH_KEY_DUPLICATED)\n"

func exportAccount(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("export into which file?")
	}
	path := c.Args().First()
	return withStore(c, func(a *account) error {
		s, err := a.vault.Load()
		switch {
		case err != nil:
			return err
		case s == nil || s.User == nil:
			return errNoSession
		}
		passphrase, err := newSecret(c, backupVariable, "passphrase of the backup")
		if err != nil {
			return err
		}
		err = vault.WriteBackup(path, s, passphrase)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already, and was not touched", path)
		}
		if err != nil || c.Bool("quiet") || c.Bool("json") {
			return err
		}
		_, _ = fmt.Fprint(c.App.ErrWriter, twoPlaces)
		_, err = fmt.Fprintf(c.App.Writer, "%s has the session of user %d\n", path, s.User.ID)
		return err
	})
}

func importAccount(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("import which file?")
	}
	path := c.Args().First()
	return inStore(c, makeStore, func(a *account) error {
		if err := a.vacant(); err != nil {
			return err
		}
		s, err := vault.ReadBackup(path, func() (string, error) {
			return secret(c, backupVariable, "Passphrase of the backup: ")
		})
		if err != nil {
			return err
		}
		if err := a.chooseSeal(c); err != nil {
			return err
		}
		if err := a.vault.Save(s); err != nil {
			return err
		}
		if c.Bool("quiet") || c.Bool("json") {
			return nil
		}
		_, _ = fmt.Fprint(c.App.ErrWriter, twoPlaces)
		if s.User == nil {
			return nil // of no account that signed in
		}
		_, err = fmt.Fprintf(c.App.Writer, "user %d is signed in again, if Telegram still knows the session: haul ls @name shows\n", s.User.ID)
		return err
	})
}
