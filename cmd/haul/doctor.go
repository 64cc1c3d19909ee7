package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/cmd/haul/internal/doctor"
	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/telegram"
)

// Bounds of what haul doctor waits for. Both are waited for at the same time.
const (
	probeTime = 6 * time.Second
	askTime   = 9 * time.Second
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check everything that a transfer needs, and say what to do", OnUsageError: usageError,
		Description: "Looks at the store's permissions, the lock, free space, the configuration file, the login, auth keys and\n" +
			"temporary ones, the account's tier, the clock, the proxy, every data center by address and transport with its\n" +
			"round trip, and the limits that were learned. Nothing is changed, nobody is asked, and it takes some seconds\n" +
			"at most, also without network. Each line begins with ok, note, wrong or skipped; below what is wrong stands what\n" +
			"to do. The exit code is 0 only if nothing is wrong: then a transfer can begin.\n\n" +
			"Example:\n   haul doctor\n   haul doctor --json -n work",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("haul doctor takes no arguments")
			}
			return diagnose(c)
		},
	}
}

// An examination is what haul doctor has in hand.
type examination struct {
	c      *cli.Context
	print  *doctor.Printer
	cfg    telegram.Config
	app    error             // why nobody can sign in, nil if all is well
	store  string            // folder
	name   string            // of the account
	dir    string            // of the account
	open   *checkpoint.Store // nil if it could not be opened
	locked bool              // by another process
	vault  *vault.Vault      // nil if there is none, or none to be read
	sess   *telegram.Session // nil if there is none, or none that can be read
}

func diagnose(c *cli.Context) (err error) {
	e := &examination{c: c, print: newFindings(c)}
	if e.cfg, err = clientConfig(c); err != nil {
		if e.app = err; network(c, &e.cfg) != nil {
			return err // of another flag
		}
	}
	e.cfg.PFS = c.Bool("pfs")
	e.cfg.Backup, e.cfg.OnFloodWait, e.cfg.MaxFloodWait, e.cfg.ConnectTimeout = nil, nil, -1, askTime
	if e.store, err = storeDir(c); err != nil {
		return err
	}
	if e.name, err = chosenAccount(c, e.store); err != nil {
		return err
	}
	e.dir = filepath.Join(e.store, "accounts", e.name)
	defer func() {
		if e.open != nil {
			err = errors.Join(err, e.open.Close())
		}
	}()
	for _, step := range []func() error{e.machine, e.account, e.network} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := e.print.Done(); err != nil {
		return err
	}
	switch n := e.print.Wrong(); n {
	case 0:
		return nil
	case 1:
		return errors.New("one thing is wrong")
	default:
		return fmt.Errorf("%d things are wrong", n)
	}
}

// newFindings prints as the flags, the terminal and NO_COLOR say.
func newFindings(c *cli.Context) *doctor.Printer {
	p := &doctor.Printer{Out: c.App.Writer, JSON: c.Bool("json"), Quiet: c.Bool("quiet")}
	if f, isFile := c.App.Writer.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		p.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		p.Width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.Width = w
		}
	} else if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		p.Width = w
	}
	return p
}

// machine looks at what is on this machine, whichever the account.
func (e *examination) machine() error {
	place := e.store
	for place != filepath.Dir(place) {
		if _, err := os.Stat(place); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		place = filepath.Dir(place)
	}
	free, err := checkpoint.FreeSpace(place)
	path, _ := e.c.App.Metadata["config-path"].(string)
	values, _ := e.c.App.Metadata["config"].(map[string]any)
	list := []doctor.Finding{{
		Check: "version", State: doctor.OK, Text: fmt.Sprintf("haul %s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Values: map[string]any{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH},
	}}
	list = append(list, doctor.Permissions(e.store)...)
	list = append(list, doctor.Configuration(path, values), doctor.Space(place, free, err))
	if e.app != nil {
		list = append(list, doctor.Finding{Check: "app", State: doctor.Wrong, Text: "no app id and hash", Hint: e.app.Error()})
	}
	return e.print.Add(list...)
}

// account looks at the account's folder.
func (e *examination) account() error {
	if _, err := os.Stat(e.dir); errors.Is(err, fs.ErrNotExist) {
		return e.print.Add(e.nobody())
	}
	if err := e.openRecord(); err != nil {
		return err
	}
	found := e.openSession()
	now := time.Now()
	var calls []telegram.FloodWait
	if e.sess != nil {
		calls = e.sess.Waits
		found = append(found, doctor.Keys(e.sess, e.cfg.PFS, now)...)
	}
	if e.open == nil {
		found = append(found, doctor.Skip("limits", "they are in the record of account %s, which could not be opened", e.name))
		return e.print.Add(found...)
	}
	learned, err := e.open.Limits()
	if err != nil {
		return err
	}
	held, err := e.open.Waits(now)
	if err != nil {
		return err
	}
	return e.print.Add(append(found, doctor.Limits(learned, held, calls, now)...)...)
}

// nobody is the finding that no account is signed in.
func (e *examination) nobody() doctor.Finding {
	_, hint := explain(telegram.ErrNotLoggedIn)
	return doctor.Finding{Check: "account", State: doctor.Wrong, Text: fmt.Sprintf("account %s is not signed in", e.name), Hint: hint}
}

// openRecord opens the checkpoint, if there is one, and so takes the lock.
func (e *examination) openRecord() error {
	dir := filepath.Join(e.dir, "checkpoint")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return e.print.Add(doctor.Lock(e.name, nil))
	}
	var err error
	e.open, err = checkpoint.Open(dir, checkpoint.Options{KeepDamaged: true})
	var locked *checkpoint.LockedError
	e.locked = errors.As(err, &locked)
	return e.print.Add(doctor.Lock(e.name, err))
}

// openSession reads who is signed in. Nobody is asked for a passphrase.
func (e *examination) openSession() []doctor.Finding {
	const check = "account"
	v, err := vault.Open(e.dir)
	if err == nil {
		if p := os.Getenv(passphraseVariable); p != "" {
			v.Passphrase = func() (string, error) { return p, nil }
		}
		e.sess, err = v.Load()
	}
	switch {
	case errors.Is(err, vault.ErrLocked):
		return []doctor.Finding{doctor.Skip(check, "account %s is sealed with a passphrase; it is looked at if %s has that", e.name, passphraseVariable)}
	case errors.Is(err, vault.ErrExposed):
		return []doctor.Finding{doctor.Skip(check, "the session of account %s is not read while others can get at it", e.name)}
	case err != nil:
		_, hint := explain(err)
		return []doctor.Finding{{Check: check, State: doctor.Wrong, Text: text(err), Hint: hint}}
	case e.sess == nil || e.sess.User == nil:
		return []doctor.Finding{e.nobody()}
	}
	e.vault = v
	return nil
}

// network asks the servers, and whoever is in between.
func (e *examination) network() error {
	var reached []telegram.Reach
	var account []doctor.Finding
	var g errgroup.Group
	g.Go(func() (err error) {
		reached, err = telegram.Probe(e.c.Context, e.cfg, e.sess, probeTime)
		return err
	})
	g.Go(func() error {
		account = e.ask()
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := e.c.Err(); err != nil {
		return err
	}
	home := e.cfg.Datacenters.HomeDC
	if e.sess != nil {
		home = e.sess.HomeDC
	}
	way := doctor.Proxy(e.cfg.Proxy, reached, reachHint)
	list := append(account, doctor.Clock(reached), way)
	if way.State == doctor.Wrong {
		return e.print.Add(append(list, doctor.Skip("dc", "nobody can be asked past the proxy"))...)
	}
	return e.print.Add(append(list, doctor.DCs(home, reached, reachHint)...)...)
}

// ask asks the home DC who is signed in. Nothing that is learned is kept.
func (e *examination) ask() []doctor.Finding {
	const check = "account"
	if e.vault == nil {
		return nil // it was said why
	}
	user := e.sess.User
	known := []doctor.Finding{doctor.Tier(user)}
	switch {
	case !e.sess.DCs[e.sess.HomeDC].Authorized:
		return []doctor.Finding{{Check: check, State: doctor.Wrong, Text: "Telegram has ended the login of " + printable(describe(user)), Hint: loginAgain()}}
	case e.locked:
		return append([]doctor.Finding{doctor.Skip(check, "%s as last known; not asked again, since another process is at it", printable(describe(user)))}, known...)
	case e.app != nil:
		return append([]doctor.Finding{doctor.Skip(check, "%s as last known; without an app id nobody can be asked", printable(describe(user)))}, known...)
	}
	ctx, cancel := context.WithTimeout(e.c.Context, askTime)
	defer cancel()
	cfg := e.cfg
	cfg.Session = &borrowed{session: e.sess}
	client, err := telegram.Dial(ctx, cfg)
	if err == nil {
		defer client.Close() //nolint:errcheck // nothing of it is saved
		user, err = client.Self(ctx)
	}
	switch {
	case err == nil:
		f := doctor.Finding{Check: check, State: doctor.OK, Text: fmt.Sprintf("%s, home DC %d, signed in", printable(describe(user)), client.HomeDC())}
		return []doctor.Finding{f, doctor.Tier(user)}
	case errors.Is(err, telegram.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return append([]doctor.Finding{doctor.Skip(check, "%s as last known; the home DC could not be asked", printable(describe(e.sess.User)))}, known...)
	default:
		_, hint := explain(err)
		return []doctor.Finding{{Check: check, State: doctor.Wrong, Text: printable(describe(e.sess.User)) + ": " + text(err), Hint: hint}}
	}
}

func loginAgain() string {
	_, hint := explain(telegram.ErrLoggedOut)
	return hint
}

// A borrowed session is not changed.
type borrowed struct{ session *telegram.Session }

func (b *borrowed) Load() (*telegram.Session, error) { return b.session, nil }
func (b *borrowed) Save(*telegram.Session) error     { return nil }
