package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/foreign"
)

// importText is what the help of login says of importing.
const importText = "-T import takes over the session of another client: a session string of Telethon, Pyrogram, GramJS or MTKruto,\n" +
	"the .session file of Telethon or Pyrogram, the JSON of gotd or tdl (tdl migrate --to type=file,path=tdl.json makes\n" +
	"it), or the folder tdata of Telegram Desktop, whose passcode is HAUL_PASSCODE or asked for. \"-\" reads it from\n" +
	"standard input; so does HAUL_IMPORT=- or without an argument HAUL_IMPORT itself. The other client must not be\n" +
	"used any more with this session: Telegram destroys a session that it sees in two places.\n\n"

// importExamples follow those of login.
const importExamples = "\n   haul login -T import bot.session" +
	"\n   haul login -T import - <string.txt" +
	"\n   haul login -T import ~/.local/share/TelegramDesktop/tdata --pick 2"

func importFlags() []cli.Flag {
	return []cli.Flag{
		stringFlag("import", "", "`SESSION` of -T import: a path, a session string or -, as its argument"),
		stringFlag("pick", "", "of several accounts in what is imported, the one with this `NAME`, number or user id"),
	}
}

// maxStdin bounds what import reads from standard input, in bytes.
const maxStdin = 64 << 20

// loginImport signs in with the session of another client. Nothing is kept
// unless Telegram has said whose it is.
func loginImport(c *cli.Context) error {
	cfg, err := clientConfig(c)
	if err != nil {
		return err
	}
	list, err := readForeign(c)
	if err != nil {
		return err
	}
	session, err := pick(list, c.String("pick"))
	if err != nil {
		return err
	}
	test := cfg.Datacenters.Test
	switch {
	case session.Environment == foreign.Test && !test:
		return usagef("the %v is of the test environment: --test connects to that", session)
	case session.Environment == foreign.Production && test:
		return usagef("the %v is of Telegram itself: leave --test or --datacenters away", session)
	}
	a, err := makeStore(c)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.vacant(); err != nil {
		return err
	}
	if err := a.chooseSeal(c); err != nil {
		return err
	}
	user, homeDC, err := a.adopt(c.Context, cfg, telegram.NewSession(test, session.DC, session.Keys, session.Peers))
	if errors.Is(err, telegram.ErrNotLoggedIn) || errors.Is(err, telegram.ErrLoggedOut) {
		return fmt.Errorf("the %v is not valid any more: %w", session, err)
	}
	if err != nil {
		return err
	}
	if !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: do not use this session in %s any more: Telegram would end it for both (AUTH_KEY_DUPLICATED)\n", session.Client)
	}
	return a.tellSignedIn(c, user, homeDC)
}

// vacant fails if somebody is signed in with the account.
func (a *account) vacant() error {
	s, err := a.vault.Load()
	if err != nil || s == nil || s.User == nil || !s.DCs[s.HomeDC].Authorized {
		return err
	}
	return fmt.Errorf("account %s is signed in as %s: %w", a.name, describe(s.User), telegram.ErrSignedIn)
}

// adopt asks Telegram who is signed in with a session, and only then keeps it.
func (a *account) adopt(ctx context.Context, cfg telegram.Config, s *telegram.Session) (user *telegram.User, homeDC int, err error) {
	trial := new(telegram.MemorySession)
	if err := trial.Save(s); err != nil {
		return nil, 0, err
	}
	cfg.Session, cfg.Log = trial, a.log
	client, err := telegram.Dial(ctx, cfg)
	if err != nil {
		return nil, 0, err
	}
	user, err = client.Self(ctx)
	if err := errors.Join(err, client.Close()); err != nil {
		return nil, 0, err
	}
	if s, err = trial.Load(); err != nil {
		return nil, 0, err
	}
	return user, s.HomeDC, a.vault.Save(s)
}

// readForeign reads the sessions that the command line names. Its errors never
// show what could be a session.
func readForeign(c *cli.Context) ([]foreign.Session, error) {
	source := c.String("import")
	switch {
	case c.NArg() > 1:
		return nil, usagef("one session at a time: a path, a session string or -")
	case c.NArg() == 1:
		source = c.Args().First()
	}
	switch source {
	case "":
		return nil, usagef("import what? name a file or folder, or - and give the session by standard input or HAUL_IMPORT")
	case "-":
		b, err := readStdin(c)
		if err != nil {
			return nil, err
		}
		return foreign.Parse(b)
	}
	path, err := filepath.Abs(source)
	if err != nil {
		return nil, err
	}
	passcode := func() (string, error) {
		return secret(c, "HAUL_PASSCODE", "Passcode of this Telegram Desktop: ")
	}
	list, err := foreign.Open(os.DirFS(filepath.Dir(path)), filepath.Base(path), passcode)
	if _, gone := os.Stat(path); gone == nil {
		if err != nil {
			err = fmt.Errorf("%s: %w", source, err)
		}
		return list, err
	}
	list, err = foreign.Parse([]byte(source))
	if errors.Is(err, foreign.ErrUnknown) {
		const longestShown = 100 // a session string has more
		if len(source) > longestShown {
			source = "the argument"
		}
		err = fmt.Errorf("%s is neither a file nor a session string: %w", source, fs.ErrNotExist)
	}
	return list, err
}

// readStdin reads a session from standard input; from a terminal, a line unseen.
func readStdin(c *cli.Context) ([]byte, error) {
	if f, ok := c.App.Reader.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s, err := secret(c, "", "Session string: ")
		return []byte(s), err
	}
	b, err := io.ReadAll(io.LimitReader(c.App.Reader, maxStdin+1))
	if err == nil && len(b) > maxStdin {
		err = fmt.Errorf("standard input: %w", foreign.ErrUnknown)
	}
	return b, err
}

// pick chooses among several sessions: by name, number from 1, or user id.
func pick(list []foreign.Session, which string) (foreign.Session, error) {
	if which == "" {
		if len(list) == 1 {
			return list[0], nil
		}
		return foreign.Session{}, usagef("there are %d accounts, --pick chooses one: %s", len(list), names(list))
	}
	for i, s := range list {
		if s.Name == which || s.UserID != 0 && strconv.FormatInt(s.UserID, 10) == which || s.Name == "" && strconv.Itoa(i+1) == which {
			return s, nil
		}
	}
	return foreign.Session{}, usagef("--pick %s: there is no such account among: %s", which, names(list))
}

func names(list []foreign.Session) string {
	var texts []string
	for i, s := range list {
		name := s.Name
		if name == "" {
			name = strconv.Itoa(i + 1)
		}
		if s.UserID != 0 {
			name += fmt.Sprintf(" (user %d)", s.UserID)
		}
		texts = append(texts, name)
	}
	return strings.Join(texts, ", ")
}

// importHint is what may be done about an error of an import, "" of another one.
func importHint(err error) string {
	switch {
	case errors.Is(err, foreign.ErrPasscode):
		return "it is the local passcode of that Telegram Desktop, not the two-step password; HAUL_PASSCODE gives it"
	case errors.Is(err, foreign.ErrUnknown), errors.Is(err, foreign.ErrDamaged), errors.Is(err, foreign.ErrEmpty):
		return "haul help login lists what can be imported; signing in anew always works"
	default:
		return ""
	}
}
